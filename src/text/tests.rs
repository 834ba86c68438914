//! Tests that both languages have every key, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use chrono::DateTime;

use super::*;
use brow_model::Model;
use brow_model::action::Action;
use brow_model::cluster::Link;
use brow_model::command::{Command, Section};
use brow_model::dialog::Question;
use brow_model::event::Event;
use brow_model::fault::{Fault, Grant, Remedy, What};
use brow_model::field::{Page, TargetField};
use brow_model::first_run::Tip;
use brow_model::focus::Pane;
use brow_model::forward::ForwardState;
use brow_model::list::{ClusterColumn, ForwardColumn, PodColumn, TargetColumn};
use brow_model::log::{Entry, Level, Message};
use brow_model::proxy::Phase;

const LANGUAGES: [Language; 2] = [Language::En, Language::ZhCn];

fn words(language: Language) -> BTreeMap<String, String> {
    Text::new(language).words.into_iter().collect()
}

fn placeholders(words: &str) -> BTreeSet<&str> {
    words.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
}

/// Keys that the code makes out of a name, for each name there is.
fn made_keys() -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let columns = ClusterColumn::ALL.iter().map(|column| column.key());
    let columns = columns.chain(TargetColumn::ALL.iter().map(|column| column.key()));
    let columns = columns.chain(PodColumn::ALL.iter().map(|column| column.key()));
    let columns = columns.chain(ForwardColumn::ALL.iter().map(|column| column.key()));
    keys.extend(columns.map(|key| format!("column.{key}")));
    for command in Command::ALL {
        keys.extend(["command", "hint"].map(|table| format!("{table}.{}", command.name())));
        // Some only.
        let own = Section::ALL.iter().map(|section| format!("command.{}-{}", command.name(), section.name()));
        keys.extend(own.filter(|key| words(Language::En).contains_key(key)));
    }
    keys.extend(Section::ALL.iter().map(|section| format!("place.{}", section.name())));
    keys.extend(Tip::ALL.iter().map(|tip| format!("tip.{}", tip.name())));
    for field in TargetField::ALL {
        keys.extend(["form", "form-hint"].map(|table| format!("{table}.{}", field.key())));
    }
    keys.extend(Page::ALL.iter().map(|page| format!("form-page.{}", page.key())));
    keys.extend(brow_model::offer::LeftOutReason::ALL.iter().map(|why| format!("left-out.{}", why.key())));
    keys.extend(brow_model::page::PagePart::ALL.iter().map(|part| format!("page.{}", part.name())));
    keys.extend(brow_model::page::LABELS.iter().map(|label| format!("page.{label}")));
    keys.extend(brow_model::proxy::DESCRIPTION_LABELS.iter().map(|label| format!("describe.{label}")));
    let relations = brow_model::page::Relation::ALL.iter().skip(1);
    keys.extend(relations.map(|relation| format!("relation.{}", relation.name())));
    for what in What::ALL {
        let name = serde_json::to_value(what).unwrap();
        keys.extend(["fault", "remedy"].map(|table| format!("{table}.{}", name.as_str().unwrap())));
        // Some only.
        let some = ["remedy-once", "fault-brief"].map(|table| format!("{table}.{}", name.as_str().unwrap()));
        keys.extend(some.into_iter().filter(|key| words(Language::En).contains_key(key)));
    }
    keys
}

/// The text of every source file of ours.
fn sources() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open = vec![root.join("src"), root.join("crates/brow-model/src")];
    let mut texts = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            texts.push(fs::read_to_string(path).unwrap());
        }
    }
    texts
}

/// The string literals in Rust source: what stands between quotes.
fn literals(source: &str) -> impl Iterator<Item = &str> {
    source.split('"').skip(1)
}

