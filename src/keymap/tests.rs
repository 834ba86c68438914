//! Tests of the default keys and of changes to them.

mod multiplexers;
mod overrides;
mod page;
mod reach;

use chrono::DateTime;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tui_input::InputRequest;

use super::*;
use crate::text::Text;
use brow_model::action::Typed;
use brow_model::cluster::Cluster;
use brow_model::command::ROWS;
use brow_model::event::Event;
use brow_model::fault::What;
use brow_model::settings::Language;
use brow_model::text_field::Field;

fn model() -> Model {
    Model::new(DateTime::from_timestamp(0, 0).unwrap(), "me@here")
}

fn at(pane: Pane) -> Model {
    let mut model = model();
    model.screen.focus.pane = pane;
    model
}

/// Presses keys as a legacy terminal reports them: characters, or names between `<` and `>`.
fn press(keymap: &mut Keymap, model: &Model, keys: &str) -> Vec<Option<Action>> {
    let mut events = Vec::new();
    let mut rest = keys;
    while let Some(c) = rest.chars().next() {
        let named = rest.strip_prefix('<').and_then(|rest| rest.split_once('>'));
        let (code, modifiers, behind) = match named {
            Some((name, behind)) => {
                let ctrl = name.strip_prefix("ctrl-").and_then(|c| c.chars().next());
                match (name, ctrl) {
                    (_, Some(c)) => (KeyCode::Char(c), KeyModifiers::CONTROL, behind),
                    ("enter", _) => (KeyCode::Enter, KeyModifiers::NONE, behind),
                    ("esc", _) => (KeyCode::Esc, KeyModifiers::NONE, behind),
                    ("tab", _) => (KeyCode::Tab, KeyModifiers::NONE, behind),
                    ("backtab", _) => (KeyCode::BackTab, KeyModifiers::SHIFT, behind),
                    ("delete", _) => (KeyCode::Delete, KeyModifiers::NONE, behind),
                    ("right", _) => (KeyCode::Right, KeyModifiers::NONE, behind),
                    ("down", _) => (KeyCode::Down, KeyModifiers::NONE, behind),
                    ("home", _) => (KeyCode::Home, KeyModifiers::NONE, behind),
                    _ => panic!("{name}"),
                }
            }
            None => (KeyCode::Char(c), KeyModifiers::NONE, &rest[c.len_utf8()..]),
        };
        rest = behind;
        events.push(KeyEvent::new(code, modifiers));
    }
    events.into_iter().map(|event| keymap.resolve(model, event)).collect()
}

fn command(model: &Model, keys: &str) -> Option<Command> {
    match press(&mut Keymap::default(), model, keys).pop().flatten() {
        Some(Action::Do(command)) => Some(command),
        _ => None,
    }
}

/// Checks which commands keys run in the model's mode.
#[track_caller]
fn assert_mean(model: &Model, keys: &[(&str, Command)]) {
    for (keys, wanted) in keys {
        assert_eq!(command(model, keys), Some(*wanted), "{keys}");
    }
}

fn change(place: &str, command: &str, keys: &[&str], line: usize) -> KeyOverride {
    KeyOverride {
        place: place.to_owned(),
        command: command.to_owned(),
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        line,
    }
}

#[test]
fn the_default_table_is_whole() {
    let table = Table::with(&[]).unwrap();
    for row in ROWS {
        let binding = table.of(row.section).find(|binding| binding.command == row.command).unwrap();
        assert_eq!(binding.keys.len(), row.keys.len(), "{row:?} has a key that cannot be read");
    }
    for command in Command::ALL {
        assert!(ROWS.iter().any(|row| row.command == *command && !row.keys.is_empty()), "{command:?} has no key");
    }
}

