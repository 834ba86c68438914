//! Clients that mean harm, or are broken: nothing changes, and the errors are clear.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::agent::{Agent, World, program};
use crate::common::TIMEOUT;
use crate::common::kube::until;

#[test]
fn a_hostile_client_changes_nothing_and_gets_clear_errors() {
    let world = World::new();
    let config = world.home.read_config();
    let mut agent = Agent::start(&world);
    // Before anything has begun.
    agent.notify("notifications/cancelled");
    agent.send(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    agent.initialize("2025-11-25", &json!({}));
    let huge = "x".repeat(900_000);
    for (line, code, words) in [
        ("no JSON", -32700, "not JSON"),
        ("[1, 2]", -32600, "no valid message"),
        ("{}", -32600, "no valid message"),
        (r#"{"jsonrpc":"1.0","id":"x","method":"ping"}"#, -32600, "no valid message"),
        (r#"{"jsonrpc":"2.0","id":"x","method":7}"#, -32600, "no valid message"),
        (&"y".repeat(3 << 20), -32600, "longer than 1 MiB"),
        (&"[".repeat(100_000), -32700, "not JSON"),
    ] {
        agent.send(line.as_bytes());
        let error = agent.message(words, |message| !message["error"].is_null())["error"].take();
        assert_eq!(error["code"], code, "{error}");
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
    }
    agent.send(b"\xff\xfe{");
    agent.message("it is not UTF-8", |message| message["error"]["code"] == -32700);
    for (method, params, code) in [
        ("fly", json!({}), -32601),
        ("tools/call", json!({ "name": "run_command", "arguments": { "command": "id" } }), -32602),
        ("tools/call", json!({ "name": "\u{1b}[2J".repeat(9) + &huge, "arguments": {} }), -32602),
        ("resources/read", json!({ "uri": "file:///etc/passwd" }), -32002),
        ("prompts/get", json!({ "name": "x" }), -32601),
    ] {
        let answer = agent.ask(method, params);
        assert_eq!(answer["error"]["code"], code, "{method}: {answer}");
        let words = answer["error"]["message"].as_str().unwrap();
        assert!(words.len() < 200 && !words.contains('\u{1b}'), "{words:?}");
    }
    for (tool, arguments) in [
        ("connect", json!({ "target": ["page"] })),
        ("connect", json!({ "target": "page", "namespace": "kube-system" })),
        ("connect", json!({ "target": "page", "ttl": "-1s" })),
        ("connect", json!({ "target": huge })),
        ("connect", json!({ "target": "10.0.0.1:22" })),
        ("connect", json!({ "target": "secret" })),
        ("stop", json!({ "forward": u64::MAX })),
        ("renew", json!({ "forward": {} })),
        ("list_targets", json!({ "all": true })),
    ] {
        let words = agent.refusal(tool, &arguments);
        assert!(words.len() < 400, "{words}");
    }
    assert_eq!(agent.call("list_forwards", &json!({}))["forwards"], json!([]));
    assert_eq!((world.pods(), world.home.read_config()), (0, config));
    assert_eq!(agent.end(), 0);
    world.assert_nothing_is_left();
    // All that is written down is that it wanted what is not offered.
    let audit = world.audit();
    assert_eq!(audit.len(), 1, "{audit:?}");
    assert_eq!((&audit[0]["action"], &audit[0]["thing"]), (&"agent-refused".into(), &"secret".into()));
}

#[test]
fn errors_repeat_no_arguments_of_any_length_or_kind() {
    let world = World::new();
    let mut agent = Agent::start(&world);
    agent.initialize("2025-11-25", &json!({}));
    let wrong = "\u{1b}[2J".repeat(9) + &"x".repeat(900_000);
    for (tool, arguments) in [
        ("connect", json!({ wrong.clone(): true })),
        ("connect", json!({ "target": wrong })),
        ("why", json!({ "target": wrong })),
        ("why", json!({ "target": "secret" })),
        ("stop", json!({ "forward": wrong })),
    ] {
        let words = agent.refusal(tool, &arguments);
        assert!(words.len() < 400 && !words.contains('\u{1b}'), "{words:?}");
    }
    assert_eq!(agent.end(), 0);
    world.assert_nothing_is_left();
}

#[test]
fn what_a_client_does_again_and_again_fills_no_log() {
    let world = World::new();
    let mut agent = Agent::start(&world);
    agent.initialize("2025-11-25", &json!({}));
    for _ in 0..100 {
        assert!(agent.refusal("connect", &json!({ "target": "redis" })).contains("nobody could be asked"));
    }
    assert_eq!(agent.end(), 0);
    world.assert_nothing_is_left();
    assert_eq!(world.audit().len(), 1, "{:?}", world.audit());
}

#[test]
fn a_client_with_a_name_of_a_line_is_served() {
    let world = World::new();
    let mut agent = Agent::start(&world);
    let client = json!({ "name": "\u{1}".repeat(150_000), "version": "1" });
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client });
    agent.ask("initialize", params);
    agent.notify("notifications/initialized");
    let page = agent.call("connect", &json!({ "target": "page", "on_demand": true }))["forwards"][0].take();
    assert!(page["agent"].as_str().unwrap().chars().count() <= 48, "{page}");
    assert_eq!(agent.end(), 0);
    world.assert_nothing_is_left();
}

#[test]
fn a_flood_is_answered_or_refused_to_its_end() {
    let world = World::new();
    let mut agent = Agent::start(&world);
    agent.initialize("2025-11-25", &json!({}));
    let ids: Vec<u64> =
        (0..1_000).map(|_| agent.begin("connect", &json!({ "target": "page", "on_demand": true }))).collect();
    let mut opened = Vec::new();
    for id in ids {
        let answer = agent.answer(id);
        match answer["error"]["code"].as_i64() {
            None => opened.push(answer["result"]["structuredContent"]["forwards"][0]["forward"].clone()),
            Some(code) => assert_eq!(code, -32000, "{answer}"),
        }
    }
    opened.dedup();
    assert_eq!(opened.len(), 1, "the same forward each time");
    assert_eq!(agent.call("list_forwards", &json!({}))["forwards"].as_array().unwrap().len(), 1);
    assert_eq!(agent.end(), 0);
    world.assert_nothing_is_left();
}

#[test]
fn many_sessions_share_an_instance_and_too_many_are_refused() {
    let world = World::new();
    // It starts the instance, which the others find.
    let mut first = Agent::start(&world);
    first.initialize("2025-11-25", &json!({}));
    first.call("connect", &json!({ "target": "page" }));
    let mut agents: Vec<Agent> = (0..19).map(|_| Agent::start(&world)).collect();
    for agent in &mut agents {
        agent.initialize("2025-11-25", &json!({}));
    }
    let ids: Vec<u64> = agents.iter_mut().map(|agent| agent.begin("list_targets", &json!({}))).collect();
    let answers: Vec<Value> = agents.iter_mut().zip(&ids).map(|(agent, id)| agent.answer(*id)).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer["result"]["isError"] == true).collect();
    for answer in &refused {
        let words = answer["result"]["content"][0]["text"].as_str().unwrap();
        assert!(words.contains("16 sessions"), "{words}");
    }
    // On a machine that is too slow the instance may not be found in time, and another starts.
    assert!(20 - refused.len() <= 16 * world.sockets().len(), "{} refused", refused.len());
    // The end of one is not the end of the others.
    assert_eq!(first.end(), 0);
    until("its pod went along", || world.pods() == 0);
    let served = answers.iter().position(|answer| answer["result"]["isError"] == false).unwrap();
    agents[served].call("connect", &json!({ "target": "page" }));
    for agent in agents {
        assert_eq!(agent.end(), 0);
    }
    world.assert_nothing_is_left();
}

