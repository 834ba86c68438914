//! Pods that are refused, that wait, or that go away: the server's own words, and what to do next.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;

use std::path::Path;

use common::arrange::{FakeApi, Kubeconfig, quit, says, status, wait_deleted, wait_dialog, wait_says};
use common::kube::{Namespace, kubeconfig, kubectl, until};
use common::through::{local, works};
use common::{Home, Screen, Start};
use serde_json::json;

/// A target of the context `story`: of somebody with rights in one namespace only, who sees no pods of other tests.
fn target(name: &str, namespace: &str, more: &str) -> String {
    format!(
        "[[target]]\nname = \"{name}\"\ncluster = \"story\"\nnamespace = \"{namespace}\"\n\
         address = \"10.99.0.10:8080\"\nttl = \"5m\"\n{more}\n"
    )
}

/// A program under a name of its own: what others leave behind is not its to clean up.
fn start<'a>(home: &'a Home, kubeconfig: &Path, me: &str, size: (u16, u16)) -> Start<'a> {
    Start::new(home).kubeconfig(kubeconfig).env("USER", me).size(size.0, size.1)
}

/// Opens the fault of the row that has the keys, checks its words, closes it.
#[track_caller]
fn in_full(screen: &mut Screen, words: &[&str]) {
    screen.press("i");
    wait_dialog(screen, words);
    screen.press("\x1b");
    screen.wait_gone(" Error ");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_pod_that_is_refused_leaves_the_reason_with_its_target() {
    let kubeconfig = kubeconfig();
    let space = Namespace::new("refused");
    let name = space.0.as_str();
    kubectl(&["-n", name, "create", "quota", "none", "--hard=pods=0"]);
    until("the quota is counted", || {
        !kubectl(&["-n", name, "get", "quota", "none", "-o", "jsonpath={.status.hard.pods}"]).is_empty()
    });
    let missing = format!("{name}-not-there");
    let config = target("a-quota", name, "") + &target("b-missing", &missing, "");
    let config = config + &target("c-label", name, "labels = { \"no label\" = \"x\" }");
    let all = Kubeconfig::of_cluster(&kubeconfig).context("story", "brow", "admin", name);
    for size in [(80, 24), (200, 50)] {
        let home = Home::new(&config);
        let mut screen = start(&home, &all.write(&home.path().join("kc")), name, size).run();
        screen.wait_for("c-label");
        screen.press("2ac");
        screen.wait("all three failed", |text| {
            let failed = |name: &&str| text.contains(&format!("✗ {name}"));
            ["a-quota", "b-missing", "c-label"].iter().all(failed)
        });
        screen.wait_gone("✓ 3");
        screen.press("g");
        let of_quota = format!("kubectl describe resourcequota -n {name} shows");
        in_full(
            &mut screen,
            &["A quota leaves no room for a-quota", "exceeded quota: none", "limited: pods=0", &of_quota],
        );
        screen.press("j");
        let create = format!("kubectl create namespace {missing}");
        in_full(&mut screen, &[&format!("{missing} does not exist"), &create, "give the target another namespace"]);
        screen.press("j");
        in_full(&mut screen, &["rejected c-label", "no label", "labels"]);
        quit(screen);
    }
}

#[test]
fn what_admission_says_is_told_word_for_word() {
    // The test cluster is too old for Pod Security, and has no webhooks: its words are played by a server of ours, as
    // policy/admission and the webhook dispatcher of Kubernetes write them.
    let security = "pods \"brow-web-abcdef\" is forbidden: violates PodSecurity \"restricted:latest\": seccompProfile \
        (pod or container \"relay\" must set securityContext.seccompProfile.type to \"RuntimeDefault\")";
    let webhook = "admission webhook \"validate.example.com\" denied the request: every pod needs a label cost-center";
    // A policy names the reason, and with that the status, of its refusal itself.
    let policy = "pods \"brow-web-abcdef\" is forbidden: ValidatingAdmissionPolicy 'relays.example.com' with binding \
        'relays-in-team' denied request: relays need a label cost-center";
    for (code, reason, words, wanted) in [
        (403, "Forbidden", security, "Pod Security does not admit web"),
        (403, "Forbidden", webhook, "The cluster's admission control refused web"),
        (422, "Invalid", policy, "The cluster's admission control refused web"),
        (401, "Unauthorized", policy, "The cluster's admission control refused web"),
    ] {
        let said = status(code, reason, words);
        let server = FakeApi::new(move |method, _| (method == "POST").then(|| said.clone()));
        let home = Home::new(&target("web", "team", ""));
        let all = Kubeconfig::empty().cluster("fake", &json!({ "server": server.url }));
        let all = all.user("ann", json!({ "token": "t" })).context("story", "fake", "ann", "team");
        let path = all.write(&home.path().join("kc"));
        let mut screen = start(&home, &path, "ann", (80, 24)).run();
        screen.wait_for("web");
        screen.press("2c");
        screen.wait_for("✗ web");
        in_full(&mut screen, &[wanted, words]);
        // A forward that wanted the pod says the same, and is no harder to read.
        screen.press("f");
        screen.wait_for("! no pod");
        screen.press("4");
        in_full(&mut screen, &[wanted, words]);
        screen.press("x");
        screen.wait_for("No forwards");
        quit(screen);
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_pod_that_waits_says_for_what() {
    let space = Namespace::new("waits");
    let name = space.0.as_str();
    let config = target("image", name, "image = \"nowhere.invalid/none:1\"")
        + &target("node", name, "node_selector = { nowhere = \"yes\" }")
        + &target("never", name, "image = \"never.invalid/none:1\"\npull_policy = \"Never\"");
    let home = Home::new(&config);
    let mut screen = start(&home, &space.kubeconfig(&home), name, (200, 50)).run();
    screen.wait_for("never");
    screen.press("2ac");
    let row = |text: &str, pod: &str, words: &str| text.lines().any(|line| line.contains(pod) && line.contains(words));
    screen.wait("each pod's reason in its row", |text| {
        (row(text, "brow-image-", "ErrImagePull") || row(text, "brow-image-", "ImagePullBackOff"))
            && row(text, "brow-node-", "nodes are available")
            && row(text, "brow-never-", "ErrImageNeverPull")
    });
    screen.press("3/brow-image\r");
    screen.wait_for("/ brow-image");
    wait_says(&mut screen, &["cannot be pulled", "nowhere.invalid/none:1", "pull_secrets can be set in the config"]);
    screen.press("\x1b");
    screen.wait_gone("/ brow-image");
    screen.press("/brow-node\r");
    wait_says(
        &mut screen,
        &["No node can run brow-node-", "nodes are available", "Check node_selector, tolerations and resources"],
    );
    screen.resize(80, 24);
    wait_says(&mut screen, &["No node can run brow-node-", "Check node_selector"]);
    screen.press("X");
    screen.signal(rustix::process::Signal::TERM);
    assert!(screen.wait_end().success());
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_forward_whose_pod_is_deleted_moves_to_another_and_says_when_there_is_none() {
    let space = Namespace::new("deleted");
    let name = space.0.as_str();
    let home = Home::new(&target("web", name, "recreate = false"));
    let mut screen = start(&home, &space.kubeconfig(&home), name, (120, 40)).run();
    screen.wait_for("web");
    screen.press("2c");
    screen.wait("one pod", |text| text.matches("● ready").count() == 2 && text.contains("pod ready"));
    screen.press("\r");
    let shown = screen.wait("live", |text| text.contains("● live") && local(text).is_some());
    let address = local(&shown).unwrap();
    assert!(works(&address));
    let first = space.pods().remove(0);
    screen.press("c");
    screen.wait("two pods", |text| text.contains("Proxy pods 2") && !text.contains("◌"));
    until("both are ready", || {
        let ready = "jsonpath={.items[*].status.containerStatuses[0].ready}";
        kubectl(&["-n", name, "get", "pods", "-o", ready]) == "true true"
    });
    let second = space.pods().into_iter().find(|pod| *pod != first).unwrap();
    screen.wait("the second is ready here too", |text| {
        text.lines().filter(|line| line.contains("brow-web-") && line.contains("● ready")).count() == 2
    });

    // It went through one of them: whichever is deleted, the other takes over.
    screen.press("4");
    let via = |text: &str, pod: &str| {
        text.lines()
            .any(|line| line.contains("→ web") && line.contains(&pod[pod.len() - 6..]) && line.contains("● live"))
    };
    let (mine, other) = if via(&screen.text(), &first) { (&first, &second) } else { (&second, &first) };
    kubectl(&["-n", name, "delete", "pod", mine, "--wait=false", "--grace-period=1"]);
    screen.wait("it moves", |text| via(text, other));
    until("and works", || works(&address));
    screen.press("L");
    wait_says(&mut screen, &[&format!("web now goes through pod {other}")]);
    screen.press("L4");

    kubectl(&["-n", name, "delete", "pod", other, "--wait=false", "--grace-period=1"]);
    screen.wait_for("! no pod");
    in_full(&mut screen, &[&format!("Pod {other} was deleted"), "Connect the target again"]);
    assert!(!works(&address), "a connection fails at once, and only it");
    // That one key is enough.
    screen.press("2\r");
    screen.wait("live again", |text| text.contains("● live"));
    until("it works again", || works(&address));
    screen.press("4x");
    screen.wait_for("No forwards");
    screen.press("3aX");
    wait_deleted(&mut screen, |text| text.contains("Proxy pods 0"));
    quit(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn an_evicted_pod_says_so_and_its_forward_does_too() {
    let space = Namespace::new("evicted");
    let name = space.0.as_str();
    let home = Home::new(&target("web", name, ""));
    let mut screen = start(&home, &space.kubeconfig(&home), name, (120, 40)).run();
    screen.wait_for("web");
    screen.press("2\r");
    screen.wait_for("● live");
    let pod = space.pods().remove(0);
    // As pkg/kubelet/eviction writes it.
    let words = "The node was low on resource: memory.";
    let patch = json!({ "status": { "phase": "Failed", "reason": "Evicted", "message": words } }).to_string();
    let subresource = ["patch", "pod", &pod, "--subresource=status", "--type=merge", "-p", &patch];
    kubectl(&[&["-n", name], &subresource[..]].concat());
    screen.wait("the pod's row or its forward says it", |text| says(text, "The node evicted") || says(text, words));
    screen.press("4");
    screen.wait_for("◇ listening");
    in_full(&mut screen, &[&format!("The node evicted {pod}"), words, "Create it again"]);
    screen.press("x");
    screen.wait_for("No forwards");
    screen.signal(rustix::process::Signal::TERM);
    assert!(screen.wait_end().success());
}
