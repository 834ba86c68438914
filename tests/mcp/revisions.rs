//! The revisions of the protocol, line by line.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::agent::{Agent, World};
use crate::common::Start;
use crate::common::kube::until;

const TOOLS: [&str; 10] =
    ["list_targets", "list_forwards", "list_pods", "list_clusters", "connect", "renew", "stop", "check", "why", "find"];

fn names(answer: &Value) -> Vec<&str> {
    answer["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

#[test]
fn revisions_that_begin_with_initialize_are_spoken() {
    let world = World::new();
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut agent = Agent::start(&world);
        let begun = agent.initialize(version, &json!({}));
        assert_eq!((&begun["protocolVersion"], &begun["serverInfo"]["name"]), (&version.into(), &"brow-tui".into()));
        assert_eq!(agent.ask("ping", json!({}))["result"], json!({}));
        let tools = agent.ask("tools/list", json!({}));
        assert_eq!(names(&tools), TOOLS);
        for tool in tools["result"]["tools"].as_array().unwrap() {
            assert_eq!(
                (&tool["inputSchema"]["type"], &tool["outputSchema"]["type"]),
                (&"object".into(), &"object".into())
            );
        }
        let hints =
            |name: &str| tools["result"]["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == name).unwrap();
        assert_eq!(hints("list_pods")["annotations"]["readOnlyHint"], true);
        assert_eq!(hints("stop")["annotations"]["destructiveHint"], true);
        assert_eq!(hints("connect")["annotations"]["destructiveHint"], false);
        assert_eq!(agent.end(), 0, "it ends with its input");
    }
    // An unknown one gets one that is known.
    let mut agent = Agent::start(&world);
    assert_eq!(agent.initialize("1999-01-01", &json!({}))["protocolVersion"], "2025-11-25");
    assert_eq!(agent.end(), 0);
    assert_eq!((world.sockets().len(), world.audit()), (0, Vec::new()), "nothing was begun");
}

#[test]
fn the_revision_without_sessions_is_spoken() {
    let world = World::new();
    let mut agent = Agent::start(&world);
    agent.be_stateless("2026-07-28", &json!({}));
    let found = agent.ask("server/discover", json!({}))["result"].take();
    assert!(found["supportedVersions"].as_array().unwrap().contains(&"2026-07-28".into()), "{found}");
    assert!(found["instructions"].as_str().unwrap().contains("list_targets"));
    for key in ["ttlMs", "cacheScope", "capabilities"] {
        assert!(!found[key].is_null(), "{key}: {found}");
    }
    let tools = agent.ask("tools/list", json!({}));
    assert_eq!(names(&tools), TOOLS);
    assert_eq!(tools["result"]["resultType"], "complete");
    assert!(tools["result"]["ttlMs"].is_number() && tools["result"]["cacheScope"].is_string(), "{tools}");
    let targets = agent.call("list_targets", &json!({}));
    let offered: Vec<_> = targets["targets"].as_array().unwrap().iter().map(|target| &target["name"]).collect();
    assert_eq!(offered, ["page", "echo", "redis", "live-page", "nowhere"]);
    assert_eq!(targets["not_offered"], json!(["secret"]));
    assert!(targets["to_offer"].as_str().unwrap().contains("agent = "));
    assert!(agent.refusal("connect", &json!({ "target": "secret" })).contains("not offered"));
    assert!(agent.refusal("connect", &json!({ "target": "none" })).contains("no saved target"));
    let checked = agent.call("check", &json!({}));
    assert!(checked["findings"].as_array().unwrap().iter().any(|found| found["context"] == "practice"), "{checked}");

    // A resource that does not exist has the code -32602 in this revision; it was -32002 before.
    let error = agent.ask("resources/read", json!({ "uri": "file:///etc/passwd" }))["error"].take();
    assert_eq!((&error["code"], &error["data"]["uri"]), (&(-32602).into(), &"file:///etc/passwd".into()), "{error}");

    agent.be_stateless("2031-01-01", &json!({}));
    let error = agent.ask("tools/list", json!({}))["error"].take();
    assert_eq!(error["code"], -32022);
    assert!(error["data"]["supported"].as_array().unwrap().contains(&"2026-07-28".into()), "{error}");
    agent.meta = Value::Null;
    assert_eq!(agent.ask("tools/list", json!({}))["error"]["code"], -32602, "no revision, and no session");
    assert_eq!(agent.end(), 0);
    world.assert_nothing_is_left();
}

#[test]
fn a_client_asks_its_user_where_there_is_no_dashboard() {
    let world = World::new();
    let connect = json!({ "name": "connect", "arguments": { "target": "redis", "ttl": "5m" } });
    for (content, allowed) in [(json!({ "consent": "once" }), true), (json!({ "consent": "refuse" }), false)] {
        let answer = json!({ "action": "accept", "content": content });
        // By a request of ours.
        let mut agent = Agent::start(&world);
        agent.initialize("2025-06-18", &json!({ "elicitation": {} }));
        let id = agent.request("tools/call", connect.clone());
        let asked = agent.message("the question", |message| message["method"] == "elicitation/create");
        let words = asked["params"]["message"].as_str().unwrap();
        assert!(words.contains("connect to redis in cluster practice, for 5m"), "{words}");
        let reply = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": answer });
        agent.send(reply.to_string().as_bytes());
        assert_eq!(agent.answer(id)["result"]["isError"], !allowed);
        assert_eq!(agent.end(), 0);
        world.assert_nothing_is_left();

        // By a second call.
        let mut agent = Agent::start(&world);
        agent.be_stateless("2026-07-28", &json!({ "elicitation": { "form": {} } }));
        let asked = agent.ask("tools/call", connect.clone())["result"].take();
        assert_eq!(asked["resultType"], "input_required", "{asked}");
        assert_eq!(asked["inputRequests"]["consent"]["method"], "elicitation/create");
        // A state of one's own making opens nothing.
        let mut again = connect.clone();
        (again["inputResponses"], again["requestState"]) = (json!({ "consent": answer }), "999999".into());
        let forged = agent.ask("tools/call", again.clone())["result"].take();
        assert!(forged["content"][0]["text"].as_str().unwrap().contains("no longer open"), "{forged}");
        again["requestState"] = asked["requestState"].clone();
        let done = agent.ask("tools/call", again)["result"].take();
        assert_eq!((&done["isError"], world.pods()), (&(!allowed).into(), usize::from(allowed)), "{done}");
        assert_eq!(agent.end(), 0);
        world.assert_nothing_is_left();
    }
    // An answer is about what was asked, whatever the second call asks for.
    let mut agent = Agent::start(&world);
    agent.be_stateless("2026-07-28", &json!({ "elicitation": { "form": {} } }));
    let mut again = json!({ "name": "connect", "arguments": { "target": "redis" } });
    let asked = agent.ask("tools/call", again.clone())["result"].take();
    again["requestState"] = asked["requestState"].clone();
    again["inputResponses"] = json!({ "consent": { "action": "accept", "content": { "consent": "once" } } });
    for target in ["live-page", "redis"] {
        again["arguments"]["target"] = target.into();
        let swapped = agent.ask("tools/call", again.clone())["result"].take();
        assert!(swapped["content"][0]["text"].as_str().unwrap().contains("no longer open"), "{target}: {swapped}");
    }
    assert_eq!((world.pods(), agent.end()), (0, 0));
    world.assert_nothing_is_left();
    // Who cannot ask is refused.
    let mut agent = Agent::start(&world);
    agent.initialize("2025-06-18", &json!({}));
    assert!(agent.refusal("connect", &json!({ "target": "redis" })).contains("nobody could be asked"));
    assert!(
        agent.refusal("connect", &json!({ "target": "live-page" })).contains("nobody could be asked"),
        "production"
    );
    assert_eq!(agent.end(), 0);
}

#[test]
fn a_batch_is_answered_in_one_line_where_the_revision_has_batches() {
    let world = World::new();
    let batch = json!([
        { "jsonrpc": "2.0", "id": "a", "method": "ping" },
        { "jsonrpc": "2.0", "method": "notifications/initialized" },
        7,
        { "jsonrpc": "2.0", "id": "b", "method": "tools/call", "params": { "name": "list_targets", "arguments": {} } },
    ]);
    for version in ["2025-03-26", "2025-06-18"] {
        let mut agent = Agent::start(&world);
        agent.initialize(version, &json!({}));
        agent.send(b"[]");
        agent.message("an empty one is refused", |message| message["error"]["code"] == -32600);
        agent.send(batch.to_string().as_bytes());
        if version == "2025-03-26" {
            let answers = agent.message("the answers", Value::is_array);
            let answers = answers.as_array().unwrap();
            let of = |id: &str| answers.iter().find(|answer| answer["id"] == id).unwrap();
            assert_eq!((answers.len(), &of("a")["result"]), (3, &json!({})));
            assert_eq!(of("b")["result"]["structuredContent"]["targets"][0]["name"], "page");
            assert!(answers.iter().any(|answer| answer["error"]["code"] == -32600), "{answers:?}");
        } else {
            let refused = agent.message("it is refused", |message| message["error"]["code"] == -32600);
            assert!(refused["error"]["message"].as_str().unwrap().contains("2025-03-26"), "{refused}");
        }
        assert_eq!(agent.end(), 0);
        world.assert_nothing_is_left();
    }
}

#[test]
fn a_subscription_outlives_the_instance() {
    let world = World::new();
    let mut screen = Start::new(&world.home).kubeconfig(&world.kubeconfig).size(120, 30).run();
    screen.wait_for("live-page");
    until("agents find it", || world.sockets().len() == 1);
    let updated = |message: &Value| message["method"] == "notifications/resources/updated";
    let mut agent = Agent::start(&world);
    agent.initialize("2025-11-25", &json!({}));
    agent.ask("resources/subscribe", json!({ "uri": "brow://forwards" }));
    screen.signal(Signal::TERM);
    assert!(screen.wait_end().success());
    until("it is gone", || world.sockets().is_empty());
    // The next call begins a session with another instance; it fails if it is still with the former.
    let again = |agent: &mut Agent| {
        let id = agent.begin("connect", &json!({ "target": "page" }));
        agent.answer(id)["result"]["isError"] == false
    };
    until("it is connected", || again(&mut agent));
    agent.message("news of the next instance", updated);
    assert_eq!(agent.end(), 0);
    world.assert_nothing_is_left();
}

#[test]
fn changes_of_the_forwards_are_told() {
    let world = World::new();
    let updated = |message: &Value| message["method"] == "notifications/resources/updated";
    for stateless in [false, true] {
        let mut agent = Agent::start(&world);
        if stateless {
            agent.be_stateless("2026-07-28", &json!({}));
            let filter = json!({ "notifications": { "resourceSubscriptions": ["brow://forwards"] } });
            agent.request("subscriptions/listen", filter);
            agent.message("it is acknowledged", |message| {
                message["method"] == "notifications/subscriptions/acknowledged"
            });
        } else {
            agent.initialize("2025-11-25", &json!({}));
            assert_eq!(agent.ask("resources/subscribe", json!({ "uri": "brow://forwards" }))["result"], json!({}));
            let wrong = agent.ask("resources/subscribe", json!({ "uri": "file:///etc/passwd" }));
            assert!(wrong["error"]["message"].as_str().unwrap().contains("brow://forwards"), "{wrong}");
        }
        assert_eq!(agent.ask("resources/list", json!({}))["result"]["resources"][0]["uri"], "brow://forwards");
        agent.call("connect", &json!({ "target": "page" }));
        let told = agent.message("news", updated);
        assert_eq!(told["params"]["uri"], "brow://forwards");
        let read = agent.ask("resources/read", json!({ "uri": "brow://forwards" }));
        let text = read["result"]["contents"][0]["text"].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(text).unwrap()["forwards"][0]["target"], "page");
        assert_eq!(agent.end(), 0);
        world.assert_nothing_is_left();
    }
}
