//! Instances of brow-tui that write the same config at the same time, as processes of their own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use brow_model::effect::{StoreEffect, TargetEdit};
use brow_model::event::{Event, StoreEvent};
use brow_model::forward_settings::ForwardSettings;
use brow_model::installation::Installation;
use brow_model::settings::PodSettings;
use brow_model::target::Target;
use brow_tui::store::{Paths, load, start};
use tokio_util::sync::CancellationToken;

/// Tells this test program, started again, whose file to write, and under which name.
const HOME: &str = "BROW_TEST_WRITER_HOME";
const WRITER: &str = "BROW_TEST_WRITER_NAME";
const TARGETS: usize = 25;

fn paths(home: &Path) -> Paths {
    Paths { config: home.join("brow/config.toml"), state_dir: home.join("state"), legacy: home.join("none.json") }
}

fn target(name: String) -> Target {
    Target {
        name,
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

/// Not a test: what a second process does. It adds targets one by one, and marks one that all writers share.
#[tokio::test]
async fn writer() {
    let (Some(home), Ok(name)) = (std::env::var_os(HOME), std::env::var(WRITER)) else { return };
    let paths = paths(&PathBuf::from(home));
    let (sender, mut events) = brow_tui::events::EventSender::channel(64);
    let token = CancellationToken::new();
    let (store, task) = start(paths, Installation::default(), &sender, token.clone());
    let task = tokio::spawn(task);
    for number in 0..TARGETS {
        store.send(StoreEffect::Save(vec![TargetEdit::Add(target(format!("{name}-{number}")))]));
        store.send(StoreEffect::RememberPort { target: format!("{name}-{number}"), port: 4000 });
        loop {
            match events.recv().await.unwrap() {
                Event::Store(StoreEvent::Saved) => break,
                Event::Store(StoreEvent::Loaded(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    token.cancel();
    task.await.unwrap();
}

fn writer_process(home: &Path, name: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "writer", "--quiet"]).env(HOME, home).env(WRITER, name);
    command.stdout(std::process::Stdio::null()).spawn().unwrap()
}

#[test]
fn processes_that_write_at_once_lose_nothing() {
    let home = tempfile::tempdir().unwrap();
    let paths = paths(home.path());
    std::fs::create_dir_all(paths.config.parent().unwrap()).unwrap();
    std::fs::write(&paths.config, "# Everybody's.\ntheme = \"light\" # kept\n").unwrap();
    let names = ["one", "two", "three"];
    let writers: Vec<Child> = names.iter().map(|name| writer_process(home.path(), name)).collect();
    for mut writer in writers {
        assert!(writer.wait().unwrap().success());
    }
    let loaded = load(&paths).unwrap();
    assert_eq!(loaded.targets.len(), names.len() * TARGETS);
    assert_eq!(loaded.ports.len(), names.len() * TARGETS);
    for name in names {
        for number in 0..TARGETS {
            assert!(loaded.targets.contains(&target(format!("{name}-{number}"))), "{name}-{number}");
        }
    }
    let text = std::fs::read_to_string(&paths.config).unwrap();
    assert!(text.starts_with("# Everybody's.\ntheme = \"light\" # kept\n\n[[target]]\n"), "{text}");
}

#[test]
fn a_writer_that_is_killed_leaves_a_whole_file() {
    for _ in 0..5 {
        let home = tempfile::tempdir().unwrap();
        let paths = paths(home.path());
        let mut writer = writer_process(home.path(), "victim");
        let since = Instant::now();
        let saved = || load(&paths).expect("always a whole file").targets.len();
        while saved() < 3 {
            assert!(since.elapsed() < Duration::from_mins(1), "it does not write");
        }
        // SIGKILL: no handler runs, the lock goes with the process.
        writer.kill().unwrap();
        writer.wait().unwrap();
        let before = saved();
        assert!(writer_process(home.path(), "heir").wait().unwrap().success());
        assert_eq!(saved(), before + TARGETS);
        let beside = std::fs::read_dir(paths.config.parent().unwrap()).unwrap();
        let mut names: Vec<_> = beside.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["config.toml"], "the lock lies elsewhere");
    }
}