#[test]
fn both_languages_have_the_same_keys_and_placeholders() {
    let (en, zh) = (words(Language::En), words(Language::ZhCn));
    let names = |words: &BTreeMap<String, String>| words.keys().cloned().collect::<BTreeSet<_>>();
    assert!(en.len() > 200, "the English table is empty: it does not parse");
    assert_eq!(names(&en), names(&zh));
    for (key, words) in &en {
        assert_eq!(placeholders(words), placeholders(&zh[key]), "{key}");
        assert!(!words.trim().is_empty() && !zh[key].trim().is_empty(), "{key} is empty");
    }
}

#[test]
fn the_chinese_table_is_chinese() {
    // Symbols and proper names only; everything else must have been translated.
    let same = [
        "check.size",
        "dialog.ask-ttl-label",
        "dialog.describe",
        "form.ttl",
        "log.forward-opened",
        "view.measure-cpu",
        "view.pod",
        "view.prometheus",
        "view.ttl",
    ];
    let (en, zh) = (words(Language::En), words(Language::ZhCn));
    for (key, words) in en.iter().filter(|(key, _)| !same.contains(&key.as_str())) {
        assert_ne!(words, &zh[key], "{key}");
    }
}

#[test]
fn every_key_that_is_asked_for_is_there() {
    let en = words(Language::En);
    for key in made_keys() {
        assert!(en.contains_key(&key), "{key} is missing");
    }
    let tables: BTreeSet<&str> = en.keys().filter_map(|key| key.split_once('.')).map(|(table, _)| table).collect();
    let is_key = |text: &str| {
        let name = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        text.split_once('.').is_some_and(|(table, key)| tables.contains(table) && !key.is_empty() && name(key))
    };
    for source in sources() {
        for key in literals(&source).filter(|text| is_key(text)) {
            assert!(en.contains_key(key), "{key} is missing");
        }
    }
}

#[test]
fn there_is_nothing_that_nobody_asks_for() {
    let sources = sources();
    let mut asked: BTreeSet<String> = made_keys();
    for source in &sources {
        for text in literals(source) {
            // What the form finds wrong is named without its table.
            asked.extend([text.to_owned(), format!("field.{text}")]);
        }
    }
    let unused: Vec<String> = words(Language::En)
        .into_keys()
        .filter(|key| !asked.contains(key) && !key.strip_suffix("-one").is_some_and(|many| asked.contains(many)))
        .collect();
    assert!(unused.is_empty(), "nobody asks for {unused:?}");
}

#[test]
fn faults_name_their_thing_and_say_what_to_do() {
    for language in LANGUAGES {
        let text = Text::new(language);
        for what in What::ALL {
            let said = text.fault(&Fault::new(*what, "THING", " words "));
            assert!(said.what.contains("THING") && !said.what.contains('{'), "{what:?}: {}", said.what);
            assert!(said.remedy.chars().count() > 5 && !said.remedy.contains('{'), "{what:?}: {}", said.remedy);
            assert!(said.detail.ends_with("words"), "{what:?}: {}", said.detail);
            let once = text.fault_once(&Fault::new(*what, "THING", " words "));
            assert!(once.remedy.chars().count() > 5 && !once.remedy.contains('{'), "{what:?}: {}", once.remedy);
            assert_eq!((once.what, once.detail), (said.what, said.detail));
        }
    }
}

#[test]
fn a_missing_right_is_named_with_its_place() {
    let text = Text::new(Language::En);
    let grant =
        Grant { verb: "create".into(), resource: "pods/portforward".into(), namespace: Some("brow-dev".into()) };
    let detail = r#"pods "p" is forbidden: User "anna" cannot create resource "pods/portforward""#;
    let fault = Fault::new(What::Forbidden, "prod", detail).with(Remedy::Grant(grant));
    let said = text.fault(&fault);
    assert_eq!(said.what, "prod: no right to create pods/portforward in namespace brow-dev (403)");
    let copy = text.to_copy(&fault);
    let yaml: Vec<&str> = copy.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(yaml[0], "apiVersion: rbac.authorization.k8s.io/v1");
    assert!(copy.contains("name: \"anna\""), "{copy}");
    let port = Fault::new(What::PortInUse, "3306", "pid 7 (mysqld)").with(Remedy::OtherPort(3307));
    assert_eq!(
        text.to_copy(&port),
        "Local port 3306 is taken\nheld by pid 7 (mysqld)\nPort 3307 is free: give the target that local port, or leave the port empty to \
         get any."
    );
    let again = Fault::new(What::Tunnel, "pod", "").with(Remedy::Retrying);
    assert_eq!(text.fault(&again).remedy, "brow-tui retries automatically.");
}

