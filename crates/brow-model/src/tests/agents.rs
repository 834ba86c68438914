//! Coding agents: who may connect to what, who is asked, and what ends when.

use crate::language::event::AgentEvent;
use crate::language::event::ForwardEvent;
use crate::screen::dialog::{Dialog, Question};
use crate::state::Mode;
use crate::tests::demand::{only, tell};
use crate::tests::*;
use crate::types::agent::{AgentOrder, Consent, MAX_AGENT_FORWARDS, Outcome, Refusal, SessionId};
use crate::types::forward::ForwardState;
use crate::types::forward_settings::AgentAccess;
use crate::types::settings::ClusterSettings;

pub const SESSION: SessionId = SessionId(7);
pub const OTHER: SessionId = SessionId(8);

/// A model whose target `mysql` has this access, with two sessions.
pub fn offered(access: Option<AgentAccess>) -> Model {
    let mut model = connected();
    model.targets.all_mut()[0].forward.agent = access;
    for session in [SESSION, OTHER] {
        model.update(Event::Agent(AgentEvent::Began { session, client: "robot 1".to_owned() }));
    }
    model
}

pub fn in_production(mut model: Model) -> Model {
    let production = ClusterSettings { production: true, ..ClusterSettings::default() };
    model.config.settings_mut().clusters.insert("dev".to_owned(), production);
    model
}

pub fn connect(target: &str) -> AgentOrder {
    AgentOrder::Connect { target: target.to_owned(), ttl: None, on_demand: false }
}

pub fn ask(model: &mut Model, number: u64, order: AgentOrder) -> Vec<Effect> {
    let effects = model.update(Event::Agent(AgentEvent::Asked { session: SESSION, number, order }));
    model.arrange();
    effects
}

pub fn outcome(model: &Model, number: u64) -> Option<Outcome> {
    let outcomes = model.agents.all()[&SESSION].outcomes();
    outcomes.iter().find(|(of, _)| *of == number).map(|(_, outcome)| outcome.clone())
}

pub fn refused(model: &Model, number: u64) -> Option<Refusal> {
    match outcome(model, number) {
        Some(Outcome::Refused(refusal)) => Some(refusal),
        _ => None,
    }
}

/// Lets the question be there for long enough to be answered.
pub fn settle(model: &mut Model) {
    let now = model.now + TimeDelta::seconds(2);
    model.update(Event::Tick { now, samples: Vec::new() });
}

/// Presses a button of the question.
pub fn press_button(model: &mut Model, button: usize) -> Vec<Effect> {
    settle(model);
    for _ in 0..button {
        press(model, Command::Right);
    }
    press(model, Command::Accept)
}

pub fn opens(effects: &[Effect]) -> bool {
    any!(effects, Effect::Forward(ForwardEffect::Open { .. }))
}

/// The actions in the audit log that name the agent.
pub fn audited(effects: &[Effect]) -> Vec<&'static str> {
    let line = |effect: &Effect| match effect {
        Effect::Store(StoreEffect::Audit(entry)) if entry.agent.as_deref() == Some("robot 1") => Some(entry.action),
        _ => None,
    };
    effects.iter().filter_map(line).collect()
}

