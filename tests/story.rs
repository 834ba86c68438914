//! The main job, from the keyboard, against a real cluster: create, watch, forward, move bytes, kill, quit.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use common::kube::{Namespace, kubeconfig, kubectl, try_kubectl, until};
use common::{Home, Start};
use sha2::{Digest, Sha256};

/// Where the test cluster's private network has its servers.
const VPC: &str = "10.99.0.10";

fn config(namespace: &str, more: &str) -> String {
    format!(
        "[[target]]\nname = \"网页 web\"\ncluster = \"story\"\nnamespace = \"{namespace}\"\naddress = \"{VPC}:8080\"\n{more}"
    )
}

/// Where the first live forward listens.
fn local(screen: &str) -> Option<String> {
    let line = screen.lines().find(|line| line.contains("127.0.0.1:") && line.contains("● live"))?;
    let address = &line[line.find("127.0.0.1:")?..];
    Some(address.chars().take_while(|c| c.is_ascii_digit() || *c == '.' || *c == ':').collect())
}

fn get(address: &str, path: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    answer.split_off(head)
}

/// Seconds left of the ready pod, as the pane shows them.
fn countdown(screen: &str) -> Option<u32> {
    let line = screen.lines().find(|line| line.contains("brow-web-") && line.contains("● ready"))?;
    let words = line.split(|c: char| !(c.is_ascii_digit() || c == ':'));
    let (minutes, seconds) = words.filter_map(|word| word.split_once(':')).next_back()?;
    Some(minutes.parse::<u32>().ok()? * 60 + seconds.parse::<u32>().ok()?)
}

