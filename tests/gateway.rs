//! Gateways in a real engine: what goes through them, what they survive, and what is said when they cannot work.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;
#[path = "gateway/lab.rs"]
mod lab;
#[path = "verbs/shell.rs"]
#[allow(dead_code, reason = "only the part that runs the program is needed")]
mod shell;

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use common::Home;
use common::kube::until;
use lab::{Lab, docker, engine, host, local, page, restart_engine, tcp_echoes, udp_echoes, whole_engine};
use shell::{Done, Shell};

#[test]
#[cfg_attr(not(docker), ignore = "needs an engine: set BROW_TEST_DOCKER_HOST")]
fn tcp_http_and_udp_pass_whole_before_and_after_restarts() {
    let _engine = engine();
    let lab = Lab::new("whole");
    let out = lab.create(&["30999", "30080", "30998/udp"]);
    let [tcp, http, udp] = ["30999", "30080", "30998/udp"].map(|port| local(&out, port));
    let all_pass = || {
        tcp_echoes(tcp);
        assert!(page(http).contains(&lab.node()));
        udp_echoes(udp);
    };
    all_pass();
    docker(&["restart", "-t", "1", &lab.gateway()]);
    all_pass();
    docker(&["restart", "-t", "0", &lab.node()]);
    all_pass();
}

#[test]
#[cfg_attr(not(docker), ignore = "needs an engine: set BROW_TEST_DOCKER_HOST")]
fn a_node_that_was_made_again_is_found_at_its_new_address() {
    let _engine = engine();
    let lab = Lab::new("again");
    let out = lab.create(&["30999", "30998/udp"]);
    let address = || {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        docker(&["inspect", "-f", format, &lab.node()])
    };
    let before = address();
    docker(&["rm", "-f", &lab.node()]);
    // Somebody else gets its address: the engine gives the lowest that is free.
    let squatter = format!("brow-squatter-{}", std::process::id());
    let sleep = ["--entrypoint", "/bin/sh", "alpine/socat:latest", "-c", "sleep 600"];
    // The end of the lab takes it away, should this test fail.
    let label = format!("brow.gateway={}", lab.context());
    let options = ["run", "-d", "--rm", "--label", &label, "--name", &squatter, "--network", &lab.context()];
    docker(&[&options[..], &sleep].concat());
    lab.run_node();
    let after = address();
    docker(&["rm", "-f", &squatter]);
    assert_ne!(before, after);
    tcp_echoes(local(&out, "30999"));
    udp_echoes(local(&out, "30998/udp"));
}

#[test]
#[cfg_attr(not(docker), ignore = "needs an engine: set BROW_TEST_DOCKER_HOST")]
fn a_gateway_comes_back_with_the_engine_unless_it_was_stopped() {
    let _engine = whole_engine();
    let (lab, other) = (Lab::new("reboot"), Lab::new("stopped"));
    let out = lab.create(&["30999", "30998/udp"]);
    other.create(&["30999"]);
    other.ok(&["gateway", "stop", &other.context()]);
    restart_engine();
    // The stand-ins for nodes do not come back by themselves.
    docker(&["start", &lab.node(), &other.node()]);
    tcp_echoes(local(&out, "30999"));
    udp_echoes(local(&out, "30998/udp"));
    let listed = other.run(&["gateway", "list"]);
    assert!(listed.err.contains(&format!("Gateway {} does not run", other.gateway())), "{}", listed.err);
    other.ok(&["gateway", "start", &other.context()]);
}