#[test]
fn each_pane_has_its_keys() {
    for (pane, keys, wanted) in [
        (Pane::Targets, "c", Command::Create),
        (Pane::Targets, "T", Command::CreateWithTtl),
        (Pane::Targets, "f", Command::Forward),
        (Pane::Targets, "<enter>", Command::Connect),
        (Pane::Targets, "n", Command::New),
        (Pane::Targets, "b", Command::Browse),
        (Pane::Targets, "I", Command::Import),
        (Pane::Targets, "E", Command::Export),
        (Pane::Targets, "Y", Command::Strings),
        (Pane::Forwards, "Y", Command::Strings),
        (Pane::Targets, "e", Command::Edit),
        (Pane::Targets, "r", Command::Rename),
        (Pane::Targets, "d", Command::Duplicate),
        (Pane::Targets, "x", Command::Stop),
        (Pane::Targets, "t", Command::Renew),
        (Pane::Targets, "D", Command::Delete),
        (Pane::Targets, "<delete>", Command::Delete),
        (Pane::Targets, "l", Command::Right),
        (Pane::Pods, "f", Command::Forward),
        (Pane::Pods, "x", Command::Stop),
        (Pane::Pods, "D", Command::Kill),
        (Pane::Pods, "X", Command::KillNow),
        (Pane::Pods, "i", Command::Describe),
        (Pane::Pods, "l", Command::PodLog),
        (Pane::Pods, "<right>", Command::Right),
        (Pane::Pods, "h", Command::Left),
        (Pane::Forwards, "x", Command::Stop),
        (Pane::Forwards, "R", Command::Restart),
        (Pane::Forwards, "p", Command::NextPod),
        (Pane::Forwards, "y", Command::Copy),
        (Pane::Clusters, "<enter>", Command::ConnectCluster),
        (Pane::Clusters, "x", Command::DisconnectCluster),
        (Pane::Clusters, "C", Command::Clean),
        (Pane::Targets, "u", Command::Undo),
        (Pane::Pods, "q", Command::Quit),
        (Pane::Pods, "<ctrl-c>", Command::Quit),
        (Pane::Forwards, "j", Command::Down),
        (Pane::Forwards, "<tab>", Command::Next),
        (Pane::Forwards, "<backtab>", Command::Previous),
        (Pane::Forwards, "3", Command::Pods),
        (Pane::Forwards, "G", Command::Bottom),
        (Pane::Forwards, " ", Command::Mark),
        (Pane::Forwards, "/", Command::Filter),
        (Pane::Forwards, "?", Command::Help),
        (Pane::Forwards, "z", Command::Zoom),
    ] {
        assert_eq!(command(&at(pane), keys), Some(wanted), "{keys} in {pane:?}");
    }
    let mut log = at(Pane::Pods);
    log.screen.focus.in_log = true;
    assert_eq!(command(&log, "y"), Some(Command::Copy));
    // A key that only other panes have says so; one that none has does nothing.
    for (model, key, misplaced) in [
        (at(Pane::Forwards), "c", Some(Command::Create)),
        (at(Pane::Clusters), "<delete>", Some(Command::Delete)),
        (log, "x", Some(Command::Stop)),
        (at(Pane::Targets), "+", None),
    ] {
        assert_eq!(press(&mut Keymap::default(), &model, key), [misplaced.map(Action::Misplaced)], "{key}");
    }
}

#[test]
fn forms_take_text_and_the_keys_of_a_shells_line() {
    let mut model = model();
    model.update(Event::Act(Action::Do(Command::New)));
    assert_eq!(Keymap::mode(&model), Mode::Form);
    let mut keymap = Keymap::default();
    let pressed = press(&mut keymap, &model, "q?/ 键<ctrl-a><ctrl-w><home><ctrl-h>");
    let wanted = [
        InputRequest::InsertChar('q'),
        InputRequest::InsertChar('?'),
        InputRequest::InsertChar('/'),
        InputRequest::InsertChar(' '),
        InputRequest::InsertChar('键'),
        InputRequest::GoToStart,
        InputRequest::DeletePrevWord,
        InputRequest::GoToStart,
        InputRequest::DeletePrevChar,
    ];
    assert_eq!(pressed, wanted.map(|edit| Some(Action::Type(Typed::Edit(edit)))));
    let keys = [
        ("<tab>", Command::Next),
        ("<backtab>", Command::Previous),
        ("<enter>", Command::Accept),
        ("<esc>", Command::Cancel),
        ("<ctrl-c>", Command::Cancel),
        ("<down>", Command::Down),
        ("<ctrl-r>", Command::ConnectOnce),
    ];
    assert_mean(&model, &keys);
    assert_eq!(command(&model, "<ctrl-l>"), None);
}