#[test]
fn agents_that_start_at_once_start_an_instance() {
    let world = World::new();
    let mut agents: Vec<Agent> = (0..6).map(|_| Agent::start(&world)).collect();
    for agent in &mut agents {
        agent.initialize("2025-11-25", &json!({}));
    }
    let ids: Vec<u64> = agents.iter_mut().map(|agent| agent.begin("list_targets", &json!({}))).collect();
    for (agent, id) in agents.iter_mut().zip(ids) {
        assert!(!agent.result(id)["targets"].as_array().unwrap().is_empty());
    }
    for agent in agents {
        assert_eq!(agent.end(), 0);
    }
    world.assert_nothing_is_left();
}

#[test]
fn a_thousand_sessions_leave_the_instance_as_it_was() {
    let world = World::new();
    let mut agent = Agent::start(&world);
    agent.initialize("2025-11-25", &json!({}));
    agent.call("list_targets", &json!({}));
    let socket = world.sockets().remove(0);
    let (mut served, mut refused) = (0, 0);
    for _ in 0..25 {
        let begin = |_| {
            let mut stream = UnixStream::connect(&socket).unwrap();
            stream.set_read_timeout(Some(TIMEOUT)).unwrap();
            stream.write_all(b"{\"v\":1,\"ask\":\"agent\",\"client\":\"x\"}\n").unwrap();
            BufReader::new(stream)
        };
        // All at a time, and what they say then makes no sense.
        for mut stream in (0..40).map(begin).collect::<Vec<_>>() {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            match serde_json::from_str::<Value>(&line).unwrap()["says"].as_str().unwrap() {
                "view" => {
                    served += 1;
                    stream.get_mut().write_all(b"{\"v\":1,\"number\":1,\"do\":\"fly\"}\n").unwrap();
                }
                "no" => refused += 1,
                other => panic!("{other}"),
            }
        }
    }
    assert_eq!(served + refused, 1_000);
    assert!(served > 0 && refused > 0, "{served} {refused}");
    assert_eq!(agent.call("list_forwards", &json!({}))["forwards"], json!([]));
    assert!(world.audit().is_empty() && world.sockets() == [socket]);
    assert_eq!(agent.end(), 0);
    world.assert_nothing_is_left();
}

