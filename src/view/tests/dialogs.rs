//! Dialogs.

use std::collections::VecDeque;
use std::time::Duration;

use super::fixture::{ago, busy, drawn, field, focused, forbidden, forward, lines, target, themed, words};
use super::{shots, shots_with};
use crate::view::{Hit, Theme};
use brow_model::connection::{Connection, ConnectionId, ConnectionState, NamedDestination, Program};
use brow_model::dialog::{ConnectionList, Dialog, Question};
use brow_model::epoch::Epoch;
use brow_model::fault::{Fault, Remedy, What};
use brow_model::field::TargetField;
use brow_model::focus::Pane;
use brow_model::form::TargetForm;
use brow_model::proxy::{DescriptionLine, PodKey};
use brow_model::route::Route;
use brow_model::settings::{Colors, Language};
use brow_model::traffic::Datagrams;
use brow_model::workload::Destination;

fn with(dialog: Dialog) -> brow_model::Model {
    let mut model = busy();
    model.screen.dialogs.push(dialog);
    model
}

fn key() -> PodKey {
    busy().screen.pods.rows()[0].clone()
}

fn form(editing: Option<&str>, active: usize, errors: &[(usize, &'static str)]) -> TargetForm {
    let texts = ["mysql-dev", "dev", "", "10.0.0.1", "", "30m", "db, team-a"];
    let mut form = TargetForm::empty("");
    for (field, text) in TargetField::ALL.into_iter().zip(texts) {
        form.set(field, text);
    }
    for (at, error) in errors {
        form.fields[*at].error = Some(error);
    }
    TargetForm { editing: editing.map(str::to_owned), active, tried: true, ..form }
}

fn connections() -> ConnectionList {
    let connection = |id: u16, program: Option<(u32, &str)>, age, state| Connection {
        id: ConnectionId(id.into()),
        from: Some(([127, 0, 0, 1], 50_000 + id).into()),
        program: program.map(|(pid, name)| Program { pid, name: name.to_owned() }),
        since: ago(age),
        up: u64::from(id) * 700,
        down: u64::from(id) * 4_321_000,
        state,
        datagrams: None,
        to: None,
    };
    let mut rows = vec![
        connection(1, Some((4711, "psql")), 7_200, ConnectionState::Open),
        connection(2, Some((104_812, "java-with-a-long")), 95, ConnectionState::Open),
        connection(3, None, 3, ConnectionState::Waiting),
    ];
    rows[2].from = "[2001:db8::17]:61234".parse().ok();
    rows.extend((4..60).map(|id| connection(id, Some((4_800 + u32::from(id), "pgbench")), 60, ConnectionState::Open)));
    let forward = *busy().forwards.all().keys().next().unwrap();
    ConnectionList { forward, rows: Some(rows), cursor: 1 }
}

#[test]
fn connections_of_a_forward() {
    let list = connections();
    shots("connections", &with(Dialog::Connections(list.clone())));
    let end = ConnectionList { cursor: 58, ..list.clone() };
    let theme = Theme::named("dark", Colors::Truecolor).unwrap();
    shots_with("connections-end-chinese", &with(Dialog::Connections(end)), &theme, &words(Language::ZhCn));
    let none = ConnectionList { rows: Some(Vec::new()), cursor: 0, ..list };
    shots("connections-none", &with(Dialog::Connections(none)));
}

#[test]
fn flows_of_a_forward() {
    let mut list = connections();
    list.rows.iter_mut().flatten().nth(2).unwrap().from = "127.0.0.1:50003".parse().ok();
    for (row, count) in list.rows.iter_mut().flatten().zip(1..) {
        row.datagrams = Some(Datagrams { up: count * 40, down: count * 39, dropped: count % 3 });
    }
    let mut model = focused(busy(), Pane::Forwards);
    let forward = model.forwards.all_mut().get_mut(&list.forward).unwrap();
    forward.spec.address = "10.0.0.10:53/udp".parse().unwrap();
    forward.traffic.counts.datagrams = Datagrams { up: 5_120, down: 5_118, dropped: 2 };
    shots("flow-details", &model);
    model.screen.dialogs.push(Dialog::Connections(list));
    shots("flows", &model);
}

#[test]
fn destinations_of_a_proxy() {
    let mut list = connections();
    list.rows.iter_mut().for_each(|rows| rows.truncate(12));
    for (row, count) in list.rows.iter_mut().flatten().zip(0..) {
        (row.from, row.program) = (None, None);
        let latency = (count != 2).then(|| Duration::from_micros(700 + 450 * count));
        row.to = Some(NamedDestination {
            address: format!("web-{count}.payments-team.svc.cluster.local:80"),
            open: usize::from(count < 4),
            total: 3 + count * 7,
            failed: u64::from(count == 2),
            latency,
        });
    }
    let mut model = focused(busy(), Pane::Forwards);
    model.forwards.all_mut().get_mut(&list.forward).unwrap().spec.address = Destination::Proxy;
    model.screen.dialogs.push(Dialog::Connections(list.clone()));
    shots("destinations", &model);
    model.screen.dialogs.clear();
    model.screen.dialogs.push(Dialog::Connections(ConnectionList { rows: Some(Vec::new()), ..list }));
    shots("destinations-none", &model);
}

#[test]
fn forms() {
    shots("form-new", &with(Dialog::TargetForm(Box::new(form(None, 4, &[])))));
    let wrong = form(Some("mysql-dev"), 3, &[(0, "name-taken"), (3, "address-port")]);
    let mut open = form(Some("mysql-dev"), 4, &[]);
    open.set(TargetField::LocalAddress, "0.0.0.0");
    shots("form-open-to-others", &with(Dialog::TargetForm(Box::new(open))));
    shots("form-wrong", &with(Dialog::TargetForm(Box::new(wrong))));
}

/// A form whose further pages hold something.
fn full(active: TargetField) -> TargetForm {
    let mut form = form(Some("mysql-dev"), TargetField::ALL.iter().position(|field| *field == active).unwrap(), &[]);
    for (field, text) in [
        (TargetField::Address, "service/web:http,9090"),
        (TargetField::Via, "proxy"),
        (TargetField::OnDemand, "true"),
        (TargetField::IdleTimeout, "5m"),
        (TargetField::AutoRenew, "false"),
        (TargetField::Probe, "http:/healthz"),
        (TargetField::LocalAddress, "0.0.0.0"),
        (TargetField::Image, "registry.example.com/tools/socat:1.8"),
        (TargetField::PullPolicy, "Never"),
        (TargetField::Tolerations, "dedicated=tools:NoSchedule"),
    ] {
        form.set(field, text);
    }
    form
}

#[test]
fn the_further_pages_of_a_form() {
    let shot = |name: &str, form: TargetForm| shots(name, &with(Dialog::TargetForm(Box::new(form))));
    shot("form-filled", full(TargetField::Name));
    shot("form-forward", full(TargetField::OnDemand));
    shot("form-pod", full(TargetField::Labels));
    let mut wrong = full(TargetField::LocalAddress);
    for (field, error) in [
        (TargetField::Via, "service-only"),
        (TargetField::IdleTimeout, "time-zero"),
        (TargetField::Probe, "probe"),
        (TargetField::LocalAddress, "ip"),
        (TargetField::Tolerations, "tolerations"),
    ] {
        wrong.fields[TargetField::ALL.iter().position(|known| *known == field).unwrap()].error = Some(error);
    }
    shot("form-forward-wrong", wrong);
    let theme = Theme::named("dark", brow_model::settings::Colors::Truecolor).unwrap();
    let chinese = crate::text::Text::new(brow_model::settings::Language::ZhCn);
    for (name, active) in [("form-forward-chinese", TargetField::Via), ("form-pod-chinese", TargetField::Tolerations)] {
        shots_with(name, &with(Dialog::TargetForm(Box::new(full(active)))), &theme, &chinese);
    }
}

#[test]
fn the_names_of_the_pages_can_be_clicked() {
    for (width, height) in [(80, 24), (200, 50), (40, 8)] {
        let model = with(Dialog::TargetForm(Box::new(full(TargetField::Wait))));
        let (_, state) = themed(&model, width, height, &Theme::plain(), &super::fixture::english());
        let all = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let hits: Vec<Hit> = all.filter_map(|(x, y)| state.hit(x, y)).collect();
        for page in 0..2 {
            assert!(hits.contains(&Hit::Item(TargetField::ALL.len() + page)), "{width}x{height}: {page}");
        }
    }
}

#[test]
fn a_form_scrolls_to_its_active_field() {
    for (active, shown) in [(0, "mysql-dev"), (3, "10.0.0.1"), (6, "team-a")] {
        let model = with(Dialog::TargetForm(Box::new(form(None, active, &[(0, "name-taken"), (3, "address-port")]))));
        let (mut terminal, state) = themed(&model, 40, 8, &Theme::plain(), &super::fixture::english());
        assert!(super::lines(&mut terminal).contains(shown), "{active}");
        let items: Vec<Hit> = (0..8).filter_map(|y| state.hit(20, y)).collect();
        assert!(items.contains(&Hit::Item(active)), "{items:?}");
    }
}

#[test]
fn one_field() {
    shots("rename", &with(Dialog::Rename { name: "mysql-dev".to_owned(), field: field("数据库", Some("name-taken")) }));
    let targets = vec!["mysql-dev".to_owned(), "redis".to_owned()];
    shots("ask-ttl", &with(Dialog::AskTtl { targets, field: field("1h30m", None) }));
}

#[test]
fn questions() {
    let targets = [target("a", "dev", "10.0.0.1:80", 80, &[]), target("b", "dev", "10.0.0.2:80", 0, &[])];
    let spec = forward(9, &targets[0], 3306, Route::Failed).spec;
    let taken = Fault::new(What::PortInUse, "3306", "pid 4711 (mysqld)").with(Remedy::OtherPort(3307));
    let questions = [
        ("delete", Question::DeleteTargets(vec!["mysql-dev".to_owned(), "redis".to_owned()]), 0),
        ("kill", Question::KillPods(busy().screen.pods.rows().to_vec()), 1),
        ("clean-all", Question::CleanAll { pods: 12 }, 0),
        ("quit", Question::Quit { forwards: 2, pods: 3, unsaved: 1 }, 2),
        ("other-port", Question::OtherPort { spec: Box::new(spec), port: 3307, fault: Box::new(taken) }, 1),
        (
            "import",
            Question::Import {
                path: "~/.config/brow/config.json".to_owned(),
                targets: targets.to_vec(),
                left_out: vec!["old-db: no address".to_owned()],
            },
            0,
        ),
    ];
    for (name, question, button) in questions {
        shots(&format!("confirm-{name}"), &with(Dialog::Confirm { question, button }));
    }
}

#[test]
fn a_question_about_many_things_fits_any_screen() {
    let many = (0..500).map(|n| format!("target-{n}")).collect();
    let model = with(Dialog::Confirm { question: Question::DeleteTargets(many), button: 1 });
    let (mut terminal, state) = themed(&model, 60, 14, &Theme::plain(), &super::fixture::english());
    let screen = super::lines(&mut terminal);
    assert!(screen.contains("target-0") && !screen.contains("target-499"), "{screen}");
    let hits: Vec<Hit> =
        (0..14).flat_map(|y| (0..60).map(move |x| (x, y))).filter_map(|(x, y)| state.hit(x, y)).collect();
    assert!(hits.contains(&Hit::Item(0)) && hits.contains(&Hit::Item(1)), "{screen}");
}

#[test]
fn what_is_wrong_with_a_field_can_be_read_at_any_width() {
    let errors = [(0, "name-taken"), (1, "unknown-context"), (3, "address-brackets")];
    let model = with(Dialog::TargetForm(Box::new(form(None, 4, &errors))));
    for width in [70, 80, 100, 120, 132, 200] {
        let (mut terminal, _) = themed(&model, width, 40, &Theme::plain(), &super::fixture::english());
        let screen = super::lines(&mut terminal);
        for (_, error) in errors {
            assert!(screen.contains(super::fixture::english().get(&format!("field.{error}"))), "{width}: {screen}");
        }
    }
}

#[test]
fn no_description_in_the_help_is_cut() {
    use brow_model::settings::{Colors, Language};
    for language in [Language::En, Language::ZhCn] {
        let text = crate::text::Text::new(language);
        let help = crate::keymap::Keymap::default().help(&text);
        let theme = Theme::named("dark", Colors::Truecolor).unwrap();
        let zone = chrono::FixedOffset::east_opt(0).unwrap();
        let inputs = crate::view::FrameInputs {
            theme: &theme,
            text: &text,
            hints: &[],
            tip: None,
            welcome: &[],
            palette: &[],
            help: &help,
            zone,
        };
        for (width, height) in [(80, 24), (100, 60), (132, 43), (200, 50)] {
            let (mut state, mut model) = (crate::view::ViewState::default(), with(Dialog::help()));
            let mut terminal = ratatui::Terminal::new(ratatui::backend::TestBackend::new(width, height)).unwrap();
            let mut seen = String::new();
            for scroll in (0..345).step_by(15) {
                model.screen.dialogs = vec![Dialog::Help { filter: field("", None), scroll }];
                terminal.draw(|frame| crate::view::draw(frame, &model, &inputs, &mut state)).unwrap();
                seen.push_str(&super::lines(&mut terminal));
            }
            for hint in help.iter().flat_map(|section| &section.lines) {
                // A line may be wrapped: its end is there all the same.
                let end = hint.label.char_indices().rev().nth(4).map_or(0, |(at, _)| at);
                let end = hint.label[end..].split(' ').next_back().unwrap_or_default();
                let shown = seen.lines().any(|line| line.contains(end) && !line.contains(&format!("{end}…")));
                assert!(shown, "{width}x{height}: {}", hint.label);
                assert!(width == 80 || seen.contains(&hint.label), "{width}x{height}: {}", hint.label);
            }
        }
    }
}

#[test]
fn help() {
    shots("help", &with(Dialog::help()));
    for (pane, first) in [(Pane::Forwards, "Forwards"), (Pane::Pods, "Proxy pods"), (Pane::Targets, "Targets")] {
        let model = focused(with(Dialog::help()), pane);
        let (mut terminal, _) = drawn(&model, 80, 24, &Theme::named("dark", Colors::Truecolor).unwrap());
        let shown = lines(&mut terminal);
        let below = shown.lines().skip_while(|line| !line.contains("╭─ Keys")).nth(1).unwrap_or_default();
        assert!(below.contains(first), "the keys of where one is come first: {shown}");
    }
    let searched = Dialog::Help { filter: field("forward", None), scroll: 0 };
    shots("help-searched", &with(searched));
    shots("help-scrolled", &with(Dialog::Help { filter: field("", None), scroll: 9_999 }));
}

#[test]
fn descriptions() {
    shots("describe-waiting", &with(Dialog::Describe { key: key(), text: None, scroll: 0 }));
    let long = "  Normal  Pulled  2m  kubelet  Successfully pulled image \"alpine/socat:latest\" in 1.2s ".repeat(3);
    let mut text = vec![
        DescriptionLine::Row("name", key().name),
        DescriptionLine::Row("deadline", "1800".to_owned()),
        DescriptionLine::Row("labels", "brow/target=mysql-dev".to_owned()),
        DescriptionLine::More("team=payments".to_owned()),
    ];
    text.extend((0..56).map(|n| DescriptionLine::Text(format!("Line {n}: value"))));
    text.push(DescriptionLine::Text(long));
    for (name, scroll) in [("top", 0), ("middle", 20), ("end", 60)] {
        let text = Some(Ok(text.clone()));
        shots(&format!("describe-{name}"), &with(Dialog::Describe { key: key(), text, scroll }));
    }
    let chinese = with(Dialog::Describe { key: key(), text: Some(Ok(text)), scroll: 0 });
    let theme = Theme::named("dark", Colors::Truecolor).unwrap();
    shots_with("describe-chinese", &chinese, &theme, &words(Language::ZhCn));
    shots("describe-fault", &with(Dialog::Describe { key: key(), text: Some(Err(forbidden())), scroll: 0 }));
}

#[test]
fn pod_logs() {
    let log =
        |lines: VecDeque<String>, ended, back| with(Dialog::PodLog { key: key(), epoch: Epoch(1), lines, ended, back });
    let lines: VecDeque<String> = (0..80).map(|n| format!("2026/03/01 12:00:{n:02} socat[7] E line {n}")).collect();
    shots("pod-log-empty", &log(VecDeque::new(), None, 0));
    shots("pod-log", &log(lines.clone(), None, 0));
    shots("pod-log-back", &log(lines.clone(), None, 40));
    shots("pod-log-ended", &log(lines.clone(), Some(None), 0));
    shots("pod-log-fault", &log(lines, Some(Some(forbidden())), 0));
}

#[test]
fn faults() {
    shots("fault", &with(Dialog::Fault(forbidden())));
    shots_with("fault-plain", &with(Dialog::Fault(forbidden())), &Theme::plain(), &super::fixture::english());
}

#[test]
fn palette() {
    use brow_model::action::{Action, Command, Typed};
    use brow_model::event::Event;
    let mut model = focused(busy(), Pane::Forwards);
    model.update(Event::Act(Action::Words(crate::keymap::Keymap::default().words(&super::fixture::english()))));
    model.update(Event::Act(Action::Do(Command::Palette)));
    shots("palette", &model);
    model.update(Event::Act(Action::Type(Typed::Paste("create pod".into()))));
    shots("palette-searched", &model);
}

#[test]
fn tags() {
    shots("tags", &with(Dialog::Tags { cursor: 1 }));
}

#[test]
fn not_copied() {
    let text = (1..40).map(|line| format!("line {line}")).collect::<Vec<_>>().join("\n");
    shots("not-copied", &with(Dialog::NotCopied { text, scroll: 0 }));
}
