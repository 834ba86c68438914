//! Coding agents on the screen: the question to a person, and the mark of what they opened.

use chrono::TimeDelta;

use super::fixture::{busy, english, focused, lines, now, themed, words};
use crate::view::Theme;
use brow_model::ShownQuestion;
use brow_model::agent::{AgentMark, AgentOperation, ApprovalRequest, Grant, SessionId};
use brow_model::dialog::{Dialog, Question};
use brow_model::focus::Pane;
use brow_model::form::TargetForm;
use brow_model::log::{Entry, Level, Message};
use brow_model::settings::{Colors, Language};
use brow_model::text_field::Field;
use brow_model::ttl::Ttl;

fn approval(production: bool, operation: AgentOperation) -> ApprovalRequest {
    ApprovalRequest {
        session: SessionId(1),
        instance: None,
        question: 1,
        client: "claude-code 3.1".to_owned(),
        target: "orders-mysql".to_owned(),
        cluster: "prod-eu".to_owned(),
        production,
        place: ("orders-mysql".to_owned(), "prod-eu".to_owned(), None, "10.0.0.1:3306".to_owned()),
        ttl: Ttl::QUARTER,
        within: Ttl::MINUTE,
        operation,
    }
}

#[test]
fn the_question_and_the_mark_in_both_languages() {
    let theme = Theme::named("dark", Colors::Truecolor).unwrap();
    for (language, text) in [("en", english()), ("zh", words(Language::ZhCn))] {
        let mut model = focused(busy(), Pane::Forwards);
        let until = now() + TimeDelta::minutes(12);
        let client = "claude-code 3.1".to_owned();
        let mark = AgentMark { session: SessionId(1), client, until, grant: Grant::Person };
        model.forwards.all_mut().values_mut().next().unwrap().agent = Some(mark);
        let shot = |name: &str, model: &brow_model::Model| {
            let (mut terminal, _) = themed(model, 80, 24, &theme, &text);
            insta::assert_snapshot!(format!("agent-{name}-{language}-80x24"), lines(&mut terminal));
        };
        shot("mark", &model);
        for (name, approval) in [
            ("question", approval(false, AgentOperation::Connect { on_demand: false })),
            ("question-production", approval(true, AgentOperation::Renew(brow_model::forward::ForwardId(1)))),
        ] {
            let mut model = model.clone();
            let question = Question::Agent(Box::new(approval));
            model.screen.dialogs.push(Dialog::Confirm { question, button: 0 });
            let since = model.now - TimeDelta::seconds(2);
            model.screen.shown_question = Some(ShownQuestion { instance: None, number: 1, since });
            shot(name, &model);
        }
    }
}

#[test]
fn a_question_below_another_dialog_is_told_on_the_bottom_line() {
    let theme = Theme::named("dark", Colors::Truecolor).unwrap();
    for (text, waits) in
        [(english(), "! An agent waits for an answer: Esc"), (words(Language::ZhCn), "! 智能体在等你回答：Esc")]
    {
        let screen = |dialogs: Vec<Dialog>| {
            let mut model = busy();
            model.screen.dialogs = dialogs;
            let (mut terminal, _) = themed(&model, 80, 24, &theme, &text);
            lines(&mut terminal).replace(' ', "")
        };
        let waits = waits.replace(' ', "");
        let help = || Dialog::Help { filter: Field::default(), scroll: 0 };
        let asks = || {
            let question = Question::Agent(Box::new(approval(false, AgentOperation::Connect { on_demand: false })));
            Dialog::Confirm { question, button: 0 }
        };
        assert!(screen(vec![asks(), help()]).contains(&waits), "{}", screen(vec![asks(), help()]));
        for others in [vec![], vec![help()], vec![asks()], vec![help(), asks()], vec![asks(), asks()]] {
            assert!(!screen(others).contains(&waits));
        }
    }
}

#[test]
fn a_form_warns_before_it_is_left_though_an_agent_waits() {
    let mut model = busy();
    let question = Question::Agent(Box::new(approval(false, AgentOperation::Connect { on_demand: false })));
    model.screen.dialogs =
        vec![Dialog::Confirm { question, button: 0 }, Dialog::TargetForm(Box::new(TargetForm::empty("dev")))];
    let (message, [thing, detail, words]) = (Message::FormUnsaved, [const { String::new() }; 3]);
    let entry = Entry { at: model.now, level: Level::Warning, message, thing, detail, words };
    model.screen.notice = Some((entry, model.now + TimeDelta::seconds(6)));
    let theme = Theme::named("dark", Colors::Truecolor).unwrap();
    let (mut terminal, _) = themed(&model, 80, 24, &theme, &english());
    let shown = lines(&mut terminal);
    assert!(shown.contains("Esc close") && shown.contains("! Not saved: once more discards"), "{shown}");
}
