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

use agent::{Agent, World, piped, program};
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
    let renewed = agent.call("renew", &json!({ "forward": id, "ttl": "1h" }));
    assert_eq!(renewed["forward"], id);
    // The same time is told everywhere.
    assert_eq!(agent.call("list_forwards", &json!({}))["forwards"][1]["expires"], renewed["expires"], "{renewed}");
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
        let (client, mut agent) = piped(&world);
        agent.initialize("2025-11-25", &json!({}));
        agent.call("connect", &json!({ "target": "page" }));
        assert_eq!(world.pods(), 1);
        let killed = if kill_the_client { client.id() } else { agent.id() };
        kill_process(Pid::from_raw(killed.cast_signed()).unwrap(), Signal::KILL).unwrap();
        world.assert_nothing_is_left();
    }
}

#[test]
fn an_agent_finds_objects_by_their_names_and_learns_no_contents() {
    let world = World::new();
    let mut agent = Agent::start(&world);
    agent.initialize("2025-11-25", &json!({}));
    let found = agent.call("find", &json!({ "query": "web kind:svc" }));
    let web = found["results"].as_array().unwrap().iter().find(|row| row["name"] == "web").unwrap();
    assert_eq!((&web["kind"], &web["resource"]), (&"Service".into(), &"services".into()), "{found}");
    let known = ["kind", "resource", "version", "name", "namespace", "cluster", "created"];
    for row in agent.call("find", &json!({ "query": "kind:secret ns:shop" }))["results"].as_array().unwrap() {
        assert!(row.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{row}");
    }
    assert_eq!(agent.call("find", &json!({ "query": "e", "limit": 1 }))["results"].as_array().unwrap().len(), 1);
    assert_eq!(agent.call("find", &json!({ "query": "no-such-thing-anywhere" }))["results"], json!([]));
    // A query that looks like an option is searched for as a word.
    assert_eq!(agent.call("find", &json!({ "query": "--context=practice-team" }))["results"], json!([]));
    for wrong in [json!({ "query": " " }), json!({ "query": "x".repeat(300) }), json!({ "query": "x", "limit": 51 })] {
        assert!(agent.refusal("find", &wrong).starts_with("invalid arguments"), "{wrong}");
    }
    assert_eq!((world.pods(), agent.end()), (0, 0));
    world.assert_nothing_is_left();
}

#[test]
fn the_steps_to_a_target_are_told_where_both_configs_offer_it() {
    let world = World::new();
    let mut first = Agent::start(&world);
    first.initialize("2025-11-25", &json!({}));
    assert!(!first.call("why", &json!({ "target": "page" }))["steps"].as_array().unwrap().is_empty());
    // The instance of the first serves the second, which reads a config that offers nothing.
    let own = world.home.path().join("own.toml");
    std::fs::write(&own, world.home.read_config().replace("agent = true\n", "")).unwrap();
    let mut second = Agent::over_pipe(program(&world.home, &world.kubeconfig).arg("--config").arg(&own));
    second.initialize("2025-11-25", &json!({}));
    assert_eq!(second.call("list_targets", &json!({}))["targets"][0]["name"], "page");
    assert!(second.refusal("why", &json!({ "target": "page" })).contains("not offered"));
    assert!(first.refusal("why", &json!({ "target": "svc/web:80" })).contains("no saved target"));
    assert_eq!((second.end(), first.end()), (0, 0));
    world.assert_nothing_is_left();
}

#[test]
fn the_practice_cluster_has_targets_for_agents_too() {
    let home = Home::new("");
    let mut command = Command::new(env!("CARGO_BIN_EXE_brow-tui"));
    command.env_clear().env("HOME", home.path()).env("PATH", std::env::var("PATH").unwrap()).env("USER", "ann");
    let mut agent = Agent::over_pipe(command.args(["--practice", "mcp"]).stdout(Stdio::piped()));
    agent.initialize("2025-11-25", &json!({ "elicitation": {} }));
    let connected = agent.call("connect", &json!({ "target": "hello-page" }));
    assert!(!get(connected["environment"]["BROW_ADDR"].as_str().unwrap(), "/").unwrap().is_empty());
    assert!(agent.call("find", &json!({ "query": "redis" }))["results"][0]["name"].is_string());
    agent.begin("connect", &json!({ "target": "redis" }));
    let asked = agent.message("the question", |message| message["method"] == "elicitation/create");
    assert!(asked["params"]["message"].as_str().unwrap().contains("in cluster practice"), "{asked}");
    assert_eq!(agent.end(), 0);
}

#[test]
fn a_change_of_the_config_offers_and_withdraws_at_once() {
    let world = World::with("[agents]\nallow_tags = [\"open\"]\n");
    let mut agent = Agent::start(&world);
    agent.initialize("2025-11-25", &json!({}));
    let address = agent.call("connect", &json!({ "target": "page" }))["environment"]["BROW_ADDR"].take();
    assert_eq!(agent.call("list_targets", &json!({}))["not_offered"], json!(["secret"]));
    let tagged = world.home.read_config().replace("\"10.0.0.1:81\"\n", "\"10.0.0.1:81\"\ntags = [\"open\"]\n");
    world.home.write_config(&tagged);
    until("its tag offers it", || agent.call("list_targets", &json!({}))["not_offered"] == json!([]));
    assert_eq!(world.pods(), 1);

    let production =
        tagged.replace("[cluster.practice-team]", "[cluster.practice]\nproduction = true\n\n[cluster.practice-team]");
    world.home.write_config(&production);
    until("it is closed", || agent.call("list_forwards", &json!({}))["forwards"] == json!([]));
    until("its pod went along", || world.pods() == 0);
    until("nobody listens", || std::net::TcpStream::connect(address.as_str().unwrap()).is_err());
    assert!(agent.refusal("connect", &json!({ "target": "page" })).contains("nobody could be asked"));
    assert_eq!(agent.end(), 0);
    world.assert_nothing_is_left();
    let actions: Vec<_> =
        world.audit().into_iter().map(|line| (line["action"].clone(), line["agent"].clone())).collect();
    for action in ["open-forward", "agent-connect", "create-pod", "agent-withdrawn", "close-forward", "delete-pod"] {
        assert!(actions.contains(&(action.into(), agent::NAME_SHOWN.into())), "{action}: {actions:?}");
    }
}

#[test]
fn what_was_answered_is_written_though_the_input_has_ended() {
    let world = World::new();
    let mut agent = Agent::start(&world);
    agent.initialize("2025-11-25", &json!({}));
    let ids: Vec<u64> = (0..20).map(|_| agent.request("tools/list", json!({}))).collect();
    agent.end_input();
    for id in ids {
        assert_eq!(agent.answer(id)["result"]["tools"][0]["name"], "list_targets");
    }
    assert_eq!(agent.end(), 0);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn on_a_real_cluster_too() {
    let config = "[[target]]\nname = \"web\"\ncluster = \"story\"\naddress = \"10.99.0.10:8080\"\nagent = true\n";
    let (home, space) = (Home::new(config), Namespace::new("agents"));
    let kubeconfig = space.kubeconfig(&home);
    let mut agent = Agent::over_pipe(&mut program(&home, &kubeconfig));
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
    for mode in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28", "auto"] {
        let mut command = Command::new(&python);
        command.arg(script).arg(env!("CARGO_BIN_EXE_brow-tui")).arg(mode);
        command.env_clear().env("HOME", world.home.path()).env("KUBECONFIG", &world.kubeconfig);
        command.env("PATH", std::env::var("PATH").unwrap()).env("USER", "ann");
        let done = command.stdin(Stdio::null()).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success() && out.ends_with("all is well\n"), "{mode}: {out}\n{err}");
        world.assert_nothing_is_left();
    }
}
