//! Questions of coding agents: which dashboard asks, and what becomes of those that nobody waits for.

use crate::language::event::{AgentEvent, InstanceEvent};
use crate::screen::dialog::{Dialog, Question};
use crate::state::Mode;
use crate::tests::agents::{OTHER, SESSION, ask, audited, connect, offered, opens, outcome, press_button, refused};
use crate::tests::instances::report_of;
use crate::tests::*;
use crate::types::agent::{AgentOrder, ApprovalRequest, Consent, Outcome, Refusal};
use crate::types::forward_settings::AgentAccess;
use crate::types::instance::{Report, Role};

const DASHBOARD: &str = "42-00000000";
const HOST: &str = "43-00000000";

fn hear(model: &mut Model, instance: &str, report: Report) -> Vec<Effect> {
    let effects = model.update(Event::Instance(InstanceEvent::Heard { instance: instance.to_owned(), report }));
    model.arrange();
    effects
}

/// An instance without a screen that serves an agent, and knows of a dashboard.
fn host() -> Model {
    let mut model = offered(Some(AgentAccess::Ask));
    model.mode = Mode::Subcommand;
    hear(&mut model, DASHBOARD, report_of(Vec::new(), false, Vec::new()));
    model
}

/// The report of the instance, as another one reads it.
fn reported(host: &Model) -> Report {
    let report = serde_json::to_string(&host.report(43, Role::Agents)).unwrap();
    serde_json::from_str(&report).unwrap()
}

fn asked(model: &Model) -> Vec<ApprovalRequest> {
    let approval = |dialog: &Dialog| match dialog {
        Dialog::Confirm { question: Question::Agent(approval), .. } => Some((**approval).clone()),
        _ => None,
    };
    model.screen.dialogs.iter().filter_map(approval).collect()
}

#[test]
fn a_dashboard_that_comes_later_is_asked_and_its_answer_counts() {
    let mut host = host();
    assert!(!opens(&ask(&mut host, 1, connect("mysql"))));
    assert_eq!(outcome(&host, 1), None, "the agent's program is not to ask");
    let mut dashboard = connected();
    let effects = hear(&mut dashboard, HOST, reported(&host));
    assert!(any!(effects, Effect::Terminal(TerminalEffect::Notify(_))));
    let [approval] = asked(&dashboard).try_into().unwrap();
    assert_eq!((approval.client.as_str(), approval.target.as_str(), approval.ttl), ("robot 1", "mysql", Ttl::QUARTER));
    // The agent cannot answer itself what a person is asked.
    let forged = AgentOrder::Answer { question: approval.question, consent: Consent::Once };
    assert!(!opens(&ask(&mut host, 2, forged)) && refused(&host, 2) == Some(Refusal::NoQuestion));

    let effects = press_button(&mut dashboard, 1);
    let answer = ForwardEffect::AnswerElsewhere {
        instance: HOST.to_owned(),
        question: approval.question,
        consent: Consent::Once,
    };
    assert!(effects.contains(&Effect::Forward(answer)), "{effects:?}");
    // A report from before that is read after it asks nothing again.
    hear(&mut dashboard, HOST, reported(&host));
    assert!(asked(&dashboard).is_empty());
    let answered = AgentEvent::Answered { question: approval.question, consent: Consent::Once };
    assert!(opens(&host.update(Event::Agent(answered.clone()))));
    assert!(matches!(outcome(&host, 1), Some(Outcome::Open { .. })));
    assert!(reported(&host).asks.is_empty());
    // A second answer is none.
    assert!(host.update(Event::Agent(answered)).is_empty());
}

#[test]
fn a_question_that_is_answered_elsewhere_or_withdrawn_closes_in_every_dashboard() {
    for how in ["answered", "withdrawn", "unanswered", "session", "host"] {
        let mut host = host();
        ask(&mut host, 1, connect("mysql"));
        let mut dashboard = connected();
        hear(&mut dashboard, HOST, reported(&host));
        let question = asked(&dashboard)[0].question;
        let ended = InstanceEvent::Gone { instance: HOST.to_owned() };
        match how {
            "answered" => drop(host.update(Event::Agent(AgentEvent::Answered { question, consent: Consent::Refused }))),
            "withdrawn" => drop(ask(&mut host, 2, AgentOrder::Withdraw { order: 1 })),
            "unanswered" => drop(at(&mut host, 60)),
            "session" => drop(host.update(Event::Agent(AgentEvent::Ended { session: SESSION }))),
            _ => drop(dashboard.update(Event::Instance(ended))),
        }
        if how != "host" {
            hear(&mut dashboard, HOST, reported(&host));
        }
        assert!(asked(&dashboard).is_empty(), "{how}");
    }
    // A dashboard has others ask its own questions, too.
    let mut own = offered(Some(AgentAccess::Ask));
    ask(&mut own, 1, connect("mysql"));
    assert_eq!(own.report(1, Role::Dashboard).asks.len(), 1);
    let question = asked(&own)[0].question;
    own.update(Event::Agent(AgentEvent::Answered { question, consent: Consent::Once }));
    assert!(asked(&own).is_empty() && matches!(outcome(&own, 1), Some(Outcome::Open { .. })));
}

#[test]
fn the_agents_program_asks_once_no_dashboard_does() {
    for gone in [true, false] {
        let mut host = host();
        ask(&mut host, 1, connect("mysql"));
        if gone {
            host.update(Event::Instance(InstanceEvent::Gone { instance: DASHBOARD.to_owned() }));
        } else {
            hear(&mut host, DASHBOARD, report_of(Vec::new(), true, Vec::new()));
        }
        let Some(Outcome::Ask { approval }) = outcome(&host, 1) else { panic!("it is not asked") };
        assert!(host.report(43, Role::Agents).asks.is_empty());
        let answer = AgentOrder::Answer { question: approval.question, consent: Consent::Once };
        assert!(opens(&ask(&mut host, 2, answer)));
    }
}

