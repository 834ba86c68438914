//! `pod`, and all verbs over a practice cluster.

use std::fs;

use serde_json::{Value, json};

use crate::common::arrange::Kubeconfig;
use crate::common::kube::{Namespace, until};
use crate::common::{Home, Start};
use crate::shell::{Shell, WEB};

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn pods_from_a_script() {
    let (home, space) = (Home::new(WEB), Namespace::new("podverbs"));
    let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
    let made = shell.ok(&["pod", "create", "web", "--ttl", "10m"]);
    let name = made.trim();
    assert_eq!(space.pods(), [name]);
    let list: Value = serde_json::from_str(&shell.ok(&["pod", "list", "--json"])).unwrap();
    let pod = &list[0];
    assert_eq!((&pod["name"], &pod["phase"], &pod["mine"]), (&name.into(), &"ready".into(), &true.into()));
    assert!((1..=600).contains(&pod["left_seconds"].as_i64().unwrap()), "{pod}");
    assert!(shell.ok(&["pod", "list"]).contains(name));
    assert!(shell.ok(&["pod", "info", name]).contains(name));
    let info: Value = serde_json::from_str(&shell.ok(&["pod", "info", name, "--json"])).unwrap();
    assert!(info["description"].as_array().unwrap().len() > 5, "{info}");
    // The forward takes the pod that is there.
    shell.ok(&["connect", "web", "-q", "--exec", "true"]);
    assert_eq!(space.pods(), [name]);
    assert_eq!(shell.run(&["pod", "cleanup"]).code, 2, "nobody can be asked");
    shell.ok(&["pod", "cleanup", "--yes"]);
    assert_eq!(space.pods(), [name], "it is neither finished nor expired");
    let unasked = shell.run(&["pod", "delete", "brow-web-*"]);
    assert!(unasked.code == 2 && unasked.err.contains("--yes"), "{} {}", unasked.code, unasked.err);
    let dry = shell.ok(&["pod", "delete", "brow-web-*", name, "--dry-run"]);
    assert!(dry.lines().count() == 1 && dry.contains(name), "{dry}");
    assert_eq!(space.pods(), [name]);
    // At a terminal it is asked.
    for (answer, code) in [("n\r", 1), ("y\r", 0)] {
        let start = Start::new(&home).kubeconfig(space.kubeconfig(&home));
        let mut screen = start.arg("pod").arg("delete").arg(name).run();
        screen.wait_for("[y/N]");
        assert!(screen.text().contains(name), "{}", screen.text());
        assert_eq!(space.pods(), [name]);
        screen.press(answer);
        assert_eq!(screen.wait_end().exit_code(), code);
    }
    until("the pod is gone", || space.pods().is_empty());
    let over = shell.ok(&["pod", "create", "web", "-q", "--ttl", "20s"]);
    let dry = || shell.ok(&["pod", "cleanup", "--dry-run"]);
    until("it has expired", || dry().contains(over.trim()));
    assert_eq!(space.pods(), [over.trim()]);
    assert!(shell.ok(&["pod", "cleanup", "--yes"]).contains(over.trim()));
    until("it is cleaned up", || space.pods().is_empty());
    assert_eq!(shell.run(&["pod", "info", "brow-none"]).code, 3);
    assert_eq!(shell.run(&["pod", "list", "--cluster", "none"]).code, 3);
    assert_eq!(shell.run(&["pod", "create", "web", "--ttl", "99h"]).code, 1);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_saved_cluster_that_is_down_fails_only_what_is_about_it() {
    let far = "[[target]]\nname = \"far\"\ncluster = \"down\"\naddress = \"10.0.0.1:1\"\n";
    let (home, space) = (Home::new(&format!("{WEB}{far}")), Namespace::new("unrelated"));
    let all =
        Kubeconfig::of_cluster(&space.kubeconfig(&home)).cluster("down", &json!({ "server": "https://127.0.0.1:1" }));
    let all = all.context("story", "brow", "person", &space.0).context("down", "down", "person", "default");
    let shell = Shell { home: &home, kubeconfig: Some(all.write(&home.path().join("two"))) };
    for which in ["brow-web-*", ""] {
        let made = shell.ok(&["pod", "create", "web", "-q"]);
        let name = if which.is_empty() { made.trim() } else { which };
        let done = shell.run(&["pod", "delete", name, "--yes"]);
        assert_eq!((done.code, done.out.contains(made.trim())), (0, true), "{name}: {} {}", done.out, done.err);
        assert!(done.err.contains("down cannot be reached"), "it is told: {}", done.err);
    }
    for (args, code) in [
        (&["pod", "cleanup", "--yes"][..], 0),
        (&["pod", "cleanup", "--dry-run"], 0),
        (&["pod", "cleanup", "--yes", "--context", "down"], 1),
        (&["pod", "delete", "none-*", "--yes"], 1),
        (&["pod", "list"], 1),
    ] {
        let done = shell.run(args);
        assert_eq!(done.code, code, "{args:?}: {}", done.err);
    }
    until("the pods are gone", || space.pods().is_empty());
}

#[test]
fn practice_has_the_verbs_too_and_leaves_nothing() {
    let home = Home::new("");
    let shell = Shell { home: &home, kubeconfig: None };
    let pong = shell.ok(&["--practice", "connect", "redis", "-q", "--exec", "sh", "-c", "echo $BROW_PORT; exit 0"]);
    assert!(pong.trim().parse::<u16>().is_ok(), "{pong}");
    // A real client, as docs/scripting.md has it.
    let client = ["--practice", "connect", "redis", "--exec", "sh", "-c", "redis-cli -p \"$BROW_PORT\" ping"];
    assert_eq!(shell.ok(&client), "PONG\n");
    // It ends by itself, too.
    assert_eq!(shell.ok(&["--practice", "connect", "redis", "hello-page", "-q", "--for", "10s"]).lines().count(), 2);
    let targets: Value = serde_json::from_str(&shell.ok(&["config", "list", "--json", "--practice"])).unwrap();
    assert!(targets.as_array().unwrap().len() > 5);
    assert!(shell.ok(&["--practice", "pod", "create", "hello-page", "--quiet"]).starts_with("brow-hello-page-"));
    let failed = shell.run(&["--practice", "pod", "create", "try-bad-image", "--timeout", "20s"]);
    assert!(failed.code == 1 && failed.err.contains("cannot be pulled"), "{}", failed.err);
    assert!(fs::read_dir(home.path()).unwrap().next().is_none(), "nothing is left");
}