#[test]
fn calls_that_are_cancelled_leave_no_work_behind() {
    let world = World::new();
    let mut agent = Agent::start(&world);
    agent.initialize("2025-11-25", &json!({}));
    for _ in 0..200 {
        for (tool, arguments) in [("check", json!({})), ("find", json!({ "query": "web" }))] {
            let id = agent.begin(tool, &arguments);
            agent.cancel(id);
        }
    }
    let list = json!({ "name": "list_forwards", "arguments": {} });
    until("the next call is served", || agent.ask("tools/call", list.clone())["error"].is_null());
    assert!(!agent.call("find", &json!({ "query": "web kind:svc" }))["results"].as_array().unwrap().is_empty());
    // The end of the input ends a call that is at work.
    agent.begin("check", &json!({}));
    assert_eq!(agent.end(), 0);
    world.assert_nothing_is_left();
}

#[test]
fn a_client_that_reads_nothing_is_left_at_the_end_of_its_input() {
    let world = World::new();
    let mut child = program(&world.home, &world.kubeconfig).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let client = json!({ "name": "mute", "version": "1" });
    let begin = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client });
    writeln!(input, "{}", json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": begin })).unwrap();
    writeln!(input, "{}", json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).unwrap();
    // More than the pipe holds.
    for id in 1..30 {
        writeln!(input, "{}", json!({ "jsonrpc": "2.0", "id": id, "method": "tools/list" })).unwrap();
    }
    drop(input);
    let mut ended = None;
    until("it has ended", || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    world.assert_nothing_is_left();
}
