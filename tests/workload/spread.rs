//! Connections spread over the pods of a workload.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use brow_model::forward::Forward;
use brow_practice::Practice;

use crate::common::TIMEOUT;
use crate::common::kube::{Namespace, kubeconfig, kubectl, until};
use crate::program::{Program, ask};
use crate::{apply, rolled_out, targets, workload};

/// The config of a target whose connections are spread.
fn spread(context: &str, namespace: &str, workload: &str) -> String {
    targets(context, namespace, &[("web", workload)]) + "spread = true\n"
}

fn waits_for_ready(program: &Program, count: usize) {
    let ready = |forward: &Forward| forward.backends.iter().filter(|backend| backend.ready).count() == count;
    program.wait_for("web", "spread over its pods", ready);
    until("its pods are known", || program.loads("web").len() == count);
}

/// Opens a connection to a pod that holds it; the pod's name, which it sends first.
fn hold(address: SocketAddr) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let (mut name, mut byte) = (Vec::new(), [0]);
    while stream.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
        name.push(byte[0]);
    }
    (stream, String::from_utf8(name).unwrap())
}

/// Sends a line to a pod that sends it back.
fn echo(stream: &mut TcpStream) -> std::io::Result<String> {
    stream.write_all(b"still\n")?;
    let mut line = [0; 6];
    stream.read_exact(&mut line)?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn connections_go_to_all_pods_and_one_that_goes_takes_only_its_own() {
    let config = kubeconfig();
    let namespace = Namespace::new("spread");
    // Each says its name and then sends back what comes.
    let serves = "printf '#!/bin/sh\\\\nhostname; exec cat\\\\n' > /tmp/s; chmod +x /tmp/s; touch /tmp/ready; \
                  exec nc -ll -p 8080 -e /tmp/s";
    let manifest = workload("Deployment", "web", "replicas: 3");
    let (before, after) = manifest.split_once("mkdir -p").unwrap();
    let (_, after) = after.split_once("-h /tmp/w").unwrap();
    let before = before.replace("command: [sh, -c, '", "command: [sh, -c, \"");
    apply(&namespace, &[&before, serves, &after.replacen('\'', "\"", 1)].concat());
    rolled_out(&namespace, "deployment/web");
    let program = Program::start(&spread("brow-admin", &namespace.0, "deployment/web:http"), &config);
    let address = program.open("web");
    waits_for_ready(&program, 3);
    let mut held: Vec<(TcpStream, String)> = (0..9).map(|_| hold(address)).collect();
    let pods: BTreeSet<String> = held.iter().map(|(_, pod)| pod.clone()).collect();
    assert_eq!(pods, namespace.pods().into_iter().collect());
    let loads = program.loads("web");
    assert!(loads.iter().all(|load| (load.open, load.total) == (3, 3)), "{loads:?}");
    // The one that the forward itself goes through: the others' connections do not depend on it.
    let gone = program.forward("web").unwrap().via().unwrap().pod.name.clone();
    kubectl(&["-n", &namespace.0, "delete", "pod", &gone, "--wait=false"]);
    for (stream, _) in held.iter_mut().filter(|(_, pod)| *pod == gone) {
        let ended = stream.read_to_end(&mut Vec::new()).map_err(|error| error.kind());
        assert!(matches!(ended, Ok(0) | Err(ErrorKind::ConnectionReset)), "{ended:?}");
    }
    for (stream, pod) in held.iter_mut().filter(|(_, pod)| *pod != gone) {
        assert_eq!(echo(stream).unwrap(), "still\n", "through {pod}");
    }
    // The pod in its place has its turn, too.
    rolled_out(&namespace, "deployment/web");
    until("it is gone", || program.loads("web").iter().all(|load| load.pod != gone));
    waits_for_ready(&program, 3);
    let now: BTreeSet<String> = (0..3).map(|_| hold(address).1).collect();
    assert!(now.iter().any(|pod| !pods.contains(pod)), "{now:?} were {pods:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_pod_that_is_not_ready_for_a_while_keeps_its_connections_and_its_count() {
    let config = kubeconfig();
    let namespace = Namespace::new("spread-flaps");
    let holds = |name: &str| {
        crate::pod(name, "web", 8080)
            .replace("exec httpd -f -p 8080 -h /tmp/w", "exec nc -ll -p 8080 -e sh -c \"hostname; exec cat\"")
    };
    apply(&namespace, &[holds("one"), holds("two")].concat());
    for pod in ["pod/one", "pod/two"] {
        crate::ready(&namespace, pod);
    }
    let program = Program::start(&spread("brow-admin", &namespace.0, "selector/app=web:8080"), &config);
    let address = program.open("web");
    waits_for_ready(&program, 2);
    let mut held: Vec<(TcpStream, String)> = (0..4).map(|_| hold(address)).collect();
    let two = |program: &Program| {
        let load = program.loads("web").into_iter().find(|load| load.pod == "two");
        load.map(|load| (load.open, load.total))
    };
    assert_eq!(two(&program), Some((2, 2)));
    for round in 0..3_u64 {
        kubectl(&["-n", &namespace.0, "exec", "two", "--", "rm", "/tmp/ready"]);
        waits_for_ready(&program, 1);
        let (mut stream, pod) = hold(address);
        assert_eq!((echo(&mut stream).unwrap().as_str(), pod.as_str()), ("still\n", "one"), "in round {round}");
        drop(stream);
        for (stream, pod) in &mut held {
            assert_eq!(echo(stream).unwrap(), "still\n", "through {pod} in round {round}");
        }
        kubectl(&["-n", &namespace.0, "exec", "two", "--", "touch", "/tmp/ready"]);
        waits_for_ready(&program, 2);
        assert_eq!(two(&program), Some((2, 2)), "in round {round}");
    }
    // The next two go to either: it has no more than its share.
    held.extend((0..2).map(|_| hold(address)));
    until("both have as many", || program.loads("web").iter().all(|load| load.open == 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_pod_that_refuses_leaves_its_turn_to_the_others() {
    let config = kubeconfig();
    let namespace = Namespace::new("spread-deaf");
    let deaf = |name: &str| crate::pod(name, "web", 8080).replace("exec httpd -f -p 8080 -h /tmp/w", "exec sleep 600");
    apply(&namespace, &[crate::pod("one", "web", 8080), crate::pod("two", "web", 8080), deaf("deaf")].concat());
    for pod in ["pod/one", "pod/two", "pod/deaf"] {
        crate::ready(&namespace, pod);
    }
    let program = Program::start(&spread("brow-admin", &namespace.0, "selector/app=web:8080"), &config);
    let address = program.open("web");
    waits_for_ready(&program, 3);
    let names: BTreeSet<String> = (0..12).map(|_| ask(address).unwrap()).collect();
    assert_eq!(names, ["one", "two"].map(str::to_owned).into());
    assert_eq!(program.failed("web"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_the_practice_cluster_are_spread() {
    let practice = Practice::start().await.unwrap();
    let program = Program::start(&spread("practice", "shop", "deployment/web:8080"), &practice.kubeconfig());
    let address = program.open("web");
    let count = program.forward("web").unwrap().backends.len();
    assert!(count > 1, "several pods");
    waits_for_ready(&program, count);
    tokio::task::block_in_place(|| {
        for _ in 0..2 * count {
            ask(address).unwrap();
        }
    });
    let loads = program.loads("web");
    assert!(loads.iter().all(|load| load.total == 2), "{loads:?}");
    drop(program);
    practice.end().await.unwrap();
}
