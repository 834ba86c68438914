//! The main job, from the keyboard, against a real cluster: create, watch, forward, move bytes, kill, quit.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;

use std::path::Path;

use common::kube::{Namespace, kubeconfig, kubectl, try_kubectl, until};
use common::story::{self, Stage, countdown_of};
use common::through::{get, live, works};
use common::{Home, Start};

/// The address of the servers in the test cluster's private network.
const VPC: &str = "10.99.0.10";

fn config(namespace: &str, more: &str) -> String {
    format!(
        "[[target]]\nname = \"网页 web\"\ncluster = \"story\"\nnamespace = \"{namespace}\"\naddress = \"{VPC}:8080\"\n{more}"
    )
}

/// Seconds left of the ready pod, as the pane shows them.
fn countdown(screen: &str) -> Option<u32> {
    countdown_of(screen, "brow-web-")
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn from_nothing_to_bytes_and_back() {
    let namespace = Namespace::new("story");
    let home = Home::new(&config(&namespace.0, ""));
    let kubeconfig = namespace.kubeconfig(&home);
    let screen = Start::new(&home).kubeconfig(kubeconfig).size(120, 40).run();
    let stage = Stage {
        target: "网页 web",
        choose: "",
        pod: "brow-web-",
        pods: &|| namespace.pods().len(),
        mebibyte: &|| get(&format!("{VPC}:8080"), "/1m").unwrap(),
    };
    story::from_nothing_to_bytes_and_back(screen, &stage);
}

/// Looks for the target's address in everything that the cluster keeps about a namespace.
fn assert_no_trace(kubeconfig: &Path, namespace: &Namespace) {
    let in_namespace = |args: &[&str]| kubectl(&[&["-n", &namespace.0], args].concat());
    let logs: String = namespace.pods().iter().map(|name| in_namespace(&["logs", name])).collect();
    let audit = std::fs::read_to_string(kubeconfig.parent().unwrap().join("log/audit.jsonl")).unwrap();
    let audited: String = audit.lines().filter(|line| line.contains(&namespace.0)).collect();
    assert!(audited.contains("portforward"), "the audit log was looked at in the right place");
    let pods = in_namespace(&["get", "pods", "-o", "yaml"]);
    assert!(pods.contains("网页 web"), "the target's name is in an annotation");
    let events = in_namespace(&["get", "events", "-o", "yaml"]);
    for (place, text) in [("pods", pods), ("logs", logs), ("events", events), ("audit log", audited)] {
        for trace in [VPC, "10-99-0-10", ":8080", ":81"] {
            assert!(!text.contains(trace), "{trace} in the {place}:\n{text}");
        }
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn one_key_does_it_all_and_the_address_leaves_no_trace() {
    let admin = kubeconfig();
    let namespace = Namespace::new("trace");
    let refused = format!(
        "[[target]]\nname = \"refused\"\ncluster = \"story\"\nnamespace = \"{}\"\naddress = \"{VPC}:81\"\n",
        namespace.0
    );
    let home = Home::new(&config(&namespace.0, &format!("ttl = \"2m\"\n{refused}")));
    let kubeconfig = namespace.kubeconfig(&home);
    let mut screen = Start::new(&home).kubeconfig(&kubeconfig).size(200, 50).run();
    screen.wait_for("网页 web");
    screen.press("2/网页\r\r");
    let shown = screen.wait("a live forward", |text| live(text).is_some());
    assert_eq!(get(&live(&shown).unwrap(), "/index.html").unwrap(), b"hello from the vpc\n");
    let deadline = "jsonpath={.items[0].spec.activeDeadlineSeconds}";
    assert_eq!(kubectl(&["-n", &namespace.0, "get", "pods", "-o", deadline]), "120");
    assert_no_trace(&admin, &namespace);

    // What failed leaves no trace either.
    screen.press("4x");
    screen.wait_for("Forwards 0");
    screen.press("2\x1b");
    screen.wait_for("Targets 2");
    screen.press("/refused\r\r");
    story::fails_with(&mut screen, "refused the connection");
    assert_no_trace(&admin, &namespace);

    screen.signal(rustix::process::Signal::TERM);
    assert!(screen.wait_end().success());
    assert!(screen.given_back());
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_pod_dies_at_its_deadline_though_the_program_was_killed() {
    let namespace = Namespace::new("deadline");
    let home = Home::new(&config(&namespace.0, "ttl = \"20s\"\n"));
    let kubeconfig = namespace.kubeconfig(&home);
    let mut screen = Start::new(&home).kubeconfig(&kubeconfig).size(120, 40).run();
    screen.wait_for("网页 web");
    screen.press("c");
    screen.wait("a ready pod", |text| countdown(text).is_some());
    screen.signal(rustix::process::Signal::KILL);
    screen.wait_end();
    let name = namespace.pods().remove(0);
    let reason = || kubectl(&["-n", &namespace.0, "get", "pod", &name, "-o", "jsonpath={.status.reason}"]);
    until("Kubernetes ends the pod", || reason() == "DeadlineExceeded");

    // The next start finds what the last one left behind, and clears it away: no key is pressed.
    let mut screen = Start::new(&home).kubeconfig(&kubeconfig).size(120, 40).run();
    screen.wait_for("网页 web");
    until("the expired pod is deleted", || namespace.pods().is_empty());
    screen.press("q");
    assert!(screen.wait_end().success());
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_pod_runs_out_on_the_screen() {
    let namespace = Namespace::new("out");
    let home = Home::new(&config(&namespace.0, "ttl = \"20s\"\n"));
    let mut screen = Start::new(&home).kubeconfig(namespace.kubeconfig(&home)).size(120, 40).run();
    screen.wait_for("网页 web");
    let reason = |name: &String| kubectl(&["-n", &namespace.0, "get", "pod", name, "-o", "jsonpath={.status.reason}"]);
    story::runs_out(&mut screen, "brow-web-", &|| namespace.pods().iter().map(reason).collect());
    screen.press("q");
    assert!(screen.wait_end().success());
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_pod_left_by_a_crash_is_on_the_next_screen() {
    let namespace = Namespace::new("left");
    let home = Home::new(&config(&namespace.0, ""));
    let kubeconfig = namespace.kubeconfig(&home);
    let start = || Start::new(&home).kubeconfig(&kubeconfig).size(120, 40).run();
    let mut screen = start();
    screen.wait_for("网页 web");
    screen.press("c");
    screen.wait("a ready pod", |text| countdown(text).is_some());
    screen.signal(rustix::process::Signal::KILL);
    screen.wait_end();

    let mut screen = start();
    screen.wait("the pod, though no key was pressed", |text| countdown(text).is_some());
    screen.signal(rustix::process::Signal::TERM);
    assert!(screen.wait_end().success());
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn two_instances_side_by_side() {
    let namespace = Namespace::new("two");
    let home = Home::new(&config(&namespace.0, "local_port = 0\n"));
    let kubeconfig = namespace.kubeconfig(&home);
    let start = || Start::new(&home).kubeconfig(&kubeconfig).size(120, 40).run();
    let (mut one, mut two) = (start(), start());
    one.wait_for("网页 web");
    two.wait_for("网页 web");
    one.press("\r");
    let first = live(&one.wait("one is live", |text| live(text).is_some())).unwrap();
    two.press("1R");
    two.wait("two sees one's pod", |text| countdown(text).is_some());
    two.press("2f");
    let shown = two.wait_for("already forwarded by another brow-tui");
    assert_eq!(live(&shown).as_deref(), Some(first.as_str()), "they do not fight over a port");
    assert_eq!(namespace.pods().len(), 1, "nor over a pod");
    assert!(works(&first));

    // What one saves the other sees.
    one.press("2n");
    one.wait_for("New target");
    one.press("second\t\t\t10.99.0.10:7\r");
    two.wait_for("second");
    assert!(home.read_config().contains("second"));
    for screen in [&mut one, &mut two] {
        screen.signal(rustix::process::Signal::TERM);
        assert!(screen.wait_end().success());
        assert!(screen.given_back());
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn rights_are_shown_as_they_are() {
    let kubeconfig = kubeconfig();
    let home = Home::new("");
    let mut screen = Start::new(&home).kubeconfig(&kubeconfig).size(120, 40).run();
    screen.wait_for("brow-badtoken");
    let clusters = [
        ("brow-admin", "● ready"),
        ("brow-developer", "● ready"),
        ("brow-viewer", "● ready"),
        ("brow-badtoken", "unauth"),
        ("brow-down", "unreach"),
    ];
    story::clusters_show_how_they_answer(&mut screen, &clusters);
    screen.press("L");
    screen.wait_for("brow-dev");
    screen.press("q");
    assert!(screen.wait_end().success());
    assert!(try_kubectl(&["get", "ns"]).is_ok(), "nothing happened to the cluster");
}

/// The story that `practice.rs` tells at the practice cluster.
#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn what_can_go_wrong_goes_wrong() {
    let all = kubeconfig();
    let (namespace, full) = (Namespace::new("wrong"), Namespace::new("full"));
    kubectl(&["-n", &full.0, "create", "quota", "none", "--hard=pods=0"]);
    let hard = "jsonpath={.status.hard.pods}";
    until("the quota is counted", || !kubectl(&["-n", &full.0, "get", "quota", "none", "-o", hard]).is_empty());
    let target = |name: &str, context: &str, namespace: &Namespace, more: &str| {
        format!(
            "[[target]]\nname = \"{name}\"\ncluster = \"{context}\"\nnamespace = \"{}\"\naddress = \"{VPC}:80\"\n{more}\n",
            namespace.0
        )
    };
    let config = [
        target("try-forbidden", "brow-viewer", &namespace, ""),
        target("try-no-quota", "brow-admin", &full, ""),
        target("try-bad-image", "brow-admin", &namespace, "image = \"registry.invalid/socat:1\""),
        target("try-no-node", "brow-admin", &namespace, "node_selector = { pool = \"none\" }"),
        target("try-down", "brow-down", &namespace, ""),
    ];
    let home = Home::new(&config.concat());
    // Under a name of its own: what others leave behind is not its to clean up.
    let mut screen = Start::new(&home).kubeconfig(all).env("USER", &namespace.0).size(160, 50).run();
    screen.wait_for("try-down");
    story::no_pod_says_why(&mut screen);
    screen.signal(rustix::process::Signal::TERM);
    assert!(screen.wait_end().success());
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn quitting_at_once_deletes_even_a_pod_that_is_still_being_created() {
    let namespace = Namespace::new("quit");
    let home = Home::new(&config(&namespace.0, ""));
    let kubeconfig = namespace.kubeconfig(&home);
    let mut screen = Start::new(&home).kubeconfig(&kubeconfig).size(120, 40).run();
    screen.wait_for("网页 web");
    screen.press("cq");
    screen.wait_for("Quit and delete pods");
    screen.press("\x1b[C\x1b[C\r");
    assert!(screen.wait_end().success());
    until("the pod is gone", || namespace.pods().is_empty());
    let audit: String = std::fs::read_dir(home.path().join(".local/state/brow/audit"))
        .unwrap()
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    assert!(audit.contains("create-pod") && audit.contains("delete-pod"), "{audit}");
}
