//! Shells on nodes: told of before, and gone afterwards.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::common::Home;
use crate::common::kube::{kubeconfig, kubectl, try_kubectl, until};
use crate::{Pods, create, pod, text, type_line};

/// The pods of shells on nodes in a namespace, but those that are being deleted.
fn node_pods(namespace: &str) -> Vec<Value> {
    let list = kubectl(&["-n", namespace, "get", "pods", "-l", "brow/target=node-shell", "-o", "json"]);
    let all = serde_json::from_str::<Value>(&list).unwrap()["items"].as_array().unwrap().clone();
    all.into_iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect()
}

/// Returns whether the cluster admits privileged pods: its API server may forbid them all (`--allow-privileged`).
fn admits_privileged(namespace: &str) -> bool {
    let image = "--image=alpine/socat:latest";
    try_kubectl(&["-n", namespace, "run", "trial", image, "--privileged", "--dry-run=server"]).is_ok()
}

fn node() -> String {
    let name = kubectl(&["get", "nodes", "-o", "go-template={{(index .items 0).metadata.name}}"]);
    format!("node/{name}")
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_node_that_cannot_be_entered_is_told_of_and_nothing_is_made() {
    let (pods, home) = (Pods::new("nodeno", &[]), Home::new(""));
    let namespace = &pods.namespace.0;
    let fails = |command: &mut Command, words: &[&str]| {
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = text(&output.stderr);
        assert_ne!(output.status.code(), Some(0), "{said}");
        assert!(words.iter().all(|words| said.contains(words)), "{words:?}: {said}");
        assert_eq!(node_pods(namespace), Vec::<Value>::new());
    };
    fails(&mut pods.command(&home, &["node/none", "--yes", "--", "true"]), &["node/none"]);
    // Admission is asked before a person is.
    let words = if admits_privileged(namespace) { ["privileged pod", "--yes"] } else { [namespace, "kube-system"] };
    fails(&mut pods.command(&home, &[&node(), "--", "true"]), &words);
    // The node of a pod.
    create(namespace, &[pod("one", &["main"])]);
    fails(&mut pods.command(&home, &["pod/one", "--node", "--", "true"]), &[&node()[5..], words[1]]);
    // The namespace that would admit it is named.
    if admits_privileged(namespace) {
        kubectl(&["-n", namespace, "create", "quota", "none", "--hard=pods=0"]);
        fails(&mut pods.command(&home, &[&node(), "--yes", "--", "true"]), &["kube-system does"]);
    }
    // Somebody who may have proxy pods, and may not attach.
    let person = pods.namespace.kubeconfig(&home);
    let mut command = Command::new(env!("CARGO_BIN_EXE_brow-tui"));
    command.env_clear().env("HOME", home.path()).env("KUBECONFIG", person);
    fails(command.args(["shell", &node(), "--yes"]), &["no right to create pods/attach", namespace]);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_shell_on_a_node_leaves_no_pod_behind() {
    let (pods, home) = (Pods::new("node", &[]), Home::new(""));
    let (namespace, place) = (&pods.namespace.0, node());
    if !admits_privileged(namespace) {
        // No pod is made even unasked; the rest needs a cluster that lets it.
        let output = pods.run(&home, &[&place, "--yes", "--", "true"], b"");
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        return assert_eq!(node_pods(namespace), Vec::<Value>::new());
    }

    // Between pipes, with the exit code of the command.
    let output = pods.run(&home, &[&place, "--yes", "--", "sh", "-c", "cat; echo $(echo $#); exit 4"], b"in\n");
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(4), "in\n0\n".to_owned()),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(node_pods(namespace), Vec::<Value>::new());

    // It asks first, and nothing is made where the answer is no.
    let mut screen = pods.screen(&home, kubeconfig(), &[&place]);
    screen.wait("what it takes", |text| text.contains("privileged") && text.contains("[y/N]"));
    assert_eq!(node_pods(namespace), Vec::<Value>::new());
    screen.press("n\r");
    assert_eq!(screen.wait_end().exit_code(), 1, "{}", screen.text());
    assert_eq!(node_pods(namespace), Vec::<Value>::new());
    let output = pods.run(&home, &[&place, "--", "true"], b"");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));

    // On a terminal.
    let mut screen = pods.screen(&home, kubeconfig(), &[&place]);
    screen.wait_for("[y/N]");
    screen.press("y\r");
    type_line(&mut screen, "echo $((6*7)) $TERM");
    screen.wait_for("42 xterm-256color");
    let pod = node_pods(namespace).remove(0);
    assert_eq!((&pod["spec"]["activeDeadlineSeconds"], &pod["spec"]["hostPID"]), (&json!(1800), &json!(true)));
    screen.press("~.");
    assert!(screen.wait_end().success(), "{}", screen.text());
    assert!(screen.given_back());
    assert_eq!(node_pods(namespace), Vec::<Value>::new());

    // Killed: the end of its input ends the shell, and the pod is over.
    let mut child = pods.command(&home, &[&place, "--yes"]).spawn().unwrap();
    until("the pod runs", || node_pods(namespace).iter().any(|pod| pod["status"]["phase"] == "Running"));
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"echo ready\n").unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child.kill().unwrap();
    child.wait().unwrap();
    until("Kubernetes has ended the pod", || node_pods(namespace).iter().all(is_over));
}

/// Returns whether a pod has ended.
fn is_over(pod: &Value) -> bool {
    ["Succeeded", "Failed"].contains(&pod["status"]["phase"].as_str().unwrap())
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_shell_on_a_node_ends_when_idle_is_renewed_and_goes_with_its_terminal() {
    let (pods, home) = (Pods::new("nodeidle", &[]), Home::new(""));
    let (namespace, place) = (&pods.namespace.0, node());
    if !admits_privileged(namespace) {
        return;
    }
    // Nothing is typed, and nothing is printed.
    home.write_config("[shell]\nnode_idle = \"3s\"\n");
    let mut screen = pods.screen(&home, kubeconfig(), &[&place, "--yes"]);
    assert_eq!(screen.wait_end().exit_code(), 143, "{}", screen.text());
    assert!(screen.given_back() && screen.text().contains("nothing was typed or printed for 3s"), "{}", screen.text());
    assert_eq!(node_pods(namespace), Vec::<Value>::new());
    home.write_config("");

    // A new one in its place.
    let mut screen = pods.screen(&home, kubeconfig(), &[&place, "--yes"]);
    type_line(&mut screen, "echo $((6*7))");
    screen.wait_for("42");
    let first = node_pods(namespace).remove(0)["metadata"]["name"].clone();
    screen.press("~n");
    until("another pod", || node_pods(namespace).iter().any(|pod| pod["metadata"]["name"] != first));
    type_line(&mut screen, "echo $((6*8))");
    screen.wait_for("48");
    // Killed on a terminal: the pod is over all the same.
    screen.signal(rustix::process::Signal::KILL);
    screen.wait_end();
    until("Kubernetes has ended the pod", || node_pods(namespace).iter().all(is_over));
}