#[test]
fn only_what_is_offered_is_connected_and_it_ends_with_its_session() {
    let mut model = offered(Some(AgentAccess::Allowed));
    for (number, target, why) in [(1, "redis", Refusal::NotOffered), (2, "nothing", Refusal::NoTarget)] {
        let effects = ask(&mut model, number, connect(target));
        assert!(!opens(&effects) && refused(&model, number) == Some(why), "{target}");
        let saved: &[&str] = if why == Refusal::NotOffered { &["agent-refused"] } else { &[] };
        assert_eq!(audited(&effects), saved, "{target}");
        assert!(audited(&ask(&mut model, number, connect(target))).is_empty(), "once is enough");
    }
    let effects = ask(&mut model, 3, connect("mysql"));
    let [request] = requests(&effects).try_into().unwrap();
    assert!(opens(&effects) && request.on_demand, "its pod goes with it");
    assert_eq!(request.ttl, Ttl::QUARTER, "and lasts no longer");
    assert_eq!(audited(&effects), ["open-forward", "agent-connect"]);
    let id = only(&model).spec.id;
    assert_eq!(outcome(&model, 3), Some(Outcome::Open { forwards: vec![id.0], opened: vec![id.0] }));
    tell(&mut model, ForwardEvent::Bound(vec!["127.0.0.1:40001".parse().unwrap()]));
    let pod = ready(&created(&mut model, &request, 1));
    applied(&mut model, pod.clone());
    assert_eq!(only(&model).state(), ForwardState::Dialing);
    assert!(model.report(1, crate::types::instance::Role::Dashboard).forwards[0].agent.is_some());
    // Once more is the same forward.
    assert!(!opens(&ask(&mut model, 4, connect("mysql"))));
    assert_eq!(outcome(&model, 4), Some(Outcome::Open { forwards: vec![id.0], opened: Vec::new() }));
    // Another session uses it, and cannot stop it.
    model.update(Event::Agent(AgentEvent::Asked { session: OTHER, number: 1, order: connect("mysql") }));
    let stop = AgentOrder::Stop { forward: id.0 };
    model.update(Event::Agent(AgentEvent::Asked { session: OTHER, number: 2, order: stop }));
    model.update(Event::Agent(AgentEvent::Ended { session: OTHER }));
    assert_eq!(model.forwards.all().len(), 1);
    let effects = model.update(Event::Agent(AgentEvent::Ended { session: SESSION }));
    assert!(any!(effects, Effect::Forward(ForwardEffect::Close { .. })) && model.forwards.all().is_empty());
    assert!(any!(effects, Effect::Pod(PodEffect::Delete { key, .. }) if *key == pod.key), "{effects:?}");
    assert_eq!(audited(&effects), ["close-forward"]);
    let deleted = PodEvent::Deleted { key: pod.key.clone(), result: Ok(()) };
    assert_eq!(audited(&model.update(Event::Pod(deleted))), ["delete-pod"]);
    // Nothing that a session says that is over has an effect.
    let late = AgentEvent::Asked { session: SESSION, number: 9, order: connect("mysql") };
    assert!(!opens(&model.update(Event::Agent(late))));
}

#[test]
fn its_time_is_limited_and_can_be_renewed_by_its_owner_alone() {
    let mut model = offered(Some(AgentAccess::Allowed));
    ask(&mut model, 1, connect("mysql"));
    let id = only(&model).spec.id;
    at(&mut model, 14 * 60);
    let renew = |model: &mut Model, session, number| {
        let order = AgentOrder::Renew { forward: id.0, ttl: "20m".parse().ok() };
        model.update(Event::Agent(AgentEvent::Asked { session, number, order }))
    };
    renew(&mut model, OTHER, 1);
    assert_eq!(model.agents.all()[&OTHER].outcomes()[0].1, Outcome::Refused(Refusal::NotOwn));
    assert_eq!(audited(&renew(&mut model, SESSION, 2)), ["agent-renew"]);
    assert_eq!(outcome(&model, 2), Some(Outcome::Renewed { until: noon() + TimeDelta::minutes(34) }));
    at(&mut model, 34 * 60 - 1);
    assert_eq!(model.forwards.all().len(), 1);
    let ended = at(&mut model, 34 * 60);
    assert!(model.forwards.all().is_empty(), "its time is up");
    assert_eq!(audited(&ended), ["agent-expired", "close-forward"]);
    assert_eq!(audited(&ask(&mut model, 3, AgentOrder::Stop { forward: id.0 })), Vec::<&str>::new());
    assert_eq!(refused(&model, 3), Some(Refusal::NotOwn));
}

#[test]
fn a_person_is_asked_and_decides() {
    // The button that is pressed, what comes of it, and of a second call after the first forward was stopped.
    for (button, first, second) in
        [(0, Some(Refusal::ByPerson), Some(Refusal::ByPerson)), (1, None, Some(Refusal::Unanswered)), (2, None, None)]
    {
        let mut model = offered(Some(AgentAccess::Ask));
        let effects = ask(&mut model, 1, connect("mysql"));
        assert!(!opens(&effects) && any!(effects, Effect::Terminal(TerminalEffect::Notify(_))));
        assert_eq!(outcome(&model, 1), None, "nobody has answered yet");
        ask(&mut model, 2, connect("mysql"));
        assert_eq!(refused(&model, 2), Some(Refusal::Busy), "one question at a time");
        assert_eq!(model.screen.dialogs.len(), 1);
        let effects = press_button(&mut model, button);
        assert_eq!((opens(&effects), refused(&model, 1)), (first.is_none(), first), "{button}");
        let done: &[&str] = if first.is_none() { &["open-forward", "agent-connect"] } else { &["agent-refused"] };
        assert_eq!(audited(&effects), done);
        assert!(model.screen.dialogs.is_empty());
        for id in model.forwards.ids(|_| true) {
            ask(&mut model, 3, AgentOrder::Stop { forward: id.0 });
        }
        ask(&mut model, 4, connect("mysql"));
        at(&mut model, 62);
        assert_eq!(refused(&model, 4), second, "{button}");
    }
}

