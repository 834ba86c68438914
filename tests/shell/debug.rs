//! Debug containers: offered where a container has no shell, and told of where they cannot be.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::common::kube::kubectl;
use crate::common::{Home, Screen, Start};
use crate::{Pods, audit, pod, text};

/// A shell in the practice cluster's container that has none.
fn bare(home: &Home, args: &[&str]) -> Screen {
    let start =
        Start::new(home).size(100, 30).arg("--practice").arg("shell").arg("daemonset/echo").arg("-n").arg("harbor");
    args.iter().copied().fold(start, Start::arg).run()
}

#[test]
fn a_container_without_a_shell_gets_a_debug_container_beside_it() {
    let home = Home::new("");
    let mut screen = bare(&home, &[]);
    screen.wait("the offer", |text| text.contains("There is no sh in") && text.contains("[y/N]"));
    screen.press("y\r");
    screen.wait("the prompt", |text| text.contains("its entry stays in the pod") && text.trim_end().ends_with('$'));
    screen.press("hostname\r");
    screen.wait_for("\necho-");
    screen.press("exit 4\r");
    assert_eq!(screen.wait_end().exit_code(), 4, "{}", screen.text());
    assert!(screen.given_back());

    let mut screen = bare(&home, &[]);
    screen.wait_for("[y/N]");
    screen.press("n\r");
    assert_eq!(screen.wait_end().exit_code(), 1, "{}", screen.text());

    // Asked for, and left by the chord.
    let mut screen = bare(&home, &["--debug", "--profile", "netadmin"]);
    screen.wait("the prompt", |text| text.contains("its entry stays in the pod") && text.trim_end().ends_with('$'));
    screen.press("stty size\r");
    screen.wait_for("30 100");
    screen.press("~.");
    assert!(screen.wait_end().success(), "{}", screen.text());
    assert!(screen.given_back() && screen.text().contains("Left"), "{}", screen.text());

    // Asked for, with an image that cannot be pulled.
    let mut screen = bare(&home, &["--debug", "--image", "registry.invalid/tools:1", "--profile", "restricted"]);
    assert_eq!(screen.wait_end().exit_code(), 1, "{}", screen.text());
    assert!(screen.text().contains("cannot be pulled"), "{}", screen.text());
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_debug_container_that_cannot_be_is_told_of_and_the_pod_stays_as_it_is() {
    let (pods, home) = (Pods::new("debug", &[pod("one", &["main"])]), Home::new(""));
    let output = pods.run(&home, &["pod/one", "--debug", "--profile", "baseline", "--", "hostname"], b"");
    let said = text(&output.stderr);
    let added =
        kubectl(&["-n", &pods.namespace.0, "get", "pod", "one", "-o", "jsonpath={.spec.ephemeralContainers[*].name}"]);
    if added.is_empty() {
        // A server below 1.23 has none.
        assert!(output.status.code() == Some(2) && said.contains("ephemeral containers from 1.25"), "{said}");
    } else {
        assert!(output.status.success() && text(&output.stdout) == "one\n", "{said}");
    }

    // Without the right to it, with the Role that grants it, and a line in the audit log.
    let person = pods.namespace.kubeconfig(&home);
    let mut command = Command::new(env!("CARGO_BIN_EXE_brow-tui"));
    command.env_clear().env("HOME", home.path()).env("KUBECONFIG", person).args(["shell", "pod/one", "--debug"]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no right to patch pods/ephemeralcontainers") && said.contains(&pods.namespace.0), "{said}");
    let last = audit(&home).pop().unwrap();
    assert_eq!(
        (&last["action"], &last["thing"], &last["fault"]),
        (&json!("open-shell"), &json!("pod/one"), &json!("forbidden"))
    );
}
