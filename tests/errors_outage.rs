//! A cluster that dies and comes back while pods and forwards are open. Not the API server itself, which others use: a
//! wire of our own in front of it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;

use std::time::Duration;

use common::arrange::{Kubeconfig, Wire, says, wait_dialog, wait_says};
use common::kube::{Namespace, kubeconfig, kubectl, until};
use common::through::{local, works};
use common::{Home, Screen, Start};
use serde_json::json;

struct Story {
    space: Namespace,
    home: Home,
    wire: Wire,
}

impl Story {
    fn new(stem: &str, admin: &std::path::Path) -> (Self, Screen) {
        let space = Namespace::new(stem);
        let name = space.0.as_str();
        let of_cluster = Kubeconfig::of_cluster(admin);
        let server = of_cluster.server();
        let (_, upstream) = server.split_once("://").unwrap();
        let wire = Wire::to(upstream);
        let home = Home::new(&format!(
            "[[target]]\nname = \"web\"\ncluster = \"far\"\nnamespace = \"{name}\"\naddress = \"10.99.0.10:8080\"\nttl = \"5m\"\n"
        ));
        kubectl(&["-n", name, "create", "serviceaccount", "robot"]);
        kubectl(&[
            "-n",
            name,
            "create",
            "rolebinding",
            "robot",
            "--clusterrole=edit",
            &format!("--serviceaccount={name}:robot"),
        ]);
        let token = kubectl(&["-n", name, "create", "token", "robot", "--duration", "1h"]);
        // Another way to the same server has another name in the URL; the certificate's is asked for.
        let changed = json!({ "server": format!("https://{}", wire.address), "tls-server-name": "localhost" });
        let all = of_cluster
            .cluster("wire", &changed)
            .user("robot", json!({ "token": token.trim() }))
            .context("far", "wire", "robot", name)
            .context("near", "brow", "robot", name);
        let path = all.write(&home.path().join("kc"));
        let mut screen = Start::new(&home).kubeconfig(path).env("USER", name).size(200, 50).run();
        screen.wait_for("near");
        (Self { space, home, wire }, screen)
    }
}

fn cluster(text: &str, name: &str, state: &str) -> bool {
    text.lines().any(|line| line.split(['│', ' ', '▌', '▏']).any(|word| word == name) && line.contains(state))
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_cluster_that_dies_and_comes_back_is_told_and_its_forwards_work_again() {
    let admin = kubeconfig();
    let (story, mut screen) = Story::new("outage", &admin);
    screen.press("2\r");
    let shown =
        screen.wait("live", |text| text.contains("● live") && text.contains("● ready") && local(text).is_some());
    let address = local(&shown).unwrap();
    assert!(works(&address));

    // It stops answering, without a word.
    story.wire.stall();
    screen.wait("far does not answer", |text| cluster(text, "far", "✗ unreach"));
    screen.wait("the forward says so too", |text| says(text, "The tunnel to brow-web-") && says(text, "broke"));
    screen.press("1");
    wait_says(&mut screen, &["far did not answer in time", "keeps trying"]);
    let is_ready = |line: &str| line.contains("brow-web-") && line.contains("● ready");
    assert!(screen.text().lines().any(is_ready), "what was known stays on the screen: {}", screen.text());
    // Others are not held up by it: connecting, drawing, keys.
    screen.press("j\r");
    screen.wait("near is ready", |text| cluster(text, "near", "● ready"));
    assert!(cluster(&screen.text(), "far", "✗ unreach"));

    // Its connections end, and new ones do.
    story.wire.cut();
    screen.press("k");
    wait_says(&mut screen, &["✗ far cannot be reached", "Check the VPN"]);

    story.wire.clear();
    screen.wait("far is back", |text| cluster(text, "far", "● ready"));
    screen.wait("the forward is back", |text| text.contains("● live"));
    until("and works", || works(&address));
    let row = screen.line("→ web").unwrap();
    assert!(row.contains("● live") && !row.contains("broke"), "nothing is wrong any more: {row}");

    // What happened meanwhile is seen: the watch lists anew.
    let pod = story.space.pods().remove(0);
    kubectl(&["-n", &story.space.0, "delete", "pod", &pod, "--wait=false", "--grace-period=1"]);
    screen.wait_for("◇ listening");
    screen.signal(rustix::process::Signal::TERM);
    assert!(screen.wait_end().success());
    drop(story.home);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn what_is_asked_of_a_dead_cluster_fails_in_its_own_time_and_says_so() {
    let admin = kubeconfig();
    let (story, mut screen) = Story::new("dead", &admin);
    screen.press("1\r");
    screen.wait("far is ready", |text| cluster(text, "far", "● ready"));
    story.wire.cut();
    screen.press("2c");
    screen.wait_for("✗ web");
    screen.press("i");
    wait_dialog(&mut screen, &["far cannot be reached", "Check the VPN"]);
    screen.press("\x1b");
    screen.wait_gone(" Error ");
    story.wire.clear();
    screen.press("c");
    screen.wait("a ready pod", |text| text.lines().any(|line| line.contains("brow-web-") && line.contains("● ready")));
    screen.signal(rustix::process::Signal::TERM);
    assert!(screen.wait_end().success());
}

/// Quits with the pods of the run, one of which is being made by a server that has just stopped answering; the screen
/// once the program says what it waits for.
fn leave_with_a_pod_under_way(story: &Story, screen: &mut Screen) {
    screen.press("1\r");
    screen.wait("far is ready", |text| cluster(text, "far", "● ready"));
    story.wire.stall();
    screen.press("2c");
    screen.wait_for("Creating a proxy pod for web");
    screen.press("q");
    screen.wait_for("Quit and delete pods");
    screen.press("\x1b[C\x1b[C\r");
    screen.wait_for("Waiting until this run's proxy pods are deleted");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_pod_that_takes_long_to_be_made_goes_with_the_program_all_the_same() {
    let admin = kubeconfig();
    let (story, mut screen) = Story::new("slow", &admin);
    leave_with_a_pod_under_way(&story, &mut screen);
    // The outage itself: longer than the program waits for anything else at its end, which began a second ago.
    screen.look(Duration::from_secs(8));
    assert!(screen.text().contains("Waiting until this run's proxy pods are deleted"), "it waits: {}", screen.text());
    story.wire.clear();
    assert!(screen.wait_end().success());
    assert!(!screen.text().contains("may remain") && !screen.text().contains("may still"), "{}", screen.text());
    assert!(story.space.pods().is_empty());
    let audit = std::fs::read_dir(story.home.path().join(".local/state/brow/audit")).unwrap();
    let audit: String = audit.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    assert!(audit.contains("create-pod") && audit.contains("delete-pod"), "it was made: {audit}");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn what_may_remain_is_said_with_its_end() {
    let admin = kubeconfig();
    let (story, mut screen) = Story::new("remains", &admin);
    leave_with_a_pod_under_way(&story, &mut screen);
    screen.signal(rustix::process::Signal::INT);
    assert!(screen.wait_end().success());
    let place = format!("far/{}/web", story.space.0);
    let text = screen.text();
    assert!(says(&text, &format!("A pod may still be created for {place}")), "{text}");
    assert!(says(&text, "Kubernetes ends it 5m after its start (its TTL)"), "{text}");
}
