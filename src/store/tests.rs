//! Tests of the room as a whole.
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::model::effect::TargetEdit;
use crate::model::event::{Event, StoreEvent};
use crate::model::settings::PodSettings;
use crate::model::target::Target;

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
    }
}

struct Running {
    paths: Paths,
    store: Store,
    events: mpsc::Receiver<Event>,
    token: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    _home: Option<tempfile::TempDir>,
}

fn paths(home: &std::path::Path) -> Paths {
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
        Self { _home: Some(home), ..Self::at(paths) }
    }

    fn at(paths: Paths) -> Self {
        let (sender, events) = mpsc::channel(64);
        let token = CancellationToken::new();
        let (store, task) = start(paths.clone(), sender, token.clone());
        Self { paths, store, events, token, task: tokio::spawn(task), _home: None }
    }

    async fn next(&mut self) -> StoreEvent {
        let event = tokio::time::timeout(Duration::from_secs(20), self.events.recv()).await;
        match event.expect("an event in time").expect("the task runs") {
            Event::Store(event) => event,
            other => panic!("{other:?}"),
        }
    }

    async fn save(&mut self, edits: &[TargetEdit]) -> StoreEvent {
        self.store.send(Order::Save(edits.to_vec()));
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
