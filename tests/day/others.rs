//! Other instances show a forward as its owner does.

use serde_json::Value;
use std::process::Command;

use crate::common::kube::{Namespace, until};
use crate::common::story::wait_state;
use crate::common::{Home, Start};
use crate::{end, web};

/// The state of the only forward, as `forward list --json` says it.
fn listed(home: &Home) -> Value {
    let mut list = Command::new(env!("CARGO_BIN_EXE_brow-tui"));
    list.env_clear().env("HOME", home.path()).args(["forward", "list", "--json"]);
    let output = list.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    rows.pop().map(|mut row| row["state"].take()).unwrap_or_default()
}

#[test]
fn what_listens_is_not_shown_as_live() {
    let home = Home::new(&web("on_demand = true\nautostart = true\n"));
    let kubeconfig = home.kubeconfig(&["story"]);
    let start = || Start::new(&home).kubeconfig(&kubeconfig).size(150, 40).run();
    let mut owner = start();
    wait_state(&mut owner, "◇ listening");
    until("it is listed as what it is", || listed(&home) == "listening");
    let mut other = start();
    other.wait_for(&format!("pid {}, dashboard", owner.pid()));
    wait_state(&mut other, "◇ listening");
    end(owner);
    end(other);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn what_is_down_is_down_everywhere() {
    let space = Namespace::new("down");
    // Nobody is at that port.
    let home = Home::new(&web("ttl = \"5m\"\nprobe = \"tcp\"\nprobe_interval = \"1s\"\n").replace(":8080", ":81"));
    let kubeconfig = space.kubeconfig(&home);
    let start = || Start::new(&home).kubeconfig(&kubeconfig).size(150, 40).run();
    let mut owner = start();
    owner.wait_for("10.99.0.10:81");
    owner.press("\r");
    wait_state(&mut owner, "▼ down");
    until("it is listed as what it is", || listed(&home) == "down");
    let mut other = start();
    other.wait_for(&format!("pid {}, dashboard", owner.pid()));
    wait_state(&mut other, "▼ down");
    end(other);
    end(owner);
}
