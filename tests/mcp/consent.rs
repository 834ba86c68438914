//! A person at the dashboard is asked, and decides.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::agent::{Agent, NAME_SHOWN, World, piped};
use crate::common::kube::until;
use crate::common::{Screen, Start};

const QUESTION: &str = "Let an agent connect to";
/// They appear once the question can be answered.
const BUTTONS: &str = "Allow once";
const ONCE: &str = "\x1b[C\r";

fn agent(world: &World) -> Agent {
    let mut agent = Agent::start(world);
    agent.initialize("2025-11-25", &json!({ "elicitation": {} }));
    agent
}

fn dashboard(world: &World) -> Screen {
    let mut screen = Start::new(&world.home).kubeconfig(&world.kubeconfig).size(120, 30).run();
    screen.wait_for("live-page");
    until("agents find it", || world.sockets().len() == 1);
    screen
}

#[test]
fn a_person_refuses_allows_once_or_for_the_session() {
    let world = World::new();
    let mut screen = dashboard(&world);
    let redis = || json!({ "target": "redis", "ttl": "5m" });

    // Refused, and not asked again.
    let mut first = agent(&world);
    let id = first.begin("connect", &redis());
    let shown = screen.wait_for(BUTTONS);
    assert!(shown.contains("robot") && shown.contains("for 5m") && shown.contains("Allow for this session"), "{shown}");
    let impatient = first.refusal("connect", &redis());
    assert!(impatient.contains("still open"), "{impatient}");
    screen.press("\r");
    assert!(first.failure(id).contains("the person refused"));
    screen.wait_gone(QUESTION);
    assert!(first.refusal("connect", &redis()).contains("the person refused"));
    assert_eq!((first.end(), world.pods()), (0, 0));

    // Allowed once: the next time is asked about. Who has gone is not waited for.
    let mut second = agent(&world);
    let id = second.begin("connect", &redis());
    screen.wait_for(BUTTONS);
    screen.press("\x1b[C\r");
    let forward = second.result(id)["forwards"][0]["forward"].clone();
    screen.press("4");
    screen.wait("its mark in the row and the details", |text| {
        text.contains("redis agent") && text.contains("agent robot")
    });
    second.call("stop", &json!({ "forward": forward }));
    screen.wait_gone("redis agent");
    until("its pod went along", || world.pods() == 0);
    second.begin("connect", &redis());
    screen.wait_for(QUESTION);
    assert_eq!(second.end(), 0);
    screen.wait_gone(QUESTION);

    // Allowed for the session.
    let mut third = agent(&world);
    let id = third.begin("connect", &redis());
    screen.wait_for(BUTTONS);
    screen.press("\x1b[C\x1b[C\r");
    let forward = third.result(id)["forwards"][0]["forward"].clone();
    third.call("stop", &json!({ "forward": forward }));
    third.call("connect", &redis());
    screen.wait_for("redis agent");
    assert_eq!(third.end(), 0);
    screen.wait_gone("redis agent");
    until("nothing is open", || world.pods() == 0);

    screen.signal(Signal::TERM);
    assert!(screen.wait_end().success());
    world.assert_nothing_is_left();
    let of_agents = world.audit().into_iter().filter(|line| line["agent"].is_string());
    let actions: Vec<_> = of_agents.map(|line| line["action"].as_str().unwrap().to_owned()).collect();
    let wanted = ["agent-refused", "agent-connect", "agent-stop", "agent-connect", "agent-stop", "agent-connect"];
    assert_eq!(actions.into_iter().filter(|action| action.starts_with("agent-")).collect::<Vec<_>>(), wanted);
}

#[test]
fn production_is_asked_about_each_time() {
    let world = World::new();
    let mut screen = dashboard(&world);
    let mut agent = agent(&world);
    let id = agent.begin("connect", &json!({ "target": "live-page" }));
    let shown = screen.wait_for(BUTTONS);
    assert!(shown.contains("production") && !shown.contains("Allow for this session"), "{shown}");
    screen.press("\x1b[C\r");
    let forward = agent.result(id)["forwards"][0].clone();
    let id = agent.begin("renew", &json!({ "forward": forward["forward"] }));
    screen.wait("it asks again", |text| text.contains("Let an agent keep live-page") && text.contains(BUTTONS));
    screen.press("\r");
    assert!(agent.failure(id).contains("the person refused"));

    // What is allowed without asking is not asked about.
    agent.call("connect", &json!({ "target": "page" }));
    screen.press("4");
    screen.wait_for("page agent");
    agent.end();
    screen.wait_gone("page agent");
    until("nothing is open", || world.pods() == 0);
    screen.signal(Signal::TERM);
    assert!(screen.wait_end().success());
    world.assert_nothing_is_left();
}

