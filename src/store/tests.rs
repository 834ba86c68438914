//! Tests of the room as a whole.

mod disk;

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use brow_model::effect::{AuditEntry, StoreEffect, TargetEdit};
use brow_model::event::{Event, StoreEvent};
use brow_model::forward_settings::ForwardSettings;
use brow_model::installation::Installation;
use brow_model::settings::PodSettings;
use brow_model::target::Target;

pub fn target(name: &str) -> Target {
    Target {
        name: name.to_owned(),
        cluster: "dev".to_owned(),
        namespace: None,
        address: "10.0.0.1:3306".parse().unwrap(),
        local_port: 0,
        ttl: None,
        tags: Vec::new(),
        pod: PodSettings::default(),
        forward: ForwardSettings::default(),
    }
}

struct Running {
    paths: Paths,
    store: Store,
    events: mpsc::Receiver<Event>,
    token: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    /// Lives as long as this does.
    home: Option<tempfile::TempDir>,
}

fn paths(home: &Path) -> Paths {
    Paths {
        config: home.join("config/brow/config.toml"),
        state_dir: home.join("state/brow"),
        legacy: home.join("old/config.json"),
    }
}

impl Running {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let paths = paths(home.path());
        Self { home: Some(home), ..Self::at(paths) }
    }

    fn at(paths: Paths) -> Self {
        let (sender, events) = crate::events::EventSender::channel(64);
        let token = CancellationToken::new();
        let (store, task) = start(paths.clone(), Installation::default(), &sender, token.clone());
        Self { paths, store, events, token, task: tokio::spawn(task), home: None }
    }

    async fn next(&mut self) -> StoreEvent {
        let event = tokio::time::timeout(Duration::from_secs(20), self.events.recv()).await;
        match event.expect("an event in time").expect("the task runs") {
            Event::Store(event) => event,
            other => panic!("{other:?}"),
        }
    }

    async fn save(&mut self, edits: &[TargetEdit]) -> StoreEvent {
        self.store.send(StoreEffect::Save(edits.to_vec()));
        self.next().await
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.paths.config).unwrap()
    }

    async fn end(self) {
        self.token.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn the_first_save_makes_the_file_and_an_editor_is_noticed() {
    let mut brow = Running::new();
    assert!(!load(&brow.paths).unwrap().exists);
    assert_eq!(brow.save(&[TargetEdit::Add(target("a"))]).await, StoreEvent::Saved);
    let loaded = load(&brow.paths).unwrap();
    assert_eq!((loaded.exists, loaded.targets), (true, vec![target("a")]));

    // An editor that puts a new file in the old one's place.
    let beside = brow.paths.config.with_extension("swp");
    std::fs::write(&beside, brow.text() + "tags = [\"db\"]\n").unwrap();
    std::fs::rename(&beside, &brow.paths.config).unwrap();
    // Nothing came before it: our own save made no echo.
    let StoreEvent::Loaded(loaded) = brow.next().await else { panic!("not loaded") };
    assert_eq!(loaded.targets[0].tags, ["db"]);
    brow.end().await;
}

#[tokio::test]
async fn a_file_is_never_ours_to_break() {
    let mut brow = Running::new();
    brow.save(&[TargetEdit::Add(target("a"))]).await;
    let good = brow.text();
    let broken = good.clone() + "ttll = \"1h\"\n";
    std::fs::write(&brow.paths.config, &broken).unwrap();
    let StoreEvent::Broken(fault) = brow.next().await else { panic!("not broken") };
    assert_eq!(fault.what, What::ConfigBroken);
    assert_eq!(fault.thing, format!("{}:5:1", brow.paths.config.display()));
    assert!(fault.detail.contains("`target.ttll`") && fault.detail.contains("`ttl`"), "{}", fault.detail);
    assert_eq!(load(&brow.paths), Err(fault.clone()));
    // An edit meanwhile waits; it does not write over what the person has not finished.
    let edit = [TargetEdit::Add(target("b"))];
    assert_eq!(brow.save(&edit).await, StoreEvent::NotSaved(fault.clone()));
    assert_eq!(brow.text(), broken);
    brow.store.send(StoreEffect::Reload);
    assert_eq!(brow.next().await, StoreEvent::Broken(fault));
    std::fs::write(&brow.paths.config, &good).unwrap();
    assert!(matches!(brow.next().await, StoreEvent::Loaded(_)));
    assert_eq!(brow.save(&edit).await, StoreEvent::Saved);
    assert_eq!(load(&brow.paths).unwrap().targets.len(), 2);
    brow.end().await;
}

#[tokio::test]
async fn edits_in_conflict_are_over_and_the_others_are_made() {
    let mut brow = Running::new();
    brow.save(&[TargetEdit::Add(target("a"))]).await;
    let edits = [TargetEdit::Add(Target { local_port: 1, ..target("a") }), TargetEdit::Add(target("b"))];
    let StoreEvent::NotSaved(fault) = brow.save(&edits).await else { panic!("saved") };
    assert_eq!((fault.what, fault.thing.as_str()), (What::NameTaken, "a"));
    let StoreEvent::Loaded(loaded) = brow.next().await else { panic!("not loaded") };
    assert_eq!(loaded.targets, [target("a"), target("b")]);
    brow.end().await;
}

#[tokio::test]
async fn what_another_instance_wrote_comes_along_with_a_save() {
    let mut brow = Running::new();
    brow.save(&[TargetEdit::Add(target("a"))]).await;
    let mut other = Running::at(brow.paths.clone());
    let to = Target { local_port: 7, ..target("a") };
    let edit = [TargetEdit::Replace { was: Box::new(target("a")), target: to }];
    assert_eq!(other.save(&edit).await, StoreEvent::Saved);
    // Ours may be told before it saves, or by its own save: either way it ends with both changes, told once.
    let to = Target { tags: vec!["db".to_owned()], ..target("a") };
    brow.store.send(StoreEffect::Save(vec![TargetEdit::Replace { was: Box::new(target("a")), target: to }]));
    let mut told = Vec::new();
    while !matches!(
        &told[..],
        [.., StoreEvent::Saved, StoreEvent::Loaded(_)] | [StoreEvent::Loaded(_), StoreEvent::Saved]
    ) {
        told.push(brow.next().await);
    }
    assert_eq!(told.len(), 2, "{told:?}");
    let both = Target { local_port: 7, tags: vec!["db".to_owned()], ..target("a") };
    assert_eq!(load(&brow.paths).unwrap().targets, std::slice::from_ref(&both));
    // And the other one hears of it.
    let StoreEvent::Loaded(loaded) = other.next().await else { panic!("not loaded") };
    assert_eq!(loaded.targets, [both]);
    brow.end().await;
    other.end().await;
}

#[tokio::test]
async fn a_deletion_is_taken_back_with_its_comments() {
    let mut brow = Running::new();
    let text =
        "# Mine.\n\n[[target]] # first\nname = \"a\" # the name\ncluster = \"dev\"\naddress = \"10.0.0.1:3306\"\n";
    // The directory comes after the watch began.
    brow.store.send(StoreEffect::Reload);
    assert!(matches!(brow.next().await, StoreEvent::Loaded(_)));
    std::fs::create_dir_all(brow.paths.config.parent().unwrap()).unwrap();
    std::fs::write(&brow.paths.config, text).unwrap();
    assert!(matches!(brow.next().await, StoreEvent::Loaded(_)));
    assert_eq!(brow.save(&[TargetEdit::Remove(target("a"))]).await, StoreEvent::Saved);
    assert_eq!(brow.text(), "# Mine.\n\n");
    assert_eq!(brow.save(&[TargetEdit::Restore(target("a"))]).await, StoreEvent::Saved);
    assert_eq!(brow.text(), text);
    std::fs::remove_file(&brow.paths.config).unwrap();
    let StoreEvent::Loaded(loaded) = brow.next().await else { panic!("not loaded") };
    assert!(!loaded.exists && loaded.targets.is_empty());
    brow.end().await;
}

#[tokio::test]
async fn orders_given_before_the_end_are_carried_out_though_nobody_listens() {
    let home = tempfile::tempdir().unwrap();
    let paths = paths(home.path());
    let (sender, _events) = crate::events::EventSender::channel(1);
    let token = CancellationToken::new();
    let (store, task) = start(paths.clone(), Installation::default(), &sender, token.clone());
    for number in 0..20 {
        store.send(StoreEffect::Save(vec![TargetEdit::Add(target(&format!("t{number}")))]));
    }
    store.send(StoreEffect::Audit(AuditEntry {
        at: "2026-07-01T00:00:00Z".parse().unwrap(),
        action: "open-forward",
        thing: "t1".to_owned(),
        by: None,
        cluster: None,
        agent: None,
        namespace: None,
        fault: None,
        shell: None,
    }));
    token.cancel();
    tokio::time::timeout(Duration::from_secs(20), task).await.expect("it ends");
    assert_eq!(load(&paths).unwrap().targets.len(), 20);
    let log = std::fs::read_to_string(paths.state_dir.join("audit/2026-07-01.jsonl")).unwrap();
    assert_eq!(log, "{\"at\":\"2026-07-01T00:00:00Z\",\"action\":\"open-forward\",\"thing\":\"t1\"}\n");
    // Too late: dropped, and no panic.
    store.send(StoreEffect::Reload);
}

#[tokio::test]
async fn the_older_tools_targets_are_offered_once() {
    let home = tempfile::tempdir().unwrap();
    let paths = paths(home.path());
    std::fs::create_dir_all(paths.legacy.parent().unwrap()).unwrap();
    std::fs::write(&paths.legacy, include_str!("../../tests/fixtures/legacy.json")).unwrap();
    let mut brow = Running::at(paths.clone());
    let StoreEvent::Legacy { path, targets, left_out } = brow.next().await else { panic!("no offer") };
    assert_eq!(path, paths.legacy.display().to_string());
    let told: Vec<String> = targets
        .iter()
        .map(|t| format!("{} {} {} {} {:?} {:?}", t.name, t.cluster, t.address, t.local_port, t.ttl, t.tags))
        .collect();
    let ttl = |secs| Ttl::from_secs(secs);
    assert_eq!(
        told,
        [
            format!("mysql dev 10.0.0.1:3306 13306 {:?} [\"mysql-svc\"]", ttl(1800)),
            format!("pg prod [fd00::1]:5432 0 {:?} []", ttl(3600)),
            "redis dev redis.internal:6379 6379 None []".to_owned(),
        ]
    );
    assert_eq!(
        left_out,
        [
            "bad-env: the name or `env` (the context) is invalid",
            "bad-ip: `ip` 10.0.0.1;reboot: not an IP address or DNS name: letters, digits, '-' and '.' only",
            "bad-port: `remote_port` is not a port: 70000",
            "bad-ttl: `ttl` \"soon\": not a time: write 90s, 30m, 2h or 1h30m",
            "no-env: `env` (the context) is missing",
            "no-object: not an object",
        ]
    );
    brow.store.send(StoreEffect::LegacyOffered);
    brow.end().await;
    let mut brow = Running::at(paths);
    brow.store.send(StoreEffect::Reload);
    assert!(matches!(brow.next().await, StoreEvent::Loaded(_)));
    brow.end().await;
}

#[test]
fn the_environments_ttl_comes_first_and_is_checked() {
    let mut settings = Settings::default();
    for none in [None, Some("")] {
        apply_ttl(&mut settings, none).unwrap();
        assert_eq!(settings.ttl, Ttl::DEFAULT);
    }
    apply_ttl(&mut settings, Some("2h")).unwrap();
    assert_eq!(settings.ttl.secs(), 7200);
    for wanted in ["0", "0s", "-1", "25h", "soon", "1\u{1b}[31m"] {
        let fault = apply_ttl(&mut settings, Some(wanted)).unwrap_err();
        assert_eq!((fault.what, fault.thing.as_str()), (What::VariableBroken, "BROW_DEFAULT_TTL"), "{wanted}");
        assert!(fault.detail.starts_with(&format!("\"{}\": ", wanted.escape_debug())), "{}", fault.detail);
        assert_eq!(settings.ttl.secs(), 7200, "what was before it stays");
    }
}

#[test]
fn a_theme_chosen_by_key_counts_until_the_config_asks_for_another() {
    let home = tempfile::tempdir().unwrap();
    let paths = paths(home.path());
    std::fs::create_dir_all(paths.config.parent().unwrap()).unwrap();
    let mut worker = worker::Worker::new(paths.clone(), Installation::default());
    let theme = || load(&paths).unwrap().settings.theme;
    assert!(worker.carry_out(StoreEffect::RememberTheme("light")).is_empty());
    assert_eq!(theme(), "light", "without a config the built-in one is replaced");
    std::fs::write(&paths.config, "theme = \"terminal\"\n").unwrap();
    assert_eq!(theme(), "terminal");
    worker.look();
    worker.carry_out(StoreEffect::RememberTheme("high-contrast"));
    assert_eq!(theme(), "high-contrast");
    worker.carry_out(StoreEffect::RememberTheme("terminal"));
    assert_eq!(theme(), "terminal");
    worker.carry_out(StoreEffect::RememberTheme("light"));
    std::fs::write(&paths.config, "theme = \"dark\"\n").unwrap();
    worker.look();
    std::fs::write(&paths.config, "theme = \"terminal\"\n").unwrap();
    worker.look();
    assert_eq!(theme(), "terminal", "what was chosen before that does not come back");
}