#[test]
fn symbols_tell_the_states_apart() {
    for language in LANGUAGES {
        let text = Text::new(language);
        let links = [Link::Idle, Link::Connecting, Link::Ready, Link::Unauthorized, Link::Forbidden, Link::Unreachable];
        let phases = [
            Phase::Creating,
            Phase::Pending,
            Phase::Pulling,
            Phase::Starting,
            Phase::Ready,
            Phase::Terminating,
            Phase::Expired,
            Phase::Succeeded,
            Phase::Failed,
        ];
        let states = [
            ForwardState::Opening,
            ForwardState::Resting,
            ForwardState::Waiting,
            ForwardState::Dialing,
            ForwardState::Live,
            ForwardState::Reconnecting,
            ForwardState::Broken,
            ForwardState::Failed,
        ];
        for shown in [
            links.map(|link| text.link(link)).to_vec(),
            phases.map(|phase| text.phase(phase)).to_vec(),
            states
                .map(|state| text.forward_state(state))
                .into_iter()
                .chain(["forward-state.starting", "forward-state.idle", "forward-state.down"].map(|key| text.get(key)))
                .collect(),
        ] {
            let symbols: BTreeSet<&str> = shown.iter().map(|words| words.split_once(' ').unwrap().0).collect();
            assert_eq!(symbols.len(), shown.len(), "{shown:?}");
            assert!(symbols.iter().all(|symbol| unicode_width::UnicodeWidthStr::width(*symbol) == 1), "{symbols:?}");
        }
    }
}

#[test]
fn what_is_filled_in_is_not_filled_again() {
    let mut text = Text::new(Language::En);
    text.words.insert("test.a".into(), "{x} and {y}, {z} {".into());
    text.words.insert("test.n".into(), "{count} pods".into());
    text.words.insert("test.n-one".into(), "one pod".into());
    assert_eq!(text.fill("test.a", &[("x", "{y}"), ("y", "2")]), "{y} and 2, {z} {");
    assert_eq!(text.fill("test.n", &[("count", "1")]), "one pod");
    assert_eq!(text.fill("test.n", &[("count", "21")]), "21 pods");
}

#[test]
fn the_locale_chooses_the_language() {
    for (value, language) in [
        ("zh_CN.UTF-8", Language::ZhCn),
        ("zh", Language::ZhCn),
        ("zh-Hans", Language::ZhCn),
        ("ZH_tw", Language::ZhCn),
        ("en_US.UTF-8", Language::En),
        ("C.UTF-8", Language::En),
        ("", Language::En),
        ("zha_CN", Language::En),
    ] {
        assert_eq!(Text::locale(value), language, "{value}");
    }
}