#[test]
#[cfg_attr(not(docker), ignore = "needs an engine: set BROW_TEST_DOCKER_HOST")]
fn a_port_more_is_a_new_container_with_all_of_them() {
    let _engine = engine();
    let lab = Lab::new("more");
    let first = lab.create(&["30999"]);
    let before = lab.gateway();
    assert!(first.starts_with(&format!("created: {before}\n127.0.0.1:309")), "{first}");
    assert!(lab.create(&["30999"]).starts_with(&format!("unchanged: {before}")));
    let second = lab.create(&["30998/udp"]);
    let after = lab.gateway();
    assert!(second.starts_with(&format!("created: {after} in place of {before}")), "{second}");
    assert_ne!(before, after);
    assert_eq!(local(&first, "30999"), local(&second, "30999"), "a port keeps its local one");
    tcp_echoes(local(&second, "30999"));
    udp_echoes(local(&second, "30998/udp"));
    let json: serde_json::Value = serde_json::from_str(&lab.ok(&["gateway", "list", "--json"])).unwrap();
    let ours = json.as_array().unwrap().iter().find(|gateway| gateway["name"] == after).unwrap().clone();
    assert_eq!((&ours["state"], &ours["fault"]), (&"running".into(), &serde_json::Value::Null));
    assert_eq!(ours["ports"].as_array().unwrap().len(), 2);

    let spec = docker(&["inspect", &after, "--format", "{{json .HostConfig}} {{json .Config}}"]);
    for words in ["\"CapDrop\":[\"ALL\"]", "\"ReadonlyRootfs\":true", "no-new-privileges", "unless-stopped", "65534"] {
        assert!(spec.contains(words), "{words} in {spec}");
    }
    let audit = std::fs::read_dir(lab.home.path().join(".local/state/brow/audit")).unwrap().next().unwrap().unwrap();
    let audit = std::fs::read_to_string(audit.path()).unwrap();
    assert_eq!(audit.matches("create-gateway").count(), 2, "{audit}");
    // A gateway of another installation is left alone.
    let stranger = Home::new("");
    let mut command = Shell { home: &stranger, kubeconfig: None }.command(&["gateway", "delete", &after]);
    let done = Done::from(command.env("DOCKER_HOST", host()).output().unwrap());
    assert_eq!(done.code, 1);
    assert!(done.err.contains("was created by another installation"), "{}", done.err);
    lab.ok(&["gateway", "delete", &after]);
    assert_eq!(lab.gateway(), "");
    assert_eq!(lab.run(&["gateway", "logs", &after]).code, 3);
}

#[test]
#[cfg_attr(not(docker), ignore = "needs an engine: set BROW_TEST_DOCKER_HOST")]
fn what_cannot_work_is_said_with_what_to_do() {
    let _engine = engine();
    let lab = Lab::new("faults");
    let create = |more: &[&str]| {
        let context = lab.context();
        lab.run(&[&["gateway", "create", "--context", &context], more].concat())
    };
    let says = |done: &Done, code: i32, words: &[&str]| {
        assert_eq!(done.code, code, "{}", done.err);
        for words in words {
            assert!(done.err.contains(words), "{words} in {}", done.err);
        }
    };
    let unknown = lab.run(&["gateway", "create", "30999", "--context", "k3d-none"]);
    says(&unknown, 3, &["The engine has no local cluster k3d-none", &lab.context()]);
    says(&create(&["30999", "--node", "nobody"]), 3, &["There is no node nobody", &lab.node()]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().port();
    let pid = format!("pid {} (", std::process::id());
    let words = format!("Local port {taken} of the gateway is taken");
    says(&create(&[&format!("{taken}:30999")]), 1, &[&words, &pid, "before the colon"]);
    let image = create(&["30999", "--image", "localhost:1/none:1"]);
    says(&image, 1, &["Image localhost:1/none:1 cannot be pulled", "docker load"]);
    assert_eq!(lab.gateway(), "", "nothing is left of what failed");

    // It stays: the service may come later.
    let nowhere = create(&["30999", "30997/udp"]);
    says(&nowhere, 1, &[&format!("Nothing takes datagrams at {}:30997/udp", lab.node()), "protocol: UDP"]);
    assert!(!nowhere.err.contains("30999"), "TCP works: {}", nowhere.err);
    tcp_echoes(local(&nowhere.out, "30999"));
    let gateway = lab.gateway();
    let refused = create(&["30996"]);
    says(&refused, 1, &[&format!("Nothing answers at {}:30996", lab.node()), "NodePort"]);
    let held = create(&[&format!("{}:30080", local(&nowhere.out, "30999").port())]);
    says(&held, 1, &[&format!("held by container {}", lab.gateway())]);
    assert_ne!(gateway, lab.gateway());

    docker(&["network", "disconnect", &lab.context(), &lab.node()]);
    let listed = lab.run(&["gateway", "list"]);
    says(&listed, 0, &[&format!("Node {} and the gateway have no network", lab.node()), "docker network connect"]);
    says(&create(&["30995"]), 1, &[&format!("Node {} and the gateway have no network", lab.node())]);
    docker(&["network", "connect", &lab.context(), &lab.node()]);
    docker(&["stop", "-t", "0", &lab.node()]);
    says(&lab.run(&["gateway", "list"]), 0, &[&format!("Node {} does not run", lab.node())]);
    let end = docker(&["kill", &lab.gateway()]);
    until("it has ended", || {
        !lab.ok(&["gateway", "list"]).lines().any(|line| line.contains(&end) && line.contains("Up "))
    });
    says(&lab.run(&["gateway", "list"]), 0, &[&format!("Gateway {end} does not run"), "gateway start"]);
}

#[test]
#[cfg_attr(not(docker), ignore = "needs an engine: set BROW_TEST_DOCKER_HOST")]
fn connect_opens_a_target_that_is_to_persist_by_its_gateway_and_ends() {
    let _engine = engine();
    let lab = Lab::new("kept");
    let kubeconfig = lab.home.kubeconfig(&[&lab.context()]);
    let context = lab.context();
    let target = |name: &str, ports: &str| {
        format!("[[target]]\nname = \"{name}\"\ncluster = \"{context}\"\nnode = \"{ports}\"\npersist = true\n")
    };
    lab.home.write_config(&(target("echo", "30999,30998/udp") + &target("nothing", "30996")));
    let connect = |args: &[&str]| {
        let mut command = lab.command(&[&["connect"], args].concat());
        Done::from(command.env("KUBECONFIG", &kubeconfig).output().unwrap())
    };
    let done = connect(&["echo", "--json"]);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    let gateway = lab.gateway();
    let locals: Vec<std::net::SocketAddr> = done
        .out
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!((&line["gateway"], &line["pid"]), (&gateway.as_str().into(), &serde_json::Value::Null));
            line["address"].as_str().unwrap().parse().unwrap()
        })
        .collect();
    tcp_echoes(locals[0]);
    udp_echoes(locals[1]);
    // In the background there is nothing to keep; a command gets the address.
    for more in [&["--detach"][..], &["--exec", "sh", "-c", "test -n \"$BROW_ADDR\""]] {
        let done = connect(&[&["echo"], more].concat());
        assert_eq!(done.code, 0, "{more:?}: {}{}", done.out, done.err);
    }
    assert_eq!(lab.gateway(), gateway, "it is the same");
    // The port is there, and nothing answers behind it.
    let done = connect(&["nothing"]);
    assert_eq!(done.code, 1, "{}", done.err);
    assert!(done.out.contains("nothing → 127.0.0.1:") && done.out.contains(&lab.gateway()), "{}", done.out);
    assert!(done.err.contains(&format!("Nothing answers at {}:30996", lab.node())), "{}", done.err);
    // Without an engine it says so.
    let mut command = lab.command(&["connect", "echo"]);
    let done = command.env("KUBECONFIG", &kubeconfig).env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let done = Done::from(done.output().unwrap());
    assert_eq!(done.code, 1);
    assert!(done.err.contains("No container engine answers"), "{}", done.err);
}

