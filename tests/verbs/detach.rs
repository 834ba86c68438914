//! `connect --detach` and `forward start`: forwards that stay.

use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::common::kube::{Namespace, until, until_within};
use crate::common::through::{in_line, works};
use crate::common::{Home, Start, TIMEOUT};
use crate::shell::{Shell, WEB, address, sockets};

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_detached_instance_outlives_its_terminal_and_ends_with_its_last_forward() {
    let (home, space) = (Home::new(WEB), Namespace::new("detach"));
    let config = space.kubeconfig(&home);
    let shell = Shell { home: &home, kubeconfig: Some(config.clone()) };
    let pid_of = |text: &str| serde_json::from_str::<Value>(text).unwrap()[0]["pid"].as_u64().unwrap();

    // From a terminal that closes at once.
    let start = Start::new(&home).kubeconfig(&config).size(150, 40);
    let mut screen = start.arg("connect").arg("web").arg("--detach").arg("--on-quit").arg("delete").run();
    let shown = screen.wait("its line", |text| text.contains("web") && in_line(text).is_some_and(|at| works(&at)));
    let at = in_line(&shown).unwrap();
    assert!(screen.wait_end().success());
    drop(screen);
    assert!(works(&at));
    let pid = pid_of(&shell.ok(&["forward", "list", "--json"]));
    let about = ps(&["-o", "pgid=,tty=", "-p", &pid.to_string()]);
    let (group, terminal) = about.trim().split_once(' ').unwrap();
    assert_eq!(group, pid.to_string(), "a session of its own");
    assert!(terminal.trim().starts_with('?'), "without a terminal: {about}");
    assert!(shell.ok(&["forward", "list"]).contains("background"));
    shell.ok(&["forward", "stop", "web"]);
    until("its pod went along", || space.pods().is_empty());
    until("its socket went along", || sockets(&home).is_empty());

    // It outlives the TTL of its pod, unless the target says otherwise.
    shell.ok(&["config", "edit", "web", "--ttl", "30s", "--create-timeout", "1m"]);
    let at = address(&shell.ok(&["forward", "start", "web", "-q"]));
    assert!(works(&at), "{at}");
    let list = || shell.list(&["forward", "list", "--json"]);
    let state = || serde_json::from_str::<Value>(&list()).unwrap()[0]["state"].take();
    until("its pod has expired", || state() == "listening");
    assert!(works(&at), "the next connection is served");
    shell.ok(&["config", "edit", "web", "--recreate", "false"]);
    until_within(2 * TIMEOUT, "it has ended with its second pod", || sockets(&home).is_empty());
    // What fails is told, with its exit code.
    let failed = shell.run(&["forward", "start", "none"]);
    assert!(failed.code == 3 && failed.err.contains("no saved target"), "{} {}", failed.code, failed.err);
    assert_eq!(shell.run(&["--practice", "forward", "start", "redis"]).code, 2);
}

/// The processes whose command line names this home: instances in the background.
fn left(home: &Home) -> usize {
    let home = home.path().display().to_string();
    ps(&["-A", "-ww", "-o", "args="]).lines().filter(|line| line.contains(&home)).count()
}

/// Returns the output of ps(1), on Linux as on a Mac.
fn ps(args: &[&str]) -> String {
    String::from_utf8_lossy(&Command::new("ps").args(args).output().unwrap().stdout).into_owned()
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn ended_while_it_starts_it_leaves_nothing() {
    // Its image is nowhere: it is never ready.
    let (home, space) = (Home::new(&format!("{WEB}image = \"nowhere.invalid/none\"\n")), Namespace::new("halfway"));
    let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
    for (signal, number) in [(Signal::INT, 2), (Signal::TERM, 15), (Signal::HUP, 1)] {
        let starting = shell.spawn(&["connect", "web", "--detach", "--timeout", "3m"]);
        until("its pod is there", || space.pods().len() == 1);
        assert_eq!(left(&home), 1);
        starting.signal(signal);
        let (code, err) = starting.end();
        assert_eq!(code, 128 + number, "{err}");
        assert_eq!((space.pods(), left(&home), sockets(&home).len()), (Vec::new(), 0, 0), "{err}");
    }
    // Whoever is killed can do nothing; the instance notices.
    let starting = shell.spawn(&["forward", "start", "web", "--timeout", "3m"]);
    until("its pod is there", || space.pods().len() == 1);
    drop(starting);
    until("it has ended by itself", || left(&home) == 0);
    assert_eq!((space.pods(), sockets(&home).len()), (Vec::new(), 0));
}