#[test]
fn an_order_that_nobody_waits_for_is_taken_back() {
    // While it is asked about.
    let mut model = offered(Some(AgentAccess::Ask));
    ask(&mut model, 1, connect("mysql"));
    let effects = ask(&mut model, 2, AgentOrder::Withdraw { order: 1 });
    assert!(asked(&model).is_empty() && audited(&effects).is_empty());
    // It cannot flicker under a click; a little later the next is asked.
    ask(&mut model, 2, connect("mysql"));
    assert_eq!((asked(&model).len(), refused(&model, 2)), (0, Some(Refusal::Withdrawn)));
    at(&mut model, 10);
    ask(&mut model, 3, connect("mysql"));
    assert_eq!((asked(&model).len(), refused(&model, 3)), (1, None));
    assert!(opens(&press_button(&mut model, 1)));
    // Granted before: what is open already stays open.
    ask(&mut model, 4, connect("mysql"));
    ask(&mut model, 5, AgentOrder::Withdraw { order: 4 });
    assert_eq!(model.forwards.all().len(), 1);
    ask(&mut model, 6, AgentOrder::Withdraw { order: 3 });
    assert!(model.forwards.all().is_empty());
}

#[test]
fn an_answer_that_comes_too_late_is_told_that_nobody_answered() {
    let mut model = offered(Some(AgentAccess::Ask));
    model.mode = Mode::Subcommand;
    model.config.settings_mut().agents.answer_timeout = "5s".parse().unwrap();
    ask(&mut model, 1, connect("mysql"));
    let Some(Outcome::Ask { approval }) = outcome(&model, 1) else { panic!("no question") };
    assert_eq!(approval.within.secs(), 5);
    at(&mut model, 5);
    let answer = AgentOrder::Answer { question: approval.question, consent: Consent::Once };
    assert!(!opens(&ask(&mut model, 2, answer)));
    assert_eq!(refused(&model, 2), Some(Refusal::Unanswered));
}

#[test]
fn a_question_takes_no_answer_in_its_first_second() {
    // Answered at once, by every way to answer.
    let clicks = [Action::ClickItem(1), Action::Do(Command::Accept), Action::Do(Command::Cancel)];
    for click in clicks {
        let mut model = offered(Some(AgentAccess::Ask));
        ask(&mut model, 1, connect("mysql"));
        at(&mut model, 1);
        assert!(!opens(&model.update(Event::Act(click.clone()))));
        assert_eq!((asked(&model).len(), outcome(&model, 1)), (1, None), "{click:?}");
        at(&mut model, 2);
        model.update(Event::Act(click.clone()));
        assert!(asked(&model).is_empty() && outcome(&model, 1).is_some(), "{click:?}");
    }
    // One that comes, or comes to light, where another was begins anew.
    let mut model = offered(Some(AgentAccess::Ask));
    model.targets.all_mut()[1].forward.agent = Some(AgentAccess::Ask);
    let other = model.targets.all()[1].name.clone();
    ask(&mut model, 1, connect("mysql"));
    at(&mut model, 2);
    ask(&mut model, 2, AgentOrder::Withdraw { order: 1 });
    ask(&mut model, 3, connect(&other));
    assert!(!opens(&model.update(Event::Act(Action::ClickItem(1)))));
    let order = connect("mysql");
    model.update(Event::Agent(AgentEvent::Asked { session: OTHER, number: 1, order }));
    at(&mut model, 4);
    assert!(opens(&model.update(Event::Act(Action::ClickItem(1)))), "the topmost was there");
    assert!(!opens(&model.update(Event::Act(Action::ClickItem(1)))), "the one below was not");
    // A clock that is set back begins anew.
    at(&mut model, -60);
    assert!(!opens(&model.update(Event::Act(Action::ClickItem(1)))));
    at(&mut model, -58);
    assert!(opens(&model.update(Event::Act(Action::ClickItem(1)))));
}

#[test]
fn whoever_types_on_without_looking_gives_no_consent() {
    use crate::language::action::Typed;
    let typed = || Event::Act(Action::Type(Typed::Edit(tui_input::InputRequest::InsertChar('o'))));
    for command in [Command::Accept, Command::Cancel] {
        let mut model = offered(Some(AgentAccess::Ask));
        ask(&mut model, 1, connect("mysql"));
        at(&mut model, 2);
        // A letter that moves to the other button, one that means nothing, and the end of a form.
        press(&mut model, Command::Right);
        model.update(typed());
        assert!(!opens(&press(&mut model, command)));
        assert_eq!((asked(&model).len(), outcome(&model, 1)), (1, None), "{command:?}");
        // Once nothing was typed for a while, it takes an answer: the first button's.
        at(&mut model, 4);
        assert!(!opens(&press(&mut model, Command::Accept)));
        assert_eq!((asked(&model).len(), refused(&model, 1)), (0, Some(Refusal::ByPerson)));
    }
}

#[test]
fn a_report_with_a_place_that_a_terminal_would_obey_is_known_for_it() {
    let mut host = host();
    ask(&mut host, 1, connect("mysql"));
    let mut report = reported(&host);
    let said = |report: &Report| report.texts().any(|text| text.contains('\u{1b}'));
    assert!(!said(&report));
    report.asks[0].place.3 = "\u{1b}[2J".to_owned();
    assert!(said(&report));
    report.asks[0].place = ("a".into(), "b".into(), Some("\u{1b}[2J".into()), "c".into());
    assert!(said(&report));
}
