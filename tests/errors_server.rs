//! Servers that cannot be reached or don't let us in: each told apart, with what to do next.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use common::arrange::{FakeApi, Kubeconfig, quit, says, status, wait_dialog, wait_says};
use common::kube::kubeconfig;
use common::{Home, Screen, Start};
use serde_json::{Value, json};

#[test]
fn without_a_kubeconfig_the_place_where_it_belongs_is_named() {
    for size in [(80, 24), (200, 50)] {
        let home = Home::new("[[target]]\nname = \"db\"\ncluster = \"dev\"\naddress = \"10.0.0.1:1\"\n");
        let path = home.path().join(".kube/config");
        let mut screen = Start::new(&home).size(size.0, size.1).run();
        screen.press("1");
        let wanted = ["No kubeconfig at", "set KUBECONFIG or --kubeconfig"];
        let text = wait_says(&mut screen, &wanted);
        let unbroken: String = text.chars().filter(|c| !c.is_whitespace() && *c != '│').collect();
        assert!(unbroken.contains(&path.display().to_string()), "{text}");
        // The rest works, and what needs a cluster says the same again.
        screen.press("2c");
        screen.wait_for("✗ db");
        screen.press("i");
        wait_dialog(&mut screen, &wanted);
        screen.press("\x1b");
        screen.wait_gone(" Error ");
        quit(screen);
    }
}

#[test]
fn a_kubeconfig_that_cannot_be_read_is_named_with_the_reason() {
    let home = Home::new("");
    let path = home.path().join("kc");
    std::fs::write(&path, "apiVersion: v1\nclusters: [\n").unwrap();
    let mut screen = Start::new(&home).kubeconfig(&path).size(200, 50).run();
    wait_says(&mut screen, &["The kubeconfig", "kc cannot be used", "Fix the file", "line 2"]);
    quit(screen);
    let missing = home.path().join("nowhere/kc");
    let mut screen = Start::new(&home).arg("--kubeconfig").arg(missing.to_str().unwrap()).size(200, 50).run();
    wait_says(&mut screen, &["No kubeconfig at", "nowhere/kc"]);
    quit(screen);
}

#[test]
fn several_kubeconfigs_are_one_and_the_argument_comes_before_them() {
    let home = Home::new("");
    let write = |name: &str, context: &str| {
        let all = Kubeconfig::empty().cluster("c", &json!({ "server": "https://127.0.0.1:1" }));
        all.user("u", json!({ "token": "t" })).context(context, "c", "u", "default").write(&home.path().join(name))
    };
    let (one, two, three) = (write("1", "first-one"), write("2", "second-one"), write("3", "third-one"));
    let missing = home.path().join("not-there");
    let all = std::env::join_paths([&one, &missing, &two]).unwrap().into_string().unwrap();
    let start = || Start::new(&home).env("KUBECONFIG", &all);
    let mut screen = start().run();
    screen.wait("both contexts", |text| text.contains("first-one") && text.contains("second-one"));
    quit(screen);
    let mut screen = start().arg("--kubeconfig").arg(three.to_str().unwrap()).run();
    screen.wait("the argument's", |text| text.contains("third-one") && !text.contains("first-one"));
    quit(screen);
}

#[test]
fn an_unknown_context_is_named_at_the_target_that_wants_it() {
    let config = "[[target]]\nname = \"db\"\ncluster = \"elsewhere\"\naddress = \"10.0.0.1:1\"\n";
    let home = Home::new(config);
    let all = Kubeconfig::empty().cluster("c", &json!({ "server": "https://127.0.0.1:1" }));
    let path =
        all.user("u", json!({ "token": "t" })).context("here", "c", "u", "default").write(&home.path().join("k"));
    for key in ["c", "f"] {
        let mut screen = Start::new(&home).kubeconfig(&path).run();
        screen.wait_for("elsewhere");
        screen.press("2");
        screen.press(key);
        screen.wait_for("✗ db");
        wait_says(
            &mut screen,
            &["No kubeconfig has a context “elsewhere”", "one of the contexts in the clusters pane"],
        );
        quit(screen);
    }
}

