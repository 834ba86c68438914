//! Pods that are replaced, deleted, not ready: new connections go elsewhere, and none is refused.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use brow_model::forward::{Forward, ForwardState};
use brow_practice::{Practice, Runtime};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, PostParams};

use crate::common::kube::{Namespace, kubeconfig, kubectl, until};
use crate::program::{Program, ask};
use crate::{another, apply, pod, ready, rolled_out, service, start, targets, workload};

/// Both ways in which nodes end a stream that failed.
const NODES: [Runtime; 2] = [Runtime::Ends, Runtime::Resets];

/// The number of connections, the pods that answered, and the failures.
type Borne = (u64, BTreeSet<String>, Vec<String>);

/// Clients that connect, ask and connect again, one right after the other.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Borne>>,
}

impl Load {
    fn on(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let client = || {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let (mut asked, mut names, mut failures) = (0, BTreeSet::new(), Vec::new());
                while !stop.load(Ordering::Relaxed) {
                    asked += 1;
                    match ask(address) {
                        Ok(name) => drop(names.insert(name)),
                        Err(error) => failures.push(error.to_string()),
                    }
                }
                (asked, names, failures)
            })
        };
        let clients = (0..4).map(|_| client()).collect();
        Self { stop, clients }
    }

    /// Ends it.
    fn end(self) -> Borne {
        self.stop.store(true, Ordering::Relaxed);
        let (mut asked, mut names, mut failures) = (0, BTreeSet::new(), Vec::new());
        for client in self.clients {
            let (count, pods, failed) = client.join().unwrap();
            asked += count;
            names.extend(pods);
            failures.extend(failed);
        }
        (asked, names, failures)
    }
}

/// Replaces the pods behind the target `web` and asserts that no connection fails: `before` are the old ones, `replace`
/// replaces them and waits until they are gone. Returns the pods that answered.
fn refuses_nobody(program: &Program, before: &BTreeSet<String>, replace: impl FnOnce()) -> BTreeSet<String> {
    let load = Load::on(program.open("web"));
    replace();
    program.wait_for("web", "through a new pod", |forward| {
        forward.via().is_some_and(|via| !before.contains(&via.pod.name))
    });
    // Some more, through the new one.
    let address = program.forward("web").unwrap().bound[0];
    until("it answers", || ask(address).is_ok());
    let (asked, names, failures) = load.end();
    assert_eq!(failures, Vec::<String>::new(), "of {asked} connections");
    assert_eq!(program.failed("web"), 0);
    eprintln!("rollout: {asked} connections, none refused");
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_rollout_refuses_nobody() {
    let config = kubeconfig();
    let namespace = Namespace::new("rollout");
    let strategy = "replicas: 2\n  strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } }";
    let svc = service("web", "selector: { app: web }, ports: [{ name: www, port: 80, targetPort: http }]");
    apply(&namespace, &[workload("Deployment", "web", strategy), svc].concat());
    rolled_out(&namespace, "deployment/web");
    let before: BTreeSet<String> = namespace.pods().into_iter().collect();
    let program = start(&config, &namespace, &[("web", "service/web:www")]);
    let names = refuses_nobody(&program, &before, || {
        kubectl(&["-n", &namespace.0, "rollout", "restart", "deployment/web"]);
        rolled_out(&namespace, "deployment/web");
        until("the old pods are gone", || namespace.pods().iter().all(|pod| !before.contains(pod)));
    });
    assert!(names.iter().any(|name| before.contains(name)), "{names:?} were {before:?}");
    assert!(names.iter().any(|name| !before.contains(name)), "{names:?} were {before:?}");
}

/// The same at the practice cluster, whose pods all answer alike.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_of_the_practice_cluster_refuses_nobody_either() {
    for node in NODES {
        practice_rollout(node).await;
    }
}

/// A practice cluster with such nodes, and a client for it.
async fn practice(node: Runtime) -> (Practice, kube::Client) {
    let practice = Practice::start_on(node).await.unwrap();
    let (clusters, _) = brow_tui::cluster::Clusters::read(Some(&practice.kubeconfig())).unwrap();
    let client = clusters.client("practice").await.unwrap();
    (practice, client)
}