#[test]
fn filters_take_text_too() {
    let mut model = model();
    model.update(Event::Act(Action::Do(Command::Filter)));
    assert_eq!(Keymap::mode(&model), Mode::Filter);
    assert_eq!(
        press(&mut Keymap::default(), &model, "k"),
        [Some(Action::Type(Typed::Edit(InputRequest::InsertChar('k'))))]
    );
    assert_eq!(command(&model, "<enter>"), Some(Command::Accept));
    assert_eq!(command(&model, "<esc>"), Some(Command::Cancel));
}

#[test]
fn the_browser_takes_text_and_has_keys_of_its_own() {
    let mut model = at(Pane::Targets);
    let context = brow_model::cluster::Context {
        name: "dev".into(),
        server: String::new(),
        user: String::new(),
        namespace: "default".into(),
        current: true,
        entries: 0,
        fault: None,
        twice: Vec::new(),
        plugin: None,
    };
    model.clusters.all_mut().push(Cluster::from(context));
    model.update(Event::Act(Action::Do(Command::Browse)));
    assert_eq!(Keymap::mode(&model), Mode::Browser);
    assert_eq!(
        press(&mut Keymap::default(), &model, "j"),
        [Some(Action::Type(Typed::Edit(InputRequest::InsertChar('j'))))]
    );
    assert_eq!(
        press(&mut Keymap::default(), &model, "<home>"),
        [Some(Action::Type(Typed::Edit(InputRequest::GoToStart)))]
    );
    let keys = [
        (" ", Command::Mark),
        ("<enter>", Command::Accept),
        ("<ctrl-a>", Command::MarkAll),
        ("<ctrl-r>", Command::TakeKnown),
        ("<ctrl-e>", Command::Describe),
        ("<down>", Command::Down),
        ("<esc>", Command::Cancel),
        ("<ctrl-c>", Command::Cancel),
    ];
    assert_mean(&model, &keys);
    let faults = Keymap::new(&[change("browser", "take-known", &["x"], 3)]).unwrap_err();
    assert!(faults[0].detail.contains("writes a character there"), "{faults:?}");
}

#[test]
fn a_key_that_copies_gives_agents_no_consent() {
    use brow_model::agent::{AgentOperation, ApprovalRequest, SessionId};
    use brow_model::ttl::Ttl;
    let mut model = model();
    let approval = ApprovalRequest {
        session: SessionId(1),
        instance: None,
        question: 1,
        client: "robot 1".to_owned(),
        target: "db".to_owned(),
        cluster: "dev".to_owned(),
        production: false,
        place: Default::default(),
        ttl: Ttl::QUARTER,
        within: Ttl::MINUTE,
        operation: AgentOperation::Connect { on_demand: false },
    };
    model.screen.dialogs.push(Dialog::Confirm { question: Question::Agent(Box::new(approval)), button: 0 });
    // It is typed, which is no answer.
    for key in ["y", "m"] {
        let typed = press(&mut Keymap::default(), &model, key);
        assert!(matches!(typed[..], [Some(Action::Type(_))]), "{typed:?}");
    }
    assert_mean(&model, &[("n", Command::Cancel), ("<enter>", Command::Accept), ("<right>", Command::Right)]);
}

#[test]
fn questions_are_answered_by_one_key() {
    let mut model = model();
    model.screen.dialogs.push(Dialog::Confirm { question: Question::CleanAll { pods: 1 }, button: 0 });
    assert_eq!(press(&mut Keymap::default(), &model, "y"), [Some(Action::ClickItem(1))]);
    let keys = [
        ("n", Command::Cancel),
        ("q", Command::Cancel),
        ("<ctrl-c>", Command::Cancel),
        ("<esc>", Command::Cancel),
        ("<enter>", Command::Accept),
        ("l", Command::Right),
        ("<tab>", Command::Next),
    ];
    assert_mean(&model, &keys);
    assert_eq!(command(&model, "C"), None);
}

