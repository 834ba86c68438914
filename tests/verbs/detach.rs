//! `connect --detach` and `forward start`: forwards that stay.

use std::fs;

use serde_json::Value;

use crate::common::kube::{Namespace, kubeconfig, until};
use crate::common::through::{in_line, works};
use crate::common::{Home, Start};
use crate::shell::{Shell, WEB, address, sockets};

#[test]
fn a_detached_instance_outlives_its_terminal_and_ends_with_its_last_forward() {
    let Some(_) = kubeconfig("a_detached_instance_outlives_its_terminal_and_ends_with_its_last_forward") else {
        return;
    };
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
    let about = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = about.rsplit(')').next().unwrap().split_whitespace().collect();
    assert_eq!((fields[3], fields[4]), (pid.to_string().as_str(), "0"), "a session of its own, without a terminal");
    assert!(shell.ok(&["forward", "list"]).contains("background"));
    shell.ok(&["forward", "stop", "web"]);
    until("its pod went along", || space.pods().is_empty());
    until("its socket went along", || sockets(&home).is_empty());

    // The TTL of its pod ends it too.
    shell.ok(&["config", "edit", "web", "--ttl", "15s"]);
    let line = shell.ok(&["forward", "start", "web", "-q"]);
    assert!(works(&address(&line)), "{line}");
    until("it has ended with its pod", || sockets(&home).is_empty());
    // What fails is told, with its exit code.
    let failed = shell.run(&["forward", "start", "none"]);
    assert!(failed.code == 3 && failed.err.contains("no saved target"), "{} {}", failed.code, failed.err);
    assert_eq!(shell.run(&["--practice", "forward", "start", "redis"]).code, 2);
}
