//! The program without its screen: model and effects, and the loop between them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use brow_model::Model;
use brow_model::action::{Action, Command};
use brow_model::event::{Event, StoreEvent};
use brow_model::fault::Fault;
use brow_model::focus::Pane;
use brow_model::forward::{Forward, ForwardState};
use brow_model::installation::Identity;
use brow_model::traffic::PodLoad;
use brow_tui::cluster::Clusters;
use brow_tui::effects::Effects;
use brow_tui::store::{self, Paths};
use chrono::Utc;

use super::common::{Home, TIMEOUT};

/// Model and effects, shared with the task that feeds them.
struct Core {
    model: Model,
    effects: Effects,
}

impl Core {
    fn update(&mut self, event: Event) {
        for effect in self.model.update(event) {
            self.effects.run(effect);
        }
        self.model.arrange();
    }
}

/// A running program.
pub struct Program {
    core: Arc<Mutex<Core>>,
    _home: Home,
}

impl Program {
    /// Starts with a config and the contexts of a kubeconfig. Must be called within a runtime.
    pub fn start(config: &str, kubeconfig: &Path) -> Self {
        let home = Home::new(config);
        let paths = Paths {
            config: home.config(),
            state_dir: home.path().join("state"),
            legacy: home.path().join("none.json"),
        };
        let loaded = store::load(&paths).expect("a config");
        let (clusters, contexts) = Clusters::read(Some(kubeconfig)).expect("contexts");
        let (sender, mut events) = brow_tui::events::EventSender::channel(256);
        let me = format!("test-{:08x}@here", rand::random::<u32>());
        let identity = Identity { owner: me.clone(), installation: store::throwaway() };
        let effects = Effects::start(clusters, paths, identity, sender);
        let mut core = Core { model: Model::new(Utc::now(), me), effects };
        core.update(Event::Store(StoreEvent::Loaded(Box::new(loaded))));
        core.update(Event::Contexts(Ok(contexts)));
        let core = Arc::new(Mutex::new(core));
        let feeding = Arc::downgrade(&core);
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                let Some(core) = feeding.upgrade() else { return };
                let mut core = core.lock().unwrap();
                let tick = Event::Tick { now: Utc::now(), samples: core.effects.samples() };
                core.update(tick);
                core.update(event);
            }
        });
        Self { core, _home: home }
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap()
    }

    /// Presses a key on a target.
    pub fn press(&self, target: &str, command: Command) {
        let mut core = self.core();
        core.model.screen.focus.pane = Pane::Targets;
        core.model.screen.targets.wanted = Some(target.to_owned());
        core.model.arrange();
        let at = core.model.screen.targets.rows().iter().position(|name| name == target).expect("the target");
        core.model.screen.targets.select(at);
        core.update(Event::Act(Action::Do(command)));
    }

    /// The forward to a target, as it is now.
    pub fn forward(&self, target: &str) -> Option<Forward> {
        self.core().model.forwards_of(target).next().cloned()
    }

    /// All forwards to a target.
    pub fn forwards(&self, target: &str) -> Vec<Forward> {
        self.core().model.forwards_of(target).cloned().collect()
    }

    /// Waits until a forward is as it should be.
    #[track_caller]
    pub fn wait_for(&self, target: &str, what: &str, holds: impl Fn(&Forward) -> bool) -> Forward {
        let end = Instant::now() + TIMEOUT;
        loop {
            let forward = self.forward(target);
            if let Some(forward) = forward.as_ref().filter(|forward| holds(forward)) {
                return forward.clone();
            }
            assert!(Instant::now() < end, "never {what}: {forward:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Opens a forward and waits until it is live; where it listens.
    #[track_caller]
    pub fn open(&self, target: &str) -> SocketAddr {
        self.press(target, Command::Forward);
        self.wait_for(target, "live", |forward| forward.state() == ForwardState::Live).bound[0]
    }

    /// Opens a forward that cannot go anywhere; why not.
    #[track_caller]
    pub fn refused(&self, target: &str) -> Fault {
        self.press(target, Command::Forward);
        let forward = self.wait_for(target, "broken", |forward| forward.state() == ForwardState::Broken);
        forward.fault.expect("a reason")
    }

    /// Returns the connections of each pod, where they are spread.
    pub fn loads(&self, target: &str) -> Vec<PodLoad> {
        let mut core = self.core();
        let tick = Event::Tick { now: Utc::now(), samples: core.effects.samples() };
        core.update(tick);
        core.model.forwards_of(target).flat_map(|forward| forward.spread.clone()).collect()
    }

    /// Returns the number of failed connections of a forward.
    pub fn failed(&self, target: &str) -> u64 {
        let mut core = self.core();
        let tick = Event::Tick { now: Utc::now(), samples: core.effects.samples() };
        core.update(tick);
        core.model.forwards_of(target).map(|forward| forward.traffic.counts.failed).sum()
    }
}

/// Asks the server behind a forward for its name.
pub fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    Ok(body.trim().to_owned())
}