#[test]
fn from_nothing_to_bytes_and_back() {
    if kubeconfig("from_nothing_to_bytes_and_back").is_none() {
        return;
    }
    let namespace = Namespace::new("story");
    let home = Home::new(&config(&namespace.0, ""));
    let kubeconfig = namespace.kubeconfig(&home);
    let mut screen = Start::new(&home).kubeconfig(kubeconfig).size(120, 40).run();
    screen.wait_for("网页 web");
    assert!(screen.text().contains("idle"), "nothing is connected at start:\n{}", screen.text());

    screen.press("c");
    let shown = screen.wait("a ready pod with a countdown", |text| countdown(text).is_some());
    let first = countdown(&shown).unwrap();
    assert!((1_700..=1_800).contains(&first), "{first}");
    screen.wait("the countdown moves", |text| countdown(text).is_some_and(|left| left < first));

    screen.press("f");
    let shown = screen.wait("a live forward", |text| local(text).is_some());
    let address = local(&shown).unwrap();
    let through = get(&address, "/1m");
    let page = get(&address, "/index.html");
    assert_eq!(through.len(), 1 << 20);
    assert_eq!(Sha256::digest(&through), Sha256::digest(get(&format!("{VPC}:8080"), "/1m")));
    assert_eq!(page, b"hello from the vpc\n");
    screen.wait_for("0/2");
    assert_eq!(namespace.pods().len(), 1, "one pod serves both");

    screen.press("3x");
    screen.wait_for("Kill");
    screen.press("\x1b[C\r");
    until("the pod is gone", || namespace.pods().is_empty());
    screen.wait_for("no pod");

    screen.press("q");
    screen.wait_for("Quit");
    screen.press("\x1b[C\r");
    assert!(screen.wait_end().success());
    assert!(screen.given_back());
    assert!(TcpStream::connect(&address).is_err(), "the listener went with the program");
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
fn one_key_does_it_all_and_the_address_leaves_no_trace() {
    let Some(admin) = kubeconfig("one_key_does_it_all_and_the_address_leaves_no_trace") else { return };
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
    let shown = screen.wait("a live forward", |text| local(text).is_some());
    assert_eq!(get(&local(&shown).unwrap(), "/index.html"), b"hello from the vpc\n");
    let deadline = "jsonpath={.items[0].spec.activeDeadlineSeconds}";
    assert_eq!(kubectl(&["-n", &namespace.0, "get", "pods", "-o", deadline]), "120");
    assert_no_trace(&admin, &namespace);

    // What failed leaves no trace either.
    screen.press("4x");
    screen.wait_for("Forwards 0");
    screen.press("2\x1b");
    screen.wait_for("Targets 2");
    screen.press("/refused\r\r");
    let shown = screen.wait("a live forward", |text| local(text).is_some());
    let mut stream = TcpStream::connect(local(&shown).unwrap()).unwrap();
    stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    let answer = stream.read(&mut [0; 8]).map_err(|error| error.kind());
    assert!(matches!(answer, Ok(0) | Err(std::io::ErrorKind::ConnectionReset)), "{answer:?}");
    screen.wait("the reason", |text| text.to_lowercase().contains("refused the connection"));
    assert_no_trace(&admin, &namespace);

    screen.signal(rustix::process::Signal::TERM);
    assert!(screen.wait_end().success());
    assert!(screen.given_back());
}

#[test]
fn a_pod_dies_at_its_deadline_though_the_program_was_killed() {
    if kubeconfig("a_pod_dies_at_its_deadline_though_the_program_was_killed").is_none() {
        return;
    }
    let namespace = Namespace::new("deadline");
    let home = Home::new(&config(&namespace.0, "ttl = \"8s\"\n"));
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

    // The next start finds what the last one left behind, and clears it away.
    let mut screen = Start::new(&home).kubeconfig(&kubeconfig).size(120, 40).run();
    screen.wait_for("网页 web");
    screen.press("1\r");
    until("the expired pod is deleted", || namespace.pods().is_empty());
    screen.press("q");
    assert!(screen.wait_end().success());
}

#[test]
fn two_instances_side_by_side() {
    if kubeconfig("two_instances_side_by_side").is_none() {
        return;
    }
    let namespace = Namespace::new("two");
    let home = Home::new(&config(&namespace.0, "local_port = 0\n"));
    let kubeconfig = namespace.kubeconfig(&home);
    let start = || Start::new(&home).kubeconfig(&kubeconfig).size(120, 40).run();
    let (mut one, mut two) = (start(), start());
    one.wait_for("网页 web");
    two.wait_for("网页 web");
    one.press("\r");
    let first = local(&one.wait("one is live", |text| local(text).is_some())).unwrap();
    two.press("1\r");
    two.wait("two sees one's pod", |text| countdown(text).is_some());
    two.press("2f");
    let second = local(&two.wait("two is live", |text| local(text).is_some())).unwrap();
    assert_ne!(first, second, "they do not fight over a port");
    assert_eq!(namespace.pods().len(), 1, "nor over a pod");
    assert_eq!(get(&first, "/index.html"), get(&second, "/index.html"));

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
fn rights_are_shown_as_they_are() {
    let Some(kubeconfig) = kubeconfig("rights_are_shown_as_they_are") else { return };
    let home = Home::new("");
    let mut screen = Start::new(&home).kubeconfig(&kubeconfig).size(120, 40).run();
    screen.wait_for("brow-badtoken");
    screen.press("1a\r");
    let state =
        |text: &str, name: &str, state: &str| text.lines().any(|line| line.contains(name) && line.contains(state));
    screen.wait("every state", |text| {
        state(text, "brow-admin", "● ready")
            && state(text, "brow-develop", "● ready")
            && state(text, "brow-viewer", "● ready")
            && state(text, "brow-badtok", "unauth")
            && state(text, "brow-down", "unreach")
    });
    screen.press("L");
    screen.wait_for("brow-dev");
    screen.press("q");
    assert!(screen.wait_end().success());
    assert!(try_kubectl(&["get", "ns"]).is_ok(), "nothing happened to the cluster");
}

#[test]
fn quitting_at_once_deletes_even_a_pod_that_is_still_being_created() {
    if kubeconfig("quitting_at_once_deletes_even_a_pod_that_is_still_being_created").is_none() {
        return;
    }
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