async fn practice_rollout(node: Runtime) {
    let (practice, client) = practice(node).await;
    let (pods, web) = (Api::<Pod>::namespaced(client.clone(), "shop"), ListParams::default().labels("app=web"));
    let runtime = tokio::runtime::Handle::current();
    let names = || -> BTreeSet<String> {
        let list = tokio::task::block_in_place(|| runtime.block_on(pods.list(&web))).unwrap();
        list.iter().map(kube::ResourceExt::name_any).collect()
    };
    let before = names();
    let program = Program::start(&targets("practice", "shop", &[("web", "service/web:80")]), &practice.kubeconfig());
    refuses_nobody(&program, &before, || {
        let deployments = Api::<Deployment>::namespaced(client.clone(), "shop");
        tokio::task::block_in_place(|| runtime.block_on(deployments.restart("web"))).unwrap();
        until("the old pods are gone", || names().is_disjoint(&before));
    });
    drop(program);
    practice.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_refuses_is_passed_over_whatever_its_node_does() {
    for node in NODES {
        let (practice, client) = practice(node).await;
        let pods = Api::<Pod>::namespaced(client, "shop");
        // The port that is asked for is the web server's alone.
        let create = async |name: &str, image: &str| {
            let pod = serde_json::json!({
                "metadata": { "name": name, "labels": { "app": "mixed" } },
                "spec": { "containers": [{ "name": "only", "image": image }] },
            });
            pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        };
        create("deaf", "practice/echo:1").await;
        let target = targets("practice", "shop", &[("web", "selector/app=mixed:8080")]);
        let program = Program::start(&target, &practice.kubeconfig());
        let address = program.open("web");
        create("page", "practice/page:1").await;
        let both = |forward: &Forward| forward.backends.iter().filter(|backend| backend.ready).count() == 2;
        let forward = program.wait_for("web", "both ready", both);
        assert_eq!(forward.via().unwrap().pod.name.clone(), "deaf");
        for _ in 0..3 {
            tokio::task::block_in_place(|| ask(address)).unwrap();
        }
        assert_eq!(program.failed("web"), 0, "{node:?}");
        drop(program);
        practice.end().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_deleted_pod_is_left_without_a_failure() {
    let config = kubeconfig();
    let namespace = Namespace::new("deleted");
    apply(&namespace, &workload("Deployment", "web", "replicas: 3"));
    rolled_out(&namespace, "deployment/web");
    let program = start(&config, &namespace, &[("web", "deployment/web:http")]);
    let load = Load::on(program.open("web"));
    for _ in 0..2 {
        let forward = program.wait_for("web", "live", |forward| forward.state() == ForwardState::Live);
        let through = forward.via().unwrap().pod.name.clone();
        kubectl(&["-n", &namespace.0, "delete", "pod", &through, "--wait=false"]);
        program.wait_for("web", "moved", |forward| forward.via().is_some_and(|via| via.pod.name != through));
        rolled_out(&namespace, "deployment/web");
    }
    let (asked, names, failures) = load.end();
    assert_eq!(failures, Vec::<String>::new(), "of {asked} connections");
    assert!(names.len() >= 3, "{names:?}");
    assert_eq!(program.failed("web"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_pod_that_is_not_ready_or_refuses_is_left() {
    let config = kubeconfig();
    let namespace = Namespace::new("unready");
    apply(&namespace, &[pod("one", "web", 8080), pod("two", "web", 8080)].concat());
    ready(&namespace, "pod/one");
    ready(&namespace, "pod/two");
    let program = start(&config, &namespace, &[("web", "selector/app=web:8080")]);
    let address = program.open("web");
    let first = ask(address).unwrap();
    kubectl(&["-n", &namespace.0, "exec", &first, "--", "rm", "/tmp/ready"]);
    program.wait_for("web", "moved", |forward| forward.via().is_some_and(|via| via.pod.name != first));
    let second = another(address, &first);
    // Of two that are ready, the one whose server is not there is passed over without a word.
    kubectl(&["-n", &namespace.0, "exec", &first, "--", "touch", "/tmp/ready"]);
    ready(&namespace, &format!("pod/{first}"));
    program
        .wait_for("web", "both ready", |forward| forward.backends.iter().filter(|backend| backend.ready).count() == 2);
    let deaf = pod("deaf", "web", 8080).replace("exec httpd -f -p 8080 -h /tmp/w", "exec sleep 600");
    apply(&namespace, &deaf);
    ready(&namespace, "pod/deaf");
    kubectl(&["-n", &namespace.0, "delete", "pod", &second, "--wait=false"]);
    let moved = program.wait_for("web", "moved", |forward| forward.via().is_some_and(|via| via.pod.name != second));
    assert_eq!(moved.via().unwrap().pod.name, "deaf", "the newest that is ready");
    assert_eq!(another(address, &second), first);
    for _ in 0..3 {
        assert_eq!(ask(address).unwrap(), first);
    }
    assert_eq!(program.failed("web"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_pod_that_takes_anothers_name_gets_the_connections_that_come_then() {
    let config = kubeconfig();
    let namespace = Namespace::new("statefulset");
    // Its page is its uid.
    let uid = "env: [{ name: POD, valueFrom: { fieldRef: { fieldPath: metadata.uid } } }], ports: [{ name: http";
    let set = workload("StatefulSet", "db", "replicas: 1\n  serviceName: db").replace("hostname >", "echo $POD >");
    apply(&namespace, &set.replace("ports: [{ name: http", uid));
    rolled_out(&namespace, "statefulset/db");
    let program = start(&config, &namespace, &[("db", "statefulset/db:http")]);
    let address = program.open("db");
    let uid = || kubectl(&["-n", &namespace.0, "get", "pod", "db-0", "-o", "jsonpath={.metadata.uid}"]);
    // The second time the old one is gone for the API server while it runs on.
    for how in [&["--wait=true"][..], &["--grace-period=0", "--force"]] {
        let before = uid();
        let forward = program.wait_for("db", "live", |forward| forward.state() == ForwardState::Live);
        assert_eq!(forward.via().unwrap().uid, before);
        assert_eq!(ask(address).unwrap(), before);
        kubectl(&[&["-n", &namespace.0, "delete", "pod", "db-0"][..], how].concat());
        program.wait_for("db", "through a new one", |forward| {
            forward.state() == ForwardState::Live && forward.via().is_some_and(|via| via.uid != before)
        });
        let after = uid();
        for _ in 0..8 {
            assert_eq!(ask(address).unwrap(), after);
        }
    }
}
