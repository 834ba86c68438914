//! Any size: nothing panics, nothing is squeezed out of its column.

use super::fixture::{busy, drawn, english, field, focused, lines, pod, show, target, themed, words};
use crate::view::{FrameInputs, Theme, ViewState, draw};
use brow_model::Model;
use brow_model::dialog::{Dialog, Question};
use brow_model::focus::{Pane, Strip};
use brow_model::form::TargetForm;
use brow_model::proxy::{DescriptionLine, Phase};
use brow_model::settings::{Colors, Language};

/// A model for each way in which the screen is divided.
fn models() -> Vec<Model> {
    let mut models = vec![Model::new(super::fixture::now(), "a@b"), focused(busy(), Pane::Forwards)];
    let mut practice = busy();
    practice.practice = true;
    models.push(practice);
    let mut welcome = busy();
    welcome.screen.welcome = Some(brow_model::first_run::Welcome::default());
    models.push(welcome);
    let mut log = busy();
    log.screen.focus.in_log = true;
    log.screen.focus.strip = Strip::Log;
    log.screen.log.filtering = true;
    log.screen.log.filter = "数据库 a long filter that does not fit".into();
    models.push(log);
    let mut zoomed = focused(busy(), Pane::Pods);
    zoomed.screen.focus.zoomed = true;
    zoomed.screen.pods.filtering = true;
    models.push(zoomed);
    let fields = (0..29).map(|n| field("数据库-🏴‍☠️-long", (n % 2 == 0).then_some("name-taken"))).collect();
    let form = TargetForm { fields, active: 5, tried: true, ..TargetForm::empty("") };
    let further = TargetForm { active: 20, ..form.clone() };
    let dialogs = [
        Dialog::TargetForm(Box::new(form)),
        Dialog::TargetForm(Box::new(further)),
        Dialog::Rename { name: "x".to_owned(), field: field("👩‍👩‍👧", Some("name-taken")) },
        Dialog::Confirm { question: Question::Quit { forwards: 1, pods: 1, unsaved: 0 }, button: 2 },
        Dialog::Help { filter: super::fixture::field("", None), scroll: 3 },
        Dialog::Describe {
            key: busy().screen.pods.rows()[0].clone(),
            text: Some(Ok(vec![DescriptionLine::Text("数据".repeat(99))])),
            scroll: 1,
        },
        Dialog::Fault(super::fixture::forbidden()),
    ];
    models.extend(dialogs.into_iter().map(|dialog| {
        let mut model = busy();
        model.screen.dialogs.push(dialog);
        model
    }));
    models
}

#[test]
fn nothing_is_drawn_over_half_of_a_character() {
    let theme = Theme::named("dark", Colors::Truecolor).unwrap();
    let text = words(Language::ZhCn);
    for (model, width) in models().iter().flat_map(|model| (60..=90).map(move |width| (model, width))) {
        // Each drawing looks at its characters.
        themed(model, width, 24, &theme, &text);
    }
}

#[test]
fn no_size_panics() {
    let theme = Theme::named("dark", Colors::Ansi256).unwrap();
    let text = english();
    for model in models() {
        let small = (0..=44u16).flat_map(|width| (0..=18u16).map(move |height| (width, height)));
        let sampled =
            (0..=210u16).step_by(23).flat_map(|width| (0..=60u16).step_by(13).map(move |height| (width, height)));
        for (width, height) in small.step_by(3).chain(sampled) {
            themed(&model, width, height, &theme, &text);
        }
    }
}

#[test]
fn a_terminal_that_changes_its_size_is_drawn_as_if_new() {
    let (theme, text) = (Theme::plain(), english());
    let zone = chrono::FixedOffset::east_opt(0).unwrap();
    let inputs =
        FrameInputs { theme: &theme, text: &text, hints: &[], tip: None, welcome: &[], palette: &[], help: &[], zone };
    let model = busy();
    let mut state = ViewState::default();
    for (width, height) in [(200, 50), (80, 24), (20, 5), (120, 35), (80, 24)] {
        let mut terminal = ratatui::Terminal::new(ratatui::backend::TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, &model, &inputs, &mut state)).unwrap();
        let mut fresh = ratatui::Terminal::new(ratatui::backend::TestBackend::new(width, height)).unwrap();
        fresh.draw(|frame| draw(frame, &model, &inputs, &mut ViewState::default())).unwrap();
        assert_eq!(lines(&mut terminal), lines(&mut fresh), "{width}x{height}");
    }
}

#[test]
fn wide_names_keep_columns_straight() {
    let names = ["plain", "数据库", "👩‍👩‍👧-home", "e\u{301}te\u{301}", "ﾊﾞｽ", "🏳️‍🌈", "한국어", "a\u{202e}b\u{7}c"];
    let mut model = focused(busy(), Pane::Pods);
    *model.targets.all_mut() = names.iter().map(|name| target(name, "dev", "10.0.0.1:80", 80, &[])).collect();
    *model.pods.all_mut() = (model.targets.all().iter().zip(["a", "b", "c", "d", "e", "f", "g", "h"]))
        .map(|(target, suffix)| pod("dev", target, suffix, Phase::Ready))
        .map(|pod| (pod.key.clone(), pod))
        .collect();
    show(&mut model.screen.pods, model.pods.all().keys().cloned().collect());
    show(&mut model.screen.targets, names.iter().map(|name| (*name).to_owned()).collect());
    for width in [60, 80, 100, 140, 200] {
        let (terminal, _) = drawn(&model, width, 50, &Theme::plain());
        let buffer = terminal.backend().buffer();
        let column = |needle: &str| -> Vec<u16> {
            let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<Vec<_>>();
            let at = |cells: Vec<&str>| (0..cells.len()).find(|x| cells[*x..].concat().starts_with(needle));
            (0..50).filter_map(|y| at(row(y))).map(|x| u16::try_from(x).unwrap()).collect()
        };
        let left = column("20:02");
        // The strip's details show it once more.
        assert!(left.len() > names.len() && left[..names.len()].iter().all(|x| *x == left[0]), "{width}: {left:?}");
    }
}

#[test]
fn practice_says_so_on_the_first_line_whatever_is_open() {
    let theme = Theme::named("dark", Colors::Ansi256).unwrap();
    for mut model in models() {
        model.practice = true;
        let first = |width, height| {
            let (mut terminal, _) = drawn(&model, width, height, &theme);
            lines(&mut terminal).lines().next().unwrap_or_default().to_owned()
        };
        let wide = first(80, 24);
        assert!(wide.contains("PRACTICE: nothing here is real") && wide.contains("q, then brow-tui"), "{wide}");
        assert!(first(40, 14).contains("PRACTICE"));
    }
}