#[test]
fn without_a_right_to_the_socket_it_says_so() {
    let home = Home::new("");
    let socket = home.path().join("docker.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    let only = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    only(&socket, 0);
    let mut command = Shell { home: &home, kubeconfig: None }.command(&["gateway", "list"]);
    if rustix::process::geteuid().is_root() {
        // Root may use every socket, and nobody may not come to where the program was built.
        let program = home.path().join("brow-tui");
        // A child writes it: a process that another test forks meanwhile would inherit the open descriptor, and a file
        // that is open for writing cannot be run.
        assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_brow-tui")).arg(&program).status().unwrap().success());
        only(home.path(), 0o777);
        let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        command = Command::new(program);
        command.env_clear().env("HOME", home.path()).args(args).current_dir(home.path()).uid(65_534).gid(65_534);
    }
    let done = Done::from(command.env("DOCKER_HOST", format!("unix://{}", socket.display())).output().unwrap());
    assert_eq!(done.code, 1);
    let words = format!("You have no right to the engine's socket {}", socket.display());
    assert!(done.err.contains(&words), "{}", done.err);
}

#[test]
fn an_engine_that_is_missing_hangs_or_is_elsewhere_is_told_apart() {
    let home = Home::new("");
    let list = |host: String| {
        let mut command = Shell { home: &home, kubeconfig: None }.command(&["gateway", "list"]);
        Done::from(command.env("DOCKER_HOST", host).output().unwrap())
    };
    let socket = home.path().join("docker.sock");
    let host = format!("unix://{}", socket.display());
    let says = |done: Done, words: String| {
        assert_eq!(done.code, 1);
        assert!(done.err.contains(&words), "{words} in {}", done.err);
    };
    says(list(host.clone()), format!("No container engine answers at {}", socket.display()));
    // It takes connections and says nothing.
    let _listener = UnixListener::bind(&socket).unwrap();
    says(list(host), format!("The engine at {} is not responding", socket.display()));
    says(list("tcp://10.0.0.1:2375".into()), "The engine tcp://10.0.0.1:2375 is not on this machine".into());
}

#[cfg(feature = "practice")]
#[test]
fn the_practice_cluster_has_no_docker() {
    let home = Home::new("");
    let done = Shell { home: &home, kubeconfig: None }.run(&["--practice", "gateway", "list"]);
    assert_eq!(done.code, 2);
    assert!(done.err.contains("not in Docker"), "{}", done.err);
}
