//! Coding agents over the Model Context Protocol: their rights, the questions to a person, and their end.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

#[path = "mcp/agent.rs"]
mod agent;
mod common;
#[path = "mcp/consent.rs"]
mod consent;
#[path = "mcp/hostile.rs"]
mod hostile;
#[path = "mcp/revisions.rs"]
mod revisions;

use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use agent::{Agent, World, program};
use common::kube::{Namespace, until};
use common::through::{get, works};
use common::{Home, need};

#[test]
fn what_an_agent_opens_works_is_audited_and_ends_with_it() {
    let world = World::new();
    let mut agent = Agent::start(&world);
    agent.initialize("2025-11-25", &json!({}));
    let connected = agent.call("connect", &json!({ "target": "page", "ttl": "20m" }));
    let forward = &connected["forwards"][0];
    let address = connected["environment"]["BROW_ADDR"].as_str().unwrap().to_owned();
    assert_eq!((&forward["own"], &forward["state"]), (&true.into(), &"live".into()), "{connected}");
    assert_eq!(forward["address"], address.as_str());
    assert!(forward["expires"].as_str().unwrap().ends_with('Z'));
    assert!(!get(&address, "/").unwrap().is_empty());
    assert_eq!(agent.call("list_pods", &json!({}))["pods"][0]["target"], "page");
    assert_eq!(agent.call("list_clusters", &json!({}))["clusters"][0]["state"], "ready");

    // One on demand listens at once, and its pod comes with the first connection.
    let lazy = agent.call("connect", &json!({ "target": "echo", "on_demand": true }));
    assert_eq!(lazy["forwards"][0]["state"], "listening");
    assert_eq!(world.pods(), 1);
    let id = lazy["forwards"][0]["forward"].as_u64().unwrap();
    assert_eq!(agent.call("renew", &json!({ "forward": id, "ttl": "1h" }))["forward"], id);
    assert_eq!(agent.call("stop", &json!({ "forward": id }))["stopped"], id);
    assert!(agent.refusal("stop", &json!({ "forward": id })).contains("opened no forward"));
    let failed = agent.refusal("connect", &json!({ "target": "nowhere" }));
    assert!(failed.contains("does not exist"), "{failed}");
    assert_eq!(agent.call("list_forwards", &json!({}))["forwards"].as_array().unwrap().len(), 1, "none is left of it");

    assert_eq!(agent.end(), 0);
    world.assert_nothing_is_left();
    assert!(std::net::TcpStream::connect(&address).is_err());
    let audit = world.audit();
    for action in ["agent-connect", "agent-renew", "agent-stop"] {
        let line =
            audit.iter().find(|line| line["action"] == action).unwrap_or_else(|| panic!("no {action}: {audit:?}"));
        assert_eq!(line["agent"], agent::NAME_SHOWN, "{line}");
    }
}

#[test]
fn a_client_that_is_killed_leaves_nothing_open() {
    let world = World::new();
    for kill_the_client in [true, false] {
        // The client writes to us through its own pipe, which ends with it.
        let mut client =
            Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("cat is everywhere");
        let pipe = client.stdout.take().unwrap();
        let mut agent = Agent::over(program(&world.home, &world.kubeconfig).stdin(pipe), client.stdin.take().unwrap());
        agent.initialize("2025-11-25", &json!({}));
        agent.call("connect", &json!({ "target": "page" }));
        assert_eq!(world.pods(), 1);
        let killed = if kill_the_client { client.id() } else { agent.id() };
        kill_process(Pid::from_raw(killed.cast_signed()).unwrap(), Signal::KILL).unwrap();
        world.assert_nothing_is_left();
        let _ended = (client.kill(), client.wait());
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn on_a_real_cluster_too() {
    let config = "[[target]]\nname = \"web\"\ncluster = \"story\"\naddress = \"10.99.0.10:8080\"\nagent = true\n";
    let (home, space) = (Home::new(config), Namespace::new("agents"));
    let kubeconfig = space.kubeconfig(&home);
    let mut agent = Agent::over_pipe(program(&home, &kubeconfig));
    agent.initialize("2025-06-18", &json!({}));
    let connected = agent.call("connect", &json!({ "target": "web" }));
    assert!(works(connected["environment"]["BROW_ADDR"].as_str().unwrap()), "{connected}");
    assert_eq!(space.pods().len(), 1);
    assert_eq!(agent.end(), 0);
    until("its pod went along", || space.pods().is_empty());
}

#[test]
#[cfg_attr(not(mcp_client), ignore = "needs a client: set BROW_TEST_MCP_PYTHON to a Python that has the package mcp")]
fn a_client_library_converses_in_each_revision() {
    let python = std::env::var("BROW_TEST_MCP_PYTHON").unwrap();
    need(&python, "python3");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mcp/conversation.py");
    let world = World::new();
    for mode in ["legacy", "2026-07-28", "auto"] {
        let mut command = Command::new(&python);
        command.arg(script).arg(env!("CARGO_BIN_EXE_brow-tui")).arg(mode);
        command.env("HOME", world.home.path()).env("KUBECONFIG", &world.kubeconfig);
        let done = command.stdin(Stdio::null()).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success() && out.ends_with("all is well\n"), "{mode}: {out}\n{err}");
        world.assert_nothing_is_left();
    }
}
