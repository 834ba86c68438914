//! Workload targets against a real cluster: every kind, every port, and what happens when pods go.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;
#[path = "workload/moves.rs"]
mod moves;
#[path = "workload/program.rs"]
mod program;
#[path = "workload/spread.rs"]
mod spread;

use std::net::SocketAddr;
use std::path::Path;

use brow_model::fault::{Remedy, What};
use brow_model::forward::ForwardState;
use brow_model::settings::Language;
use brow_tui::text::Text;
use common::TIMEOUT;
use common::kube::{Namespace, kubeconfig, kubectl, until, until_within};
use program::{Program, ask};

/// Answers with the pod's name on a port called `http`.
fn containers(port: u16) -> String {
    let script = format!(
        "mkdir -p /tmp/w && hostname > /tmp/w/index.html && touch /tmp/ready && exec httpd -f -p {port} -h /tmp/w"
    );
    format!(
        "terminationGracePeriodSeconds: 1, automountServiceAccountToken: false, containers: [{{ name: web, \
         image: 'docker.io/library/busybox:latest', imagePullPolicy: IfNotPresent, \
         command: [sh, -c, '{script}'], ports: [{{ name: http, containerPort: {port} }}], \
         readinessProbe: {{ exec: {{ command: [test, -e, /tmp/ready] }}, periodSeconds: 1 }} }}]"
    )
}

fn template(app: &str, port: u16) -> String {
    format!("{{ metadata: {{ labels: {{ app: {app} }} }}, spec: {{ {} }} }}", containers(port))
}

fn workload(kind: &str, name: &str, more: &str) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: {kind}\nmetadata: {{ name: {name} }}\nspec:\n  {more}\n  \
         selector: {{ matchLabels: {{ app: {name} }} }}\n  template: {}\n",
        template(name, 8080)
    )
}

fn pod(name: &str, app: &str, port: u16) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{ name: {name}, labels: {{ app: {app} }} }}\nspec: {{ {} }}\n",
        containers(port)
    )
}

fn service(name: &str, spec: &str) -> String {
    format!("---\napiVersion: v1\nkind: Service\nmetadata: {{ name: {name} }}\nspec: {{ {spec} }}\n")
}

fn apply(namespace: &Namespace, manifest: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), manifest).unwrap();
    kubectl(&["-n", &namespace.0, "apply", "-f", file.path().to_str().unwrap()]);
}

fn targets(context: &str, namespace: &str, workloads: &[(&str, &str)]) -> String {
    let target = |(name, workload): &(&str, &str)| {
        format!(
            "[[target]]\nname = \"{name}\"\ncluster = \"{context}\"\nnamespace = \"{namespace}\"\n\
             workload = \"{workload}\"\n"
        )
    };
    workloads.iter().map(target).collect()
}

fn start(kubeconfig: &Path, namespace: &Namespace, workloads: &[(&str, &str)]) -> Program {
    Program::start(&targets("brow-admin", &namespace.0, workloads), kubeconfig)
}

fn rolled_out(namespace: &Namespace, what: &str) {
    kubectl(&["-n", &namespace.0, "rollout", "status", what, "--timeout=120s"]);
}

fn ready(namespace: &Namespace, pod: &str) {
    kubectl(&["-n", &namespace.0, "wait", "--for=condition=Ready", "--timeout=120s", pod]);
}