#[test]
fn a_question_that_nobody_answers_is_refused_and_goes() {
    let world = World::with("[agents]\nanswer_timeout = \"3s\"\n");
    let mut screen = dashboard(&world);
    let mut agent = agent(&world);
    assert!(agent.refusal("connect", &json!({ "target": "redis" })).contains("nobody answered"));
    screen.press("L");
    let shown = screen.wait_for("nobody answered");
    assert!(!shown.contains(QUESTION) && shown.contains("asks for redis"), "{shown}");
    assert_eq!((agent.end(), world.pods()), (0, 0));
    screen.signal(Signal::TERM);
    assert!(screen.wait_end().success());
    world.assert_nothing_is_left();
    assert!(world.audit().iter().any(|line| line["action"] == "agent-refused" && line["agent"] == NAME_SHOWN));
}

#[test]
fn a_question_goes_with_the_call_that_is_cancelled_and_the_client_that_is_killed() {
    let world = World::new();
    let mut screen = dashboard(&world);
    let mut first = agent(&world);
    let id = first.begin("connect", &json!({ "target": "redis" }));
    screen.wait_for(QUESTION);
    first.cancel(id);
    screen.wait_gone(QUESTION);
    // It may not ask for that again at once, and for something else it may.
    assert!(first.refusal("connect", &json!({ "target": "redis" })).contains("withdrawn"));
    first.begin("connect", &json!({ "target": "live-page" }));
    screen.wait_for(QUESTION);
    kill_process(Pid::from_raw(first.id().cast_signed()).unwrap(), Signal::KILL).unwrap();
    screen.wait_gone(QUESTION);

    // A client that is killed takes its end of the pipe along.
    let (client, mut second) = piped(&world);
    second.initialize("2025-11-25", &json!({}));
    second.begin("connect", &json!({ "target": "redis" }));
    screen.wait_for(QUESTION);
    drop(client);
    screen.wait_gone(QUESTION);
    assert_eq!(world.pods(), 0);
    screen.signal(Signal::TERM);
    assert!(screen.wait_end().success());
    world.assert_nothing_is_left();
    // Nothing but an answer, or the lack of one, is a refusal.
    assert!(world.audit().iter().all(|line| line["agent"].is_null()), "{:?}", world.audit());
}

#[test]
fn a_dashboard_that_is_opened_later_asks_for_an_agent_that_was_there_before() {
    let world = World::new();
    let mut agent = Agent::start(&world);
    agent.initialize("2025-11-25", &json!({}));
    agent.call("connect", &json!({ "target": "page" }));
    assert_eq!(world.sockets().len(), 1, "an instance in the background serves it");
    let mut screen = Start::new(&world.home).kubeconfig(&world.kubeconfig).size(120, 30).run();
    screen.wait_for("page agent");
    let redis = || json!({ "target": "redis" });
    // Until that instance knows of the dashboard there is nobody whom it could ask.
    let mut id = agent.begin("connect", &redis());
    until("it is asked there", || {
        screen.look(Duration::from_millis(50));
        if agent.has(|message| message["id"] == id) {
            assert!(agent.failure(id).contains("nobody could be asked"));
            id = agent.begin("connect", &redis());
        }
        screen.text().contains(QUESTION)
    });
    screen.wait_for(BUTTONS);
    screen.press(ONCE);
    let forward = agent.result(id)["forwards"][0].clone();
    assert_eq!((&forward["own"], &forward["target"]), (&true.into(), &"redis".into()));
    screen.wait_gone(QUESTION);
    // Once the dashboard is closed, there is nobody again, and what is open stays.
    screen.signal(Signal::TERM);
    assert!(screen.wait_end().success());
    until("it is gone", || world.sockets().len() == 1);
    until("nobody can be asked", || agent.refusal("connect", &json!({ "target": "live-page" })).contains("nobody"));
    assert_eq!(agent.call("list_forwards", &json!({}))["forwards"].as_array().unwrap().len(), 2);
    assert_eq!(agent.end(), 0);
    world.assert_nothing_is_left();
}

#[test]
fn a_question_that_comes_while_somebody_types_waits_until_they_look() {
    let world = World::new();
    let mut screen = dashboard(&world);
    let mut agent = agent(&world);
    // A form comes first, and says that a question waits.
    screen.press("2n");
    screen.wait_for("New target");
    let id = agent.begin("connect", &json!({ "target": "redis" }));
    let shown = screen.wait_for("An agent waits for an answer");
    assert!(!shown.contains(QUESTION), "{shown}");
    screen.escape("New target");
    screen.wait_for(BUTTONS);
    // The l moves to a button, the o goes on typing, the end of the line would press what is there.
    screen.press("l");
    screen.wait_for("▸Allow once");
    screen.press("o\r");
    let shown = screen.wait_for("▸Refuse");
    assert!(shown.contains(QUESTION) && !agent.has(|message| message["id"] == id), "{shown}");
    screen.press(ONCE);
    assert_eq!(agent.result(id)["forwards"][0]["target"], "redis");
    assert_eq!(agent.end(), 0);
    screen.signal(Signal::TERM);
    assert!(screen.wait_end().success());
    world.assert_nothing_is_left();
}
