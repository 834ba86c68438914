//! Targets that are found rather than typed: the browser against a real cluster and the practice one, imports, exports
//! and connection strings, from the keyboard to the bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use common::arrange::{Kubeconfig, clipboard, quit, says, wait_dialog, wait_says};
use common::kube::{Namespace, kubeconfig, kubectl};
use common::through::{get, live};
use common::{Home, Screen, Start};

/// A pod that answers over HTTP with the name of the namespace, and the service `page` to it.
fn page(namespace: &str) -> String {
    let script = format!("mkdir -p /tmp/w && echo {namespace} > /tmp/w/index.html && exec httpd -f -p 8080 -h /tmp/w");
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{ name: page, labels: {{ app: page }} }}\nspec:\n  \
         terminationGracePeriodSeconds: 1\n  automountServiceAccountToken: false\n  containers:\n  \
         - {{ name: page, image: 'docker.io/library/busybox:latest', imagePullPolicy: IfNotPresent, \
         command: [sh, -c, '{script}'], ports: [{{ containerPort: 8080 }}] }}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{ name: page }}\nspec: {{ selector: {{ app: page }}, \
         ports: [{{ port: 80, name: http, targetPort: 8080 }}] }}\n"
    )
}

/// Hands a text to kubectl.
#[track_caller]
fn apply(text: &str, args: &[&str]) {
    let config = std::env::var("BROW_TEST_KUBECONFIG").unwrap();
    let mut child = Command::new("kubectl")
        .args(["--kubeconfig", &config, "--context", "brow-admin", "apply", "-f", "-"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
}

/// The admin alone, in a context named `admin`, whose namespace is `default`.
fn admin(home: &Home, kubeconfig: &Path) -> std::path::PathBuf {
    let all = Kubeconfig::of_cluster(kubeconfig).context("admin", "brow", "admin", "default");
    all.write(&home.path().join("kc"))
}

fn service(namespace: &Namespace, name: &str, port: u16) {
    kubectl(&["-n", &namespace.0, "create", "service", "clusterip", name, &format!("--tcp={port}")]);
}

/// Leaves the browser: its filter first, then itself.
#[track_caller]
fn leave_browser(screen: &mut Screen) {
    screen.press("\x1b[27u\x1b[27u");
    screen.wait_gone("Services and workloads");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn what_appears_in_the_cluster_is_imported_and_forwarded() {
    let kubeconfig = kubeconfig();
    let (namespace, home) = (Namespace::new("found"), Home::new(""));
    let path = admin(&home, &kubeconfig);
    let name = namespace.0.clone();
    apply(&page(&name), &["-n", &name]);
    kubectl(&["-n", &name, "wait", "--for=condition=Ready", "--timeout=120s", "pod/page"]);
    let mut screen = Start::new(&home).kubeconfig(path).size(140, 40).run();
    screen.wait_for("admin");

    // Nothing is connected: the browser connects.
    screen.press("b");
    screen.press(&name);
    screen.wait("the page", |text| text.contains("svc/page") && text.contains("◆ http"));
    // Live: what comes and goes does so on the screen, by itself.
    service(&namespace, "orders-mysql", 3306);
    screen.wait("the database", |text| text.contains("svc/orders-mysql") && text.contains("◆ mysql"));
    service(&namespace, "cache", 6379);
    screen.wait("the cache", |text| text.contains("◆ redis"));
    kubectl(&["-n", &name, "delete", "service", "cache"]);
    screen.wait_gone("svc/cache");

    // Filtered: words apart may be pasted.
    screen.press("\x1b[27u");
    screen.paste(&format!("{name} page"));
    screen.wait("only the page", |text| text.contains("svc/page") && !text.contains("orders-mysql"));
    screen.press("\r");
    screen.wait("it is taken over", |text| says(text, "1 added, 0 skipped, 0 replaced"));
    screen.wait_until("it is saved", |_| home.read_config().contains("[[target]]"));
    let (config, namespace_line) = (home.read_config(), format!("namespace = \"{name}\""));
    for line in ["cluster = \"admin\"", &namespace_line, "workload = \"service/page:80\"", "local_port = 300"] {
        assert!(config.contains(line), "{line} in {config}");
    }
    // Again: it is there already, and stays as it is unless one says so.
    screen.press("\r");
    screen.wait("it is there already", |text| text.contains("This target exists already"));
    screen.escape("exists already");
    // The rest of what is recognised there; what is there is skipped.
    screen.press("\x1b[27u");
    screen.press("orders");
    screen.wait("only the database", |text| text.contains("orders-mysql") && !text.contains("svc/page"));
    screen.press(" \r");
    screen.wait("it is taken over", |text| says(text, "orders-mysql"));
    screen.wait_until("both are in the config", |_| home.read_config().matches("[[target]]").count() == 2);
    assert!(home.read_config().contains("local_port = 303"), "{}", home.read_config());
    leave_browser(&mut screen);

    // Bytes through it, and what a client needs for it.
    screen.press("2/page\r\r");
    let shown = screen.wait("a live forward", |text| live(text).is_some());
    let local = live(&shown).unwrap();
    assert_eq!(String::from_utf8(get(&local, "/index.html").unwrap()).unwrap().trim(), name);
    screen.press("Y");
    screen.wait("the strings", |text| text.contains(&format!("curl http://{local}/")));
    let before = screen.raw().len();
    screen.press("\r");
    screen.wait_gone("Connection strings");
    screen.wait_until("it is copied", |screen| clipboard(&screen.raw()[before..]).is_some());
    assert_eq!(clipboard(&screen.raw()[before..]).unwrap(), format!("http://{local}"));
    screen.press("2E");
    screen.wait("the forms", |text| text.contains("kubectl commands"));
    let before = screen.raw().len();
    screen.press("\r");
    screen.wait_until("it is copied", |screen| clipboard(&screen.raw()[before..]).is_some());
    let toml = clipboard(&screen.raw()[before..]).unwrap();
    assert!(toml.starts_with("[[target]]\n") && toml.contains("workload = \"service/page:80\""), "{toml}");
    screen.press("q");
    screen.wait_for("Quit?");
    screen.press("y");
    assert!(screen.wait_end().success());
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn whoever_may_see_little_sees_that_and_is_told_about_the_rest() {
    let (namespace, home) = (Namespace::new("found-little"), Home::new(""));
    let path = namespace.kubeconfig(&home);
    let name = namespace.0.clone();
    service(&namespace, "mongo", 27017);
    let many = "replicas: 1\n  selector: { matchLabels: { app: many } }";
    apply(&sleeper("Deployment", "many", many), &["-n", &name]);
    let mut screen = Start::new(&home).kubeconfig(path).size(120, 40).run();
    screen.wait_for("story");
    screen.press("b");
    // Not even their own services: which rights, and a role that grants them, all in one.
    let rights = ["no right to list services, deployments.apps", &format!("jobs.batch in namespace {name} (403)")];
    wait_says(&mut screen, &rights);
    // Where the deployment may not be seen, its pods are.
    screen.wait("the pod", |text| text.contains("po/many-") && !text.contains("deploy/many"));
    screen.press("\x05");
    wait_dialog(&mut screen, &[rights[0], rights[1], "kind: Role"]);
    let before = screen.raw().len();
    screen.press("y\x1b");
    screen.wait_gone(" Error ");
    let role = clipboard(&screen.raw()[before..]).expect("a role in the clipboard");
    assert!(!role.contains("ClusterRole"), "no more than is needed:\n{role}");
    apply(&role, &[]);
    // With it they appear by themselves; of the rest it says what is missing.
    screen.wait("their own service", |text| text.contains("svc/mongo") && text.contains("◆ mongodb"));
    let shown = wait_says(&mut screen, &[&format!("Only namespace {name} is shown.")]);
    screen.wait("the deployment alone", |text| text.contains("deploy/many") && !text.contains("po/many-"));
    assert!(!shown.contains("svc/kubernetes"), "other namespaces stay dark:\n{shown}");
    screen.press("mongo\r");
    screen.wait("it is taken over", |text| says(text, "1 added"));
    leave_browser(&mut screen);
    screen.wait_for("mongo.");
    quit(screen);
}

/// Something of `kind` whose pods sleep; `more` goes into its spec. A port is declared, not listened on.
fn sleeper(kind: &str, name: &str, more: &str) -> String {
    let api = if kind == "Job" { "batch/v1" } else { "apps/v1" };
    format!(
        "apiVersion: {api}\nkind: {kind}\nmetadata: {{ name: {name} }}\nspec:\n  {more}\n  template:\n    \
         metadata: {{ labels: {{ app: {name} }} }}\n    spec:\n      restartPolicy: {}\n      \
         terminationGracePeriodSeconds: 0\n      containers:\n      - {{ name: c, image: 'busybox:latest', \
         imagePullPolicy: IfNotPresent, command: [sleep, '600'], ports: [{{ containerPort: 5432 }}] }}\n---\n",
        if kind == "Job" { "Never" } else { "Always" }
    )
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn every_kind_is_found_and_what_it_owns_is_not_noise() {
    let kubeconfig = kubeconfig();
    let (namespace, home) = (Namespace::new("found-kinds"), Home::new(""));
    let path = admin(&home, &kubeconfig);
    let name = namespace.0.clone();
    let of = |name: &str| format!("replicas: 1\n  selector: {{ matchLabels: {{ app: {name} }} }}");
    let set = format!("serviceName: x\n  {}", of("set"));
    let daemon = "selector: { matchLabels: { app: daemon } }";
    let all = [
        sleeper("Deployment", "many", &of("many")),
        sleeper("StatefulSet", "set", &set),
        sleeper("DaemonSet", "daemon", daemon),
        sleeper("ReplicaSet", "alone", &of("alone")),
        sleeper("Job", "once", "backoffLimit: 0"),
        page(&name),
    ];
    apply(&all.concat(), &["-n", &name]);
    let mut screen = Start::new(&home).kubeconfig(path).size(140, 40).run();
    screen.wait_for("admin");
    screen.press("b");
    screen.press(&name);
    let rows = ["svc/page", "deploy/many", "sts/set", "ds/daemon", "rs/alone", "job/once", "po/page"];
    let shown = screen.wait("every kind", |text| rows.iter().all(|row| text.contains(row)));
    for owned in ["rs/many-", "po/many-", "po/set-", "po/daemon-", "po/alone-", "po/once-"] {
        assert!(!shown.contains(owned), "{owned}:\n{shown}");
    }
    assert!(shown.matches("◆ postgres").count() == 5, "{shown}");
    kubectl(&["-n", &name, "delete", "job", "once", "--wait=false"]);
    screen.wait_gone("job/once");
    screen.press("\x15");
    screen.paste(&format!("{name} rs alone"));
    screen.wait("only the replica set", |text| text.contains("rs/alone") && !text.contains("deploy/many"));
    screen.press("\r");
    screen.wait("it is taken over", |text| says(text, "1 added"));
    screen.wait_until("it is saved", |_| home.read_config().contains("workload = \"replicaset/alone:5432\""));
    leave_browser(&mut screen);
    quit(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn the_pod_can_be_chosen_by_hand() {
    let kubeconfig = kubeconfig();
    let target = "[[target]]\nname = \"web\"\ncluster = \"admin\"\nnamespace = \"brow-dev\"\n\
                  workload = \"deployment/web:http\"\n";
    let home = Home::new(target);
    let mut screen = Start::new(&home).kubeconfig(admin(&home, &kubeconfig)).size(140, 40).run();
    screen.wait_for("deployment/web");
    screen.press("2f");
    let shown = screen.wait("a live forward", |text| live(text).is_some());
    let local = live(&shown).unwrap();
    // Each of its two pods answers with its own name, and the screen says which it is.
    let answer = || String::from_utf8(get(&local, "/").unwrap()).unwrap().trim().to_owned();
    let first = answer();
    screen.press("4");
    screen.wait("which pod it is", |text| text.contains(&format!("{first}:8080")) && text.contains("pods ready 2/2"));
    screen.press("p");
    screen.wait("the other pod", |text| !text.contains(&format!("{first}:8080")) && text.contains("pods ready 2/2"));
    let other = answer();
    assert_ne!(other, first);
    screen.press("p");
    screen.wait("the first again", |text| text.contains(&format!("{first}:8080")));
    assert_eq!(answer(), first);
    screen.press("q");
    screen.wait_for("Quit?");
    screen.press("y");
    assert!(screen.wait_end().success());
}

#[test]
fn practice_can_be_browsed_too() {
    let home = Home::new("");
    let mut screen = Start::new(&home).arg("--practice").size(80, 24).run();
    screen.wait_for("hello-page");
    screen.press("b");
    screen.wait("its services", |text| text.contains("svc/redis") && text.contains("◆ redis"));
    screen.press("svc");
    screen.press("\x1b[27u");
    screen.press("redis");
    screen.wait("only the redis", |text| !text.contains("svc/echo"));
    screen.press("\r");
    screen.wait("it is taken over", |text| says(text, "1 added, 0 skipped, 0 replaced"));
    // What is there is overwritten on request, or skipped; the result says which.
    screen.press("\r");
    screen.wait_for("Replace 1");
    screen.press("y");
    screen.wait("it is replaced", |text| says(text, "0 added, 0 skipped, 1 replaced"));
    screen.press("\x1b[27u");
    screen.wait_for("svc/echo");
    screen.press("\x12");
    screen.wait_for("Import 3 new");
    screen.press("y");
    screen.wait("all that is recognised is", |text| says(text, "3 added, 1 skipped, 0 replaced"));
    leave_browser(&mut screen);
    screen.press("2/redis.shop\r\r");
    let shown = screen.wait("a live forward", |text| live(text).is_some());
    let mut stream = std::net::TcpStream::connect(live(&shown).unwrap()).unwrap();
    stream.set_read_timeout(Some(common::TIMEOUT)).unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    let mut answer = [0; 7];
    std::io::Read::read_exact(&mut stream, &mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
    screen.press("q");
    screen.wait_for("Quit?");
    screen.press("y");
    assert!(screen.wait_end().success());
}

#[test]
fn targets_of_other_tools_are_imported() {
    let home = Home::new("");
    let mut screen = Start::new(&home).kubeconfig(home.kubeconfig(&["dev", "开发"])).size(100, 30).run();
    screen.wait_for("dev");
    // Pasted, several lines.
    screen.press("I");
    screen.wait_for("Targets without a context go to dev.");
    screen.paste("web:shop:18080:80\nkubectl --context 开发 -n data port-forward svc/mysql 13306:3306\nnonsense\n");
    screen.wait_for("3 lines pasted");
    screen.press("\r");
    screen.wait("the question", |text| text.contains("Import 2 targets?") && text.contains("nonsense: unknown format"));
    screen.press("y");
    screen.wait("they are there", |text| text.contains("web.shop") && text.contains("mysql.data"));
    screen.wait_until("they are written", |_| home.read_config().matches("[[target]]").count() == 2);
    for line in ["local_port = 18080", "cluster = \"开发\"", "workload = \"service/mysql:3306\"", "local_port = 13306"]
    {
        assert!(home.read_config().contains(line), "{}", home.read_config());
    }
    // From a file: one is there already, with another port, which is taken over on request.
    let json = r#"[{ "alias": "页面", "service": "web", "namespace": "shop", "context": "dev", "local_port": 18081,
        "remote_port": 80, "workload_type": "service", "protocol": "tcp" }]"#;
    std::fs::write(home.path().join("kftray.json"), json).unwrap();
    screen.press("I");
    screen.wait_for("Targets without a context");
    screen.press("~/kftray.json\r");
    screen.wait("the question", |text| text.contains("This target exists already") && text.contains("Replace 1"));
    screen.press("y");
    screen.wait("the result", |text| says(text, "0 added, 0 skipped, 1 replaced"));
    screen.wait_until("it is written", |_| home.read_config().contains("local_port = 18081"));
    assert!(home.read_config().contains("name = \"web.shop\""), "its name stays: {}", home.read_config());
    // What is no file is told.
    screen.press("I");
    screen.wait_for("Targets without a context");
    screen.press("~/nowhere.json\r");
    screen.wait("the fault", |text| says(text, "nowhere.json cannot be read"));
    quit(screen);
}