#[test]
fn entries_are_one_line() {
    let text = Text::new(Language::En);
    let at = DateTime::from_timestamp(0, 0).unwrap();
    let entry = |what, thing: &str, detail: &str| {
        let (thing, detail, words) = (thing.into(), detail.into(), String::new());
        text.entry(&Entry { at, level: Level::Info, message: what, thing, detail, words })
    };
    assert_eq!(entry(Message::ForwardOpened, "db", "127.0.0.1:3306"), "db → 127.0.0.1:3306");
    assert_eq!(entry(Message::PodsCleaned, "1", "dev"), "Cleaning up 1 finished or expired pod in dev");
    assert_eq!(entry(Message::PodsCleaned, "3", "dev"), "Cleaning up 3 finished or expired pods in dev");
    let misplaced = Message::NotHere { command: Command::Create, places: vec![Section::Targets] };
    assert_eq!(entry(misplaced, "", ""), "“create pod” works in: Targets");
    assert_eq!(entry(Message::Copied, "127.0.0.1:1", ""), "Copied: 127.0.0.1:1");
    assert_eq!(entry(Message::CopiedEntries, "12", ""), "Copied: 12 entries of the log");
    let fault = Fault::new(What::Quota, "pod x", "exceeded quota:\n  cpu");
    assert_eq!(
        entry(Message::Failed(Box::new(fault)), "pod x", ""),
        "A quota leaves no room for pod x — exceeded quota: cpu"
    );
}

#[test]
fn questions_have_a_button_for_each_answer() {
    let names = |count: usize| (1..=count).map(|n| format!("t{n}")).collect::<Vec<_>>();
    for language in LANGUAGES {
        let text = Text::new(language);
        for question in [
            Question::DeleteTargets(names(1)),
            Question::DeleteTargets(names(20)),
            Question::KillPods(Vec::new()),
            Question::DeleteGateways(names(2)),
            Question::KillForeign { pods: Vec::new(), foreign: names(1) },
            Question::CleanAll { pods: 2 },
            Question::Quit { forwards: 1, pods: 0, unsaved: 1 },
            Question::Quit { forwards: 0, pods: 2, unsaved: 2 },
            Question::Import { path: "/p".into(), targets: Vec::new(), left_out: names(2) },
        ] {
            let said = text.question(&question);
            assert_eq!(said.buttons.len(), question.buttons(), "{question:?}");
            assert!(!said.title.contains('{') && !said.says.contains('{'), "{said:?}");
        }
    }
    let text = Text::new(Language::En);
    let said = text.question(&Question::DeleteTargets(names(10)));
    assert_eq!(said.title, "Delete 10 targets?");
    assert!(said.says.contains("t8\nand 2 more\n"), "{}", said.says);
    assert_eq!(text.question(&Question::DeleteTargets(names(1))).title, "Delete target t1?");
    let said = text.question(&Question::Quit { forwards: 2, pods: 1, unsaved: 0 });
    assert_eq!(
        said.says,
        "2 open forwards will stop.\n1 proxy pod of this run lives until its TTL, unless you delete it now."
    );
}

#[test]
fn a_name_that_does_not_resolve_is_told_without_its_port() {
    for (thing, shown) in [("no-such-host.invalid:80", "no-such-host.invalid "), ("db", "db ")] {
        let said = Text::new(Language::En).fault(&Fault::new(What::TargetUnresolved, thing, "")).what;
        assert!(said.contains(shown) && !said.contains(":80"), "{said}");
    }
}

#[test]
fn where_there_is_nothing_to_act_on_no_name_is_missing_from_the_words() {
    for language in LANGUAGES {
        let text = Text::new(language);
        let check = |entry: &Entry, place: &str| {
            let words = text.entry(entry);
            let whole = words == words.trim() && !words.contains("  ") && !words.starts_with([':', '：', '，']);
            assert!(whole, "{place}: {words:?} ({:?})", entry.message);
        };
        let places = Pane::ALL.into_iter().flat_map(|pane| [(pane, false), (pane, true)]);
        for (pane, in_log) in places {
            for command in Command::ALL {
                let mut model = Model::new(DateTime::UNIX_EPOCH, "me@here".to_owned());
                (model.screen.focus.pane, model.screen.focus.in_log) = (pane, in_log);
                model.arrange();
                let place = format!("{pane:?} {in_log} {command:?}");
                model.refusal(*command).iter().for_each(|entry| check(entry, &place));
                model.update(Event::Act(Action::Do(*command)));
                model.screen.log.entries.iter().for_each(|entry| check(entry, &place));
            }
        }
    }
}