/// The row of a cluster shows a state, and its details say these words.
#[track_caller]
fn state(screen: &mut Screen, name: &str, state: &str, words: &[&str]) {
    screen.wait(&format!("{name} {state}"), |text| {
        text.lines().any(|line| line.contains(name) && line.contains(state))
            && words.iter().all(|words| says(text, words))
    });
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn every_way_not_to_reach_a_server_is_told_apart() {
    let kubeconfig = kubeconfig();
    let home = Home::new("");
    let own = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=another", "-keyout", "k"];
    let made = Command::new("openssl").args(own).args(["-out", "ca.crt"]).current_dir(home.path()).output().unwrap();
    assert!(made.status.success());
    // Two listeners that refuse whatever they are asked: one as a proxy, one as nobody.
    let proxy = FakeApi::new(|_, _| Some(status(407, "", "no")));
    let proxy_url = proxy.url.clone();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let broken = FakeApi::new(|_, _| Some(status(500, "InternalError", "etcd is out of order")));
    let swallows = TcpListener::bind("127.0.0.1:0").unwrap();
    let hole_url = format!("https://{}", swallows.local_addr().unwrap());
    let all = Kubeconfig::of_cluster(&kubeconfig)
        .cluster(
            "a",
            &json!({ "certificate-authority-data": null, "certificate-authority": home.path().join("ca.crt") }),
        )
        .cluster("b", &json!({ "tls-server-name": "elsewhere.example" }))
        .cluster("c", &json!({ "proxy-url": proxy_url }))
        .cluster("d", &json!({ "proxy-url": format!("http://ann:secret@{closed}") }))
        .cluster("e", &json!({ "server": "https://no-such-host.invalid:6443" }))
        .cluster("f", &json!({ "server": format!("https://{closed}") }))
        .cluster("g", &json!({ "server": broken.url }))
        .cluster("h", &json!({ "server": hole_url }))
        .cluster("i", &json!({ "certificate-authority-data": null, "certificate-authority": "nowhere/ca.crt" }));
    let all = ["a", "b", "c", "d", "e", "f", "g", "h", "i"]
        .iter()
        .fold(all, |all, name| all.context(&format!("ctx-{name}"), name, "admin", "default"))
        .context("ctx-j", "brow", "nobody-here", "default")
        .context("ctx-k", "no-cluster", "admin", "default")
        .context("ctx-l", "brow", "nobody", "default");
    let path = all.write(&home.path().join("kc"));
    let mut screen = Start::new(&home).kubeconfig(path).size(200, 50).run();
    screen.wait_for("ctx-l");
    screen.press("1a\r");
    let server = all.server();
    let closed = closed.to_string();
    for (name, is, words) in [
        ("ctx-a", "✗ unreachable", ["No trusted TLS connection to ctx-a", &server, "Check certificate-authority"]),
        ("ctx-b", "✗ unreachable", ["only valid for", "elsewhere.example", "tls-server-name"]),
        ("ctx-c", "✗ unreachable", ["proxy on the way to ctx-c failed", &proxy.url, "proxy-url in the kubeconfig"]),
        ("ctx-d", "✗ unreachable", ["proxy on the way to ctx-d failed", &closed, "Connection refused"]),
        ("ctx-e", "✗ unreachable", ["ctx-e cannot be reached", "no-such-host.invalid", "Check the VPN"]),
        ("ctx-f", "✗ unreachable", ["ctx-f cannot be reached", "Connection refused", "kubectl --context ctx-f get"]),
        ("ctx-g", "✗ unreachable", ["returned an error", "etcd is out of order", "Try again"]),
        ("ctx-h", "✗ unreachable", ["ctx-h did not answer in time", &hole_url, "keeps trying"]),
        ("ctx-i", "✗ unreachable", ["context ctx-i cannot be used", "nowhere/ca.crt", "Fix the kubeconfig"]),
        ("ctx-j", "✗ unreachable", ["context ctx-j cannot be used", "nobody-here", "--context ctx-j config view"]),
        ("ctx-k", "✗ unreachable", ["context ctx-k cannot be used", "no-cluster", "Fix the kubeconfig"]),
        ("ctx-l", "? unauthorized", ["ctx-l: not authenticated (401)", "Unauthorized", "replace it"]),
    ] {
        state(&mut screen, name, is, &words);
        screen.press("j");
    }
    assert!(!screen.text().contains("secret"), "a proxy's password is nobody's business");
    screen.wait_gone("✓ 12");
    quit(screen);
}

/// A list's page of so many objects, the one that was asked for of so many pages.
fn page(query: &str, pages: usize, object: impl Fn(usize) -> Value) -> Value {
    const SIZE: usize = 500;
    let number = query.split('&').find_map(|part| part.strip_prefix("continue=")?.parse().ok()).unwrap_or(0_usize);
    let next = if number + 1 < pages { json!((number + 1).to_string()) } else { Value::Null };
    let items: Vec<Value> = (number * SIZE..(number + 1) * SIZE).map(object).collect();
    let about = json!({ "resourceVersion": "1", "continue": next });
    json!({ "kind": "List", "apiVersion": "v1", "metadata": about, "items": items })
}

/// A server with so many pages of proxy pods, each with these annotations.
fn crowded(pages: usize, annotations: Value) -> FakeApi {
    FakeApi::new(move |_, path| {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let pod = |number: usize| {
            json!({
                "metadata": {
                    "name": format!("brow-x-{number:06}"), "namespace": "team", "uid": number.to_string(),
                    "labels": { "app.kubernetes.io/managed-by": "brow-tui" }, "annotations": annotations,
                },
                "spec": { "containers": [{ "name": "relay" }] },
            })
        };
        (path == "/api/v1/pods").then(|| (200, page(query, pages, pod)))
    })
}

/// A kubeconfig whose context `huge` is at that server.
fn kubeconfig_of(server: &FakeApi, home: &Home) -> PathBuf {
    let all = Kubeconfig::empty().cluster("c", &json!({ "server": server.url }));
    all.user("u", json!({ "token": "t" })).context("huge", "c", "u", "team").write(&home.path().join("kc"))
}

#[test]
fn a_cluster_with_more_than_is_kept_is_told_and_fills_no_memory() {
    const PAGES: usize = 24;
    let (home, server) = (Home::new(""), crowded(PAGES, json!({ "brow/target": "x".repeat(4_000) })));
    let path = kubeconfig_of(&server, &home);
    let mut screen = Start::new(&home).kubeconfig(&path).size(200, 50).run();
    screen.wait_for("huge");
    screen.press("1\r");
    wait_says(&mut screen, &["huge has too many objects"]);
    let asked = server.asked.lock().unwrap().iter().filter(|line| line.contains("continue=")).count();
    assert_eq!(asked, PAGES - 1, "by pages");
    // What Linux tells: the most that it ever had.
    if let Ok(status) = std::fs::read_to_string(format!("/proc/{}/status", screen.pid())) {
        let most =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        assert!(most.is_some_and(|most: u64| most < 200_000), "{most:?} kB");
    }
    quit(screen);
}

#[test]
fn ours_is_found_behind_thousands_that_claim_to_be_ours() {
    const ID: &str = "0123456789abcdef0123456789abcdef";
    const LAST: &str = "brow-x-005499";
    let (home, server) = (Home::new(""), crowded(11, json!({ "brow/installation": ID, "brow/nonce": "n" })));
    let path = kubeconfig_of(&server, &home);
    let until = "2999-01-01T00:00:00Z";
    let ours = json!({ "pods": { "n": { "namespace": "team", "name": LAST, "until": until } } });
    let state = home.path().join(".local/state/brow");
    std::fs::create_dir_all(&state).unwrap();
    for (name, text) in [("state.json", &ours), ("installation.json", &json!({ "id": ID, "key": "0".repeat(64) }))] {
        std::fs::write(state.join(name), text.to_string()).unwrap();
        std::fs::set_permissions(state.join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let mut list = Command::new(env!("CARGO_BIN_EXE_brow-tui"));
    list.args(["pod", "list", "--json", "--cluster", "huge"]).env_clear();
    let done = list.env("HOME", home.path()).env("KUBECONFIG", &path).output().unwrap();
    let list: Value = serde_json::from_slice(&done.stdout).unwrap();
    let mine: Vec<&Value> = list.as_array().unwrap().iter().filter(|pod| pod["mine"] == true).collect();
    let only = mine.len() == 1 && mine[0]["name"] == LAST;
    assert!(only, "{mine:?} of {}: {}", list.as_array().unwrap().len(), String::from_utf8_lossy(&done.stderr));
}