#[test]
fn ctrl_c_twice_quits() {
    let mut model = model();
    model
        .screen
        .dialogs
        .push(Dialog::Confirm { question: Question::Quit { forwards: 1, pods: 0, unsaved: 0 }, button: 0 });
    assert_eq!(command(&model, "<ctrl-c>"), Some(Command::QuitNow));
    assert_eq!(command(&model, "q"), Some(Command::Quit));
}

#[test]
fn texts_scroll_and_close() {
    let mut model = model();
    model.screen.dialogs.push(Dialog::Fault(Fault::new(What::NoPod, "web", "")));
    let keys = [
        ("j", Command::Down),
        ("G", Command::Bottom),
        ("<esc>", Command::Cancel),
        ("q", Command::Cancel),
        ("y", Command::Copy),
    ];
    assert_mean(&model, &keys);
    assert_eq!(command(&model, "f"), None);
}

#[test]
fn hints_say_what_works_here_now() {
    let text = Text::new(Language::En);
    let shown = |keymap: &Keymap, model: &Model| -> Vec<String> {
        keymap.hints(model, &text).into_iter().map(|hint| format!("{} {}", hint.keys, hint.label)).collect()
    };
    let keymap = Keymap::default();
    assert_eq!(
        shown(&keymap, &model()),
        ["n new", "b browse", "I import", "F search", "z zoom", "L log", ": commands", "q quit", "? help"]
    );
    let mut with_cluster = at(Pane::Clusters);
    with_cluster.clusters.all_mut().push(Cluster::from(brow_model::cluster::Context {
        name: "dev".into(),
        server: String::new(),
        user: String::new(),
        namespace: "default".into(),
        current: true,
        entries: 0,
        fault: None,
        twice: Vec::new(),
        plugin: None,
    }));
    with_cluster.arrange();
    assert_eq!(shown(&keymap, &with_cluster)[..2], ["Enter connect", "b browse"]);
    let mut asked = model();
    asked.screen.dialogs.push(Dialog::Confirm { question: Question::CleanAll { pods: 1 }, button: 0 });
    assert_eq!(shown(&keymap, &asked), ["←→ choose", "Enter confirm", "y yes", "n no"]);
    let mut form = model();
    form.update(Event::Act(Action::Do(Command::New)));
    let new = ["Enter save", "Ctrl-R connect once", "PgDn more settings", "Tab next field", "Esc close"];
    assert_eq!(shown(&keymap, &form), new);
    form.screen.dialogs.push(Dialog::AskTtl { targets: Vec::new(), field: Field::default() });
    assert_eq!(shown(&keymap, &form), ["Enter create pod", "Esc close"]);
    let changed = Keymap::new(&[change("anywhere", "new", &["N"], 1)]).unwrap();
    assert_eq!(shown(&changed, &model())[0], "N new");
}

#[test]
fn the_help_has_every_key_in_both_languages() {
    let keymap = Keymap::default();
    for language in [Language::En, Language::ZhCn] {
        let help = keymap.help(&Text::new(language));
        assert_eq!(help.len(), Section::ALL.len() + 1);
        for section in &help {
            assert!(!section.title.contains('?') && !section.lines.is_empty(), "{section:?}");
            assert!(section.lines.iter().all(|line| line.label != "?" && !line.keys.is_empty()), "{section:?}");
        }
    }
}

#[test]
fn the_ways_on_from_the_welcome_are_those_that_there_are() {
    let text = Text::new(Language::En);
    let ways = Keymap::default().welcome(&text);
    let keys: Vec<&str> = ways.iter().map(|way| way.keys.as_str()).collect();
    assert!(keys.starts_with(&["n"]) && keys.ends_with(&["?", "Esc"]), "{keys:?}");
    assert!(ways.iter().all(|way| way.label != "?"), "each has its words: {ways:?}");
    for (name, key) in [("browse", "b"), ("import", "I")] {
        assert_eq!(keys.contains(&key), Command::named(name).is_some(), "{name}");
    }
    let lost = KeyOverride { place: "anywhere".into(), command: "new".into(), keys: Vec::new(), line: 1 };
    assert_eq!(Keymap::new(&[lost]).unwrap().welcome(&text).len(), ways.len() - 1, "without a key it leads nowhere");
}