#[test]
fn a_person_who_stops_a_forward_takes_the_consent_for_the_session_back() {
    for by_key in [true, false] {
        let mut model = offered(Some(AgentAccess::Ask));
        ask(&mut model, 1, connect("mysql"));
        assert!(opens(&press_button(&mut model, 2)));
        let id = only(&model).spec.id;
        if by_key {
            model.screen.focus.pane = Pane::Forwards;
            press(&mut model, Command::Stop);
        } else {
            model.update(Event::Request(crate::language::request::Request::Stop(id)));
        }
        assert!(model.forwards.all().is_empty());
        assert!(!opens(&ask(&mut model, 2, connect("mysql"))));
        assert_eq!(outcome(&model, 2), None, "a person is asked again");
    }
}

#[test]
fn a_question_that_nobody_answers_is_a_refusal() {
    let mut model = offered(Some(AgentAccess::Ask));
    ask(&mut model, 1, connect("mysql"));
    at(&mut model, 59);
    assert_eq!((outcome(&model, 1), model.screen.dialogs.len()), (None, 1));
    let effects = at(&mut model, 60);
    assert_eq!(audited(&effects), ["agent-refused"]);
    assert_eq!((refused(&model, 1), model.screen.dialogs.len()), (Some(Refusal::Unanswered), 0));
    assert!(model.forwards.all().is_empty());
    // A session that has ended gets no answer.
    ask(&mut model, 2, connect("mysql"));
    let Some(Dialog::Confirm { question: question @ Question::Agent(_), .. }) = model.screen.dialogs.first().cloned()
    else {
        panic!("no question")
    };
    model.update(Event::Agent(AgentEvent::Ended { session: SESSION }));
    assert!(model.screen.dialogs.is_empty());
    model.screen.dialogs.push(Dialog::Confirm { question, button: 1 });
    assert!(!opens(&press(&mut model, Command::Accept)));
}

#[test]
fn production_is_always_asked_about() {
    let mut model = in_production(offered(Some(AgentAccess::Allowed)));
    for number in 1..=2 {
        assert!(!opens(&ask(&mut model, number, connect("mysql"))));
        let Some(Dialog::Confirm { question, .. }) = model.screen.dialogs.first() else { panic!("no question") };
        assert_eq!(question.buttons(), 2, "not for the whole session");
        assert!(opens(&press_button(&mut model, 1)));
        let id = only(&model).spec.id;
        ask(&mut model, 10 + number, AgentOrder::Stop { forward: id.0 });
    }
}

#[test]
fn without_a_screen_the_agents_program_asks() {
    for (consent, refusal) in [
        (Consent::Once, None),
        (Consent::Session, None),
        (Consent::Refused, Some(Refusal::ByPerson)),
        (Consent::Unanswered, Some(Refusal::Unanswered)),
        (Consent::Nobody, Some(Refusal::Nobody)),
    ] {
        let mut model = offered(Some(AgentAccess::Ask));
        model.mode = Mode::Subcommand;
        ask(&mut model, 1, connect("mysql"));
        let Some(Outcome::Ask { approval }) = outcome(&model, 1) else { panic!("no question") };
        assert_eq!((approval.target.as_str(), approval.cluster.as_str(), approval.production), ("mysql", "dev", false));
        let question = approval.question;
        ask(&mut model, 2, AgentOrder::Answer { question: question + 1, consent });
        assert_eq!(refused(&model, 2), Some(Refusal::NoQuestion));
        let order = AgentOrder::Answer { question, consent };
        let effects = model.update(Event::Agent(AgentEvent::Asked { session: OTHER, number: 1, order }));
        assert!(!opens(&effects), "it is not the other's question");
        let effects = ask(&mut model, 3, AgentOrder::Answer { question, consent });
        assert_eq!((opens(&effects), refused(&model, 3)), (refusal.is_none(), refusal), "{consent:?}");
        ask(&mut model, 4, AgentOrder::Answer { question, consent: Consent::Once });
        assert_eq!(refused(&model, 4), Some(Refusal::NoQuestion), "it was answered");
    }
    // On a screen, nobody else answers.
    let mut model = offered(Some(AgentAccess::Ask));
    ask(&mut model, 1, connect("mysql"));
    let Some(Dialog::Confirm { question: Question::Agent(approval), .. }) = model.screen.dialogs.first().cloned()
    else {
        panic!("no question")
    };
    let answer = AgentOrder::Answer { question: approval.question, consent: Consent::Once };
    assert!(!opens(&ask(&mut model, 2, answer)));
    assert_eq!((refused(&model, 2), model.screen.dialogs.len()), (Some(Refusal::NoQuestion), 1));
}

