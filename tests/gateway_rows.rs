//! Gateways in the dashboard, in a real engine: their rows, their states as they change, and the keys.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;
#[path = "gateway/lab.rs"]
#[allow(dead_code, reason = "only a part of it is needed")]
mod lab;
#[path = "verbs/shell.rs"]
#[allow(dead_code, reason = "only the part that runs the program is needed")]
mod shell;

use common::arrange::quit;
use common::{Screen, Start};
use lab::{Lab, docker, engine, host, local, tcp_echoes};

/// The dashboard with the context of a lab, whose API server is not there.
fn dashboard(lab: &Lab) -> Screen {
    let kubeconfig = lab.home.kubeconfig(&[&lab.context()]);
    Start::new(&lab.home).kubeconfig(kubeconfig).env("DOCKER_HOST", &host()).size(200, 50).run()
}

#[test]
#[cfg_attr(not(docker), ignore = "needs an engine: set BROW_TEST_DOCKER_HOST")]
fn a_gateway_is_a_row_that_follows_the_engine_and_the_keys() {
    let _engine = engine();
    let lab = Lab::new("rows");
    // Without a target it would be a first start.
    lab.home.write_config("[[target]]\nname = \"other\"\ncluster = \"none\"\naddress = \"10.0.0.1:7\"\n");
    let mut screen = dashboard(&lab);
    screen.wait_for("k3d-rows");
    let out = lab.create(&["30999", "30998/udp"]);
    let [tcp, udp] = ["30999", "30998/udp"].map(|port| local(&out, port));
    // Made by somebody else, as far as the dashboard knows.
    screen.wait_for(&tcp.to_string());
    screen.wait_for(&format!("{udp}/udp"));
    // Others may be there.
    screen.press("4/rows\r");
    screen.wait_for("docker/brow-gateway-k3d-rows");
    tcp_echoes(tcp);
    screen.wait("its bytes are read", |text| text.contains("moved"));
    screen.press("x");
    screen.wait_for("○ stopped");
    assert_eq!(docker(&["inspect", "-f", "{{.State.Running}}", &lab.gateway()]), "false");
    screen.press("\r");
    screen.wait_gone("○ stopped");
    tcp_echoes(tcp);
    screen.press("l");
    screen.wait_for("Log of brow-gateway-k3d-rows");
    screen.escape("Log of brow-gateway-k3d-rows");
    docker(&["kill", &lab.gateway()]);
    screen.wait_for("○ stopped");
    screen.press("D");
    screen.wait_for("Delete gateway brow-gateway-k3d-rows");
    screen.press("\r");
    screen.wait_gone("Delete gateway");
    assert_ne!(lab.gateway(), "", "Cancel is the first button");
    screen.press("D");
    screen.wait_for("Delete gateway brow-gateway-k3d-rows");
    screen.press("l\r");
    screen.wait_gone(&tcp.to_string());
    assert_eq!(lab.gateway(), "");
    quit(screen);
}

#[test]
#[cfg_attr(not(docker), ignore = "needs an engine: set BROW_TEST_DOCKER_HOST")]
fn a_target_becomes_a_gateway_that_is_there_when_the_dashboard_is_not() {
    let _engine = engine();
    let lab = Lab::new("persist");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    lab.home.write_config(&format!(
        "[[target]]\nname = \"echo\"\ncluster = \"{}\"\nnode = \"30999\"\nlocal_port = {free}\npersist = true\n\
         probe = \"tcp\"\nprobe_interval = \"1s\"\n\
         [[target]]\nname = \"web\"\ncluster = \"{}\"\nnode = \"30080\"\n",
        lab.context(),
        lab.context()
    ));
    let mut screen = dashboard(&lab);
    screen.wait_for("node/30999");
    screen.press("\r");
    screen.wait_for("● running");
    let local = std::net::SocketAddr::from(([127, 0, 0, 1], free));
    tcp_echoes(local);
    // The other is added to the same container.
    screen.press("jP");
    screen.wait("both run", |text| text.matches("docker/brow-gateway-k3d-persist").count() == 2);
    screen.wait("the probe of the first", |text| text.contains("✓"));
    quit(screen);
    tcp_echoes(local);
    let listed = lab.ok(&["gateway", "list"]);
    assert!(listed.contains(":30999") && listed.contains(":30080"), "{listed}");
    let audit = std::fs::read_dir(lab.home.path().join(".local/state/brow/audit")).unwrap().next().unwrap().unwrap();
    assert_eq!(std::fs::read_to_string(audit.path()).unwrap().matches("create-gateway").count(), 2);
}