/// Returns the answer of another pod, once new connections go there: what comes while the forward moves may still reach
/// the one that it leaves.
#[track_caller]
fn another(address: SocketAddr, left: &str) -> String {
    let mut answer = String::new();
    until("another pod answers", || {
        answer = ask(address).unwrap();
        answer != left
    });
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn every_kind_leads_to_its_pods() {
    let config = kubeconfig();
    let namespace = Namespace::new("kinds");
    let job = format!(
        "---\napiVersion: batch/v1\nkind: Job\nmetadata: {{ name: job }}\nspec:\n  template: {{ spec: {{ \
         restartPolicy: Never, {} }} }}\n",
        containers(8080)
    );
    let manifest = [
        workload("Deployment", "web", "replicas: 1"),
        workload("StatefulSet", "db", "replicas: 1\n  serviceName: db"),
        workload("DaemonSet", "agent", ""),
        job,
        pod("alone", "alone", 8080),
        service("web", "selector: { app: web }, ports: [{ name: www, port: 80, targetPort: http }]"),
        service("plain", "selector: { app: web }, ports: [{ name: www, port: 80, targetPort: 8080 }]"),
        service("headless", "clusterIP: None, selector: { app: db }, ports: [{ name: www, port: 8080 }]"),
    ];
    apply(&namespace, &manifest.concat());
    for what in ["deployment/web", "statefulset/db", "daemonset/agent"] {
        rolled_out(&namespace, what);
    }
    ready(&namespace, "pod/alone");
    until("the job runs", || {
        let pods = kubectl(&["-n", &namespace.0, "get", "pods", "-l", "job-name=job", "-o", "wide"]);
        pods.contains("1/1")
    });
    let set = kubectl(&["-n", &namespace.0, "get", "rs", "-o", "jsonpath=rs/{.items[0].metadata.name}:http"]);
    let cases = [
        ("service-name", "service/web:www", "web-"),
        ("service-number", "svc/web:80", "web-"),
        ("service-target-number", "service/plain:www", "web-"),
        ("headless", "service/headless:8080", "db-0"),
        ("deployment", "deployment/web:http", "web-"),
        ("deployment-number", "deploy/web:8080", "web-"),
        ("statefulset", "statefulset/db:http", "db-0"),
        ("daemonset", "daemonset/agent:http", "agent-"),
        ("replicaset", &set, "web-"),
        ("job", "job/job:http", "job-"),
        ("pod", "pod/alone:http", "alone"),
        ("selector", "selector/app in (alone,none):8080", "alone"),
    ];
    let mut workloads: Vec<(&str, &str)> = cases.iter().map(|(name, workload, _)| (*name, *workload)).collect();
    workloads.push(("several", "deployment/web:http,8080"));
    let program = start(&config, &namespace, &workloads);
    for (name, workload, pod) in cases {
        let address = program.open(name);
        let answer = ask(address).unwrap_or_else(|error| panic!("{workload}: {error}"));
        assert!(answer.starts_with(pod), "{workload} led to {answer}");
        assert_eq!(program.failed(name), 0);
    }
    program.open("several");
    until("both ports are forwarded", || {
        let all = program.forwards("several");
        all.len() == 2 && all.iter().all(|forward| forward.state() == ForwardState::Live)
    });
    for forward in program.forwards("several") {
        assert!(ask(forward.bound[0]).unwrap().starts_with("web-"));
    }
    let made = kubectl(&["-n", &namespace.0, "get", "pods", "-l", "app.kubernetes.io/managed-by=brow-tui"]);
    assert_eq!(made, "", "no proxy pod was made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_named_port_is_each_pods_own() {
    let config = kubeconfig();
    let namespace = Namespace::new("ports");
    let mixed = "selector: { app: mixed }, ports: [{ name: www, port: 80, targetPort: http }]";
    apply(&namespace, &[pod("one", "mixed", 8081), pod("two", "mixed", 8082), service("mixed", mixed)].concat());
    ready(&namespace, "pod/one");
    ready(&namespace, "pod/two");
    let program = start(&config, &namespace, &[("mixed", "service/mixed:www")]);
    let address = program.open("mixed");
    let first = ask(address).unwrap();
    let port = |pod: &str| if pod == "one" { 8081 } else { 8082 };
    let through = program.wait_for("mixed", "live", |forward| forward.state() == ForwardState::Live);
    let through = through.via().unwrap();
    assert_eq!((through.pod.name.as_str(), through.port), (first.as_str(), port(&first)));
    kubectl(&["-n", &namespace.0, "delete", "pod", &first, "--wait=false"]);
    let moved = program.wait_for("mixed", "moved", |forward| forward.via().is_some_and(|via| via.pod.name != first));
    let second = another(address, &first);
    assert_eq!(moved.via().unwrap().port, port(&second));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn what_is_not_there_is_said_with_what_is_near() {
    let config = kubeconfig();
    let namespace = Namespace::new("missing");
    let svc = "selector: { app: web }, ports: [{ name: www, port: 80, targetPort: http }]";
    apply(&namespace, &[pod("web-one", "web", 8080), service("web", svc), service("payments", svc)].concat());
    ready(&namespace, "pod/web-one");
    let workloads = [
        ("service", "service/webb:www"),
        ("pod", "pod/web-on:8080"),
        ("service-port", "service/web:http"),
        ("pod-port", "pod/web-one:www"),
        ("deployment", "deployment/web:http"),
        ("later", "service/later:www"),
    ];
    let program = start(&config, &namespace, &workloads);
    let text = Text::new(Language::En);
    let words = |target: &str| {
        let words = text.fault(&program.refused(target));
        format!("{} | {}", words.what, words.detail)
    };
    let place = format!("(brow-admin/{})", namespace.0);
    assert_eq!(words("service"), format!("service/webb {place} not found | similar: web"));
    assert_eq!(words("pod"), format!("pod/web-on {place} not found | similar: web-one"));
    assert_eq!(words("service-port"), "service/web:http: no such port | its ports: www (80)");
    assert_eq!(words("pod-port"), "pod/web-one:www: no such port | its ports: http");
    assert_eq!(words("deployment"), format!("deployment/web {place} not found | "));
    assert!(words("later").starts_with("service/later"));
    // Once it is there it is used.
    apply(&namespace, &service("later", svc));
    program.wait_for("later", "live", |forward| forward.state() == ForwardState::Live);
    assert_eq!(ask(program.open("later")).unwrap(), "web-one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn connections_wait_for_a_first_pod_for_as_long_as_they_are_told() {
    let config = kubeconfig();
    let namespace = Namespace::new("wait");
    let broken = workload("Deployment", "broken", "replicas: 1").replace("library/busybox:latest", "library/none:1");
    apply(&namespace, &[workload("Deployment", "web", "replicas: 0"), broken].concat());
    let list = [("web", "deployment/web:http"), ("broken", "deployment/broken:http\"\nwait = \"3s")];
    let program = start(&config, &namespace, &list);
    program.press("web", brow_model::action::Command::Forward);
    let address = program.wait_for("web", "waiting", |forward| forward.state() == ForwardState::Waiting).bound[0];
    let early = std::thread::spawn(move || ask(address));
    kubectl(&["-n", &namespace.0, "scale", "deployment/web", "--replicas=1"]);
    assert!(early.join().unwrap().unwrap().starts_with("web-"));
    assert_eq!(program.failed("web"), 0);

    until("the image is not there", || {
        let pods = kubectl(&["-n", &namespace.0, "get", "pods", "-l", "app=broken"]);
        pods.contains("ErrImagePull") || pods.contains("ImagePullBackOff")
    });
    let fault = program.refused("broken");
    assert_eq!((fault.what, fault.thing.as_str()), (What::NoPodRuns, "deployment/broken:http"));
    assert!(fault.detail.contains("Pull"), "{}", fault.detail);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn an_evicted_pod_says_so_in_the_nodes_words() {
    let config = kubeconfig();
    let namespace = Namespace::new("evicted");
    let fills = containers(8080).replace("mkdir", "dd if=/dev/zero of=/full/x bs=1M count=8 && mkdir");
    let fills = fills.replace("ports:", "volumeMounts: [{ name: full, mountPath: /full }], ports:");
    let volume = "volumes: [{ name: full, emptyDir: { sizeLimit: 1Mi } }]";
    let pod = format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{ name: greedy }}\n\
         spec: {{ restartPolicy: Never, {volume}, {fills} }}\n"
    );
    apply(&namespace, &pod);
    let phase = || kubectl(&["-n", &namespace.0, "get", "pod", "greedy", "-o", "jsonpath={.status.reason}"]);
    // A kubelet measures volumes once a minute, and looks at that every ten seconds.
    until_within(3 * TIMEOUT, "the node has evicted it", || phase() == "Evicted");
    let program = start(&config, &namespace, &[("greedy", "pod/greedy:http\"\nwait = \"1s")]);
    let fault = program.refused("greedy");
    assert_eq!(fault.what, What::NoPodRuns);
    let words = "greedy: Failed (Evicted: Usage of EmptyDir volume \"full\" exceeds the limit \"1Mi\"";
    assert!(fault.detail.starts_with(words), "{}", fault.detail);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn services_without_pods_are_reached_through_a_proxy_pod() {
    let config = kubeconfig();
    let namespace = Namespace::new("bare");
    // Where the test cluster's private network has its web server.
    let vpc = "10.99.0.10";
    let endpoints = format!(
        "---\napiVersion: v1\nkind: Endpoints\nmetadata: {{ name: bare }}\nsubsets: [{{ addresses: [{{ ip: {vpc} }}], \
         ports: [{{ name: www, port: 8080 }}] }}]\n"
    );
    let manifest = [
        service("bare", "ports: [{ name: www, port: 80 }]"),
        endpoints,
        service("external", &format!("type: ExternalName, externalName: '{vpc}'")),
        service("nobody", "ports: [{ name: www, port: 80 }]"),
        service("balanced", "selector: { app: web }, ports: [{ name: www, port: 80, targetPort: 8080 }]"),
    ];
    apply(&namespace, &manifest.concat());
    let list = [
        ("bare", "service/bare:www"),
        ("external", "service/external:8080"),
        ("external-name", "service/external:www"),
        ("nobody", "service/nobody:80\"\nwait = \"1s"),
        ("balanced", "service/balanced:www\"\nvia = \"proxy"),
    ];
    let program = start(&config, &namespace, &list);
    for target in ["bare", "external"] {
        let address = program.open(target);
        let answer = ask(address).unwrap_or_else(|error| panic!("{target}: {error}"));
        assert!(!answer.is_empty());
        let forward = program.forward(target).unwrap();
        assert_eq!(forward.relay.map(|relay| relay.to_string()), Some(format!("{vpc}:8080")), "{target}");
        assert_eq!(program.failed(target), 0);
    }
    let made = kubectl(&["-n", &namespace.0, "get", "pods", "-o", "yaml"]);
    assert_eq!(made.matches("kind: Pod").count(), 2, "a proxy pod each");
    assert!(!made.contains(vpc), "the address is nowhere in them");
    assert_eq!(program.refused("external-name").what, What::PortMissing);
    assert_eq!(program.refused("nobody").detail, "it has no endpoints");
    // By its cluster IP, which nothing answers for in the test cluster: that has no kube-proxy.
    let ip = kubectl(&["-n", &namespace.0, "get", "svc", "balanced", "-o", "jsonpath={.spec.clusterIP}"]);
    program.open("balanced");
    let via = program.forward("balanced").unwrap().via().cloned().unwrap();
    assert!(via.pod.name.starts_with("brow-balanced-"), "{}", via.pod.name);
    assert_eq!(via.to.map(|to| to.to_string()), Some(format!("{ip}:80")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_kind_that_the_cluster_lacks_says_what_brings_it() {
    let config = kubeconfig();
    let list = [
        ("kruise", "broadcastjob.apps.kruise.io/web:http"),
        ("argo", "rollout.argoproj.io/web:http"),
        ("unheard", "flying-carpet/web:http"),
        ("no-pods", "configmap/web:http"),
    ];
    let program = Program::start(&targets("brow-admin", "brow-dev", &list), &config);
    let text = Text::new(Language::En);
    let words = |target: &str| text.fault(&program.refused(target));
    let kruise = words("kruise");
    assert_eq!(kruise.what, "broadcastjob.apps.kruise.io (brow-admin): unknown kind in this cluster");
    assert!(kruise.detail.contains("broadcastjobs.apps.kruise.io is missing; it comes with OpenKruise: helm"));
    assert!(
        words("argo").detail.contains("rollouts.argoproj.io is missing; it comes with Argo Rollouts: kubectl apply")
    );
    assert!(words("unheard").detail.starts_with("similar: "), "{}", words("unheard").detail);
    assert!(words("no-pods").what.starts_with("configmap/web"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_missing_right_is_named_with_the_role_and_a_way_round() {
    let config = kubeconfig();
    let list =
        [("deployment", "deployment/web:http"), ("service", "service/web:http"), ("selector", "selector/app=web:http")];
    let program = Program::start(&targets("brow-developer", "brow-dev", &list), &config);
    let text = Text::new(Language::En);
    for (target, resource, group) in [("deployment", "deployments", "apps"), ("service", "services", "")] {
        let fault = program.refused(target);
        assert_eq!(fault.what, What::Forbidden);
        let Remedy::Grant(grant) = &fault.remedy else { panic!("{fault:?}") };
        assert_eq!((grant.verb.as_str(), grant.namespace.as_deref()), ("list", Some("brow-dev")));
        let words = text.fault(&fault);
        assert!(words.what.contains(&format!("no right to list {resource}")), "{}", words.what);
        assert!(words.remedy.contains("selector/app=web:8080"), "{}", words.remedy);
        let role = text.to_copy(&fault);
        assert!(role.contains(&format!("apiGroups: [\"{group}\"]\n    resources: [\"{resource}\"]")), "{role}");
        assert!(role.contains("kind: Role\n") && role.contains("verbs: [\"list\", \"watch\"]"), "{role}");
    }
    // The way round.
    assert!(ask(program.open("selector")).unwrap().starts_with("web-"));
}