#[test]
fn what_others_opened_is_used_and_stays_theirs() {
    let mut model = offered(Some(AgentAccess::Allowed));
    model.screen.focus.pane = Pane::Targets;
    demand::select(&mut model, "mysql");
    press(&mut model, Command::Connect);
    let id = only(&model).spec.id;
    ask(&mut model, 1, connect("mysql"));
    assert_eq!(outcome(&model, 1), Some(Outcome::Open { forwards: vec![id.0], opened: Vec::new() }));
    ask(&mut model, 2, AgentOrder::Stop { forward: id.0 });
    assert_eq!(refused(&model, 2), Some(Refusal::NotOwn));
    model.update(Event::Agent(AgentEvent::Ended { session: SESSION }));
    assert_eq!(model.forwards.all().len(), 1);

    // The other way round: what an agent opened stays once a person wants it, too.
    let mut model = offered(Some(AgentAccess::Allowed));
    ask(&mut model, 1, connect("mysql"));
    assert!(only(&model).agent.is_some());
    model.update(Event::Request(crate::language::request::Request::Connect(vec!["mysql".to_owned()])));
    model.update(Event::Agent(AgentEvent::Ended { session: SESSION }));
    assert_eq!(model.forwards.all().len(), 1);
}

#[test]
fn a_session_has_so_many_forwards_and_no_more() {
    let mut model = offered(None);
    let many = (0..=MAX_AGENT_FORWARDS).map(|number| {
        let mut target = target(&format!("t{number}"), "dev");
        target.forward.agent = Some(AgentAccess::Allowed);
        target
    });
    model.targets.all_mut().extend(many);
    for number in 0..=MAX_AGENT_FORWARDS as u64 {
        ask(&mut model, number, connect(&format!("t{number}")));
    }
    assert_eq!(model.forwards.all().len(), MAX_AGENT_FORWARDS);
    assert_eq!(refused(&model, MAX_AGENT_FORWARDS as u64), Some(Refusal::TooMany));
}

/// The config is read again, with the target `mysql` changed.
pub fn edit(model: &mut Model, change: impl Fn(&mut Target)) -> Vec<Effect> {
    let mut targets = model.targets.all().to_vec();
    change(&mut targets[0]);
    let settings = model.config.settings().clone();
    let loaded = Loaded { settings, targets, exists: true, ..Loaded::default() };
    model.update(Event::Store(StoreEvent::Loaded(Box::new(loaded))))
}

#[test]
fn an_answer_is_about_the_target_as_it_was_asked_about() {
    let address = |target: &mut Target| target.address = "10.9.9.9:3306".parse().unwrap();
    let withdrawn = |target: &mut Target| target.forward.agent = None;
    for change in [address as fn(&mut Target), withdrawn] {
        let mut model = offered(Some(AgentAccess::Ask));
        ask(&mut model, 1, connect("mysql"));
        edit(&mut model, change);
        assert!(!opens(&press_button(&mut model, 2)));
        assert_eq!(refused(&model, 1), Some(Refusal::Changed));
    }
    // An edit ends the open forward, and the permission for the session.
    let mut model = offered(Some(AgentAccess::Ask));
    ask(&mut model, 1, connect("mysql"));
    assert!(opens(&press_button(&mut model, 2)));
    let effects = edit(&mut model, address);
    assert!(any!(effects, Effect::Forward(ForwardEffect::Close { .. })) && model.forwards.all().is_empty());
    assert!(!opens(&ask(&mut model, 2, connect("mysql"))));
    assert_eq!(outcome(&model, 2), None, "a person is asked");
}

#[test]
fn the_keys_of_lists_give_no_consent() {
    let mut model = offered(Some(AgentAccess::Ask));
    ask(&mut model, 1, connect("mysql"));
    settle(&mut model);
    press(&mut model, Command::Down);
    press(&mut model, Command::Down);
    assert!(!opens(&press(&mut model, Command::Accept)));
    assert_eq!(refused(&model, 1), Some(Refusal::ByPerson));
}
