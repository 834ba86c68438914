//! The dashboard's loop with a line printer for a screen: a subcommand's requests go through the same model and
//! effects.

use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use chrono::Utc;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::print::{self, FAILED, Failure};
use super::signals::{Signals, ended_by};
use super::{EVENT_CAPACITY, Globals, surroundings};
use crate::app;
use crate::cluster::Clusters;
use crate::effects::Effects;
use crate::log;
use crate::store;
use crate::text::Text;
use brow_model::effect::TerminalEffect;
use brow_model::event::InstanceEvent;
use brow_model::event::{Event, StoreEvent};
use brow_model::fault::{Remedy, What};
use brow_model::instance::Role;
use brow_model::log::{Entry, Level, Message};
use brow_model::request::Request;
use brow_model::{Mode, Model};

/// A task that a subcommand waits for beside the loop; it returns the exit code.
pub(super) type SideTask = Pin<Box<dyn Future<Output = u8> + Send>>;

/// The state that a subcommand looks at.
pub(super) struct Snapshot<'a> {
    pub model: &'a Model,
    /// The words.
    pub text: &'a Text,
    /// True if something has failed so far.
    pub failed: bool,
    /// The time since it started.
    pub age: Duration,
}

/// The next step of a subcommand.
pub(super) enum Step {
    /// Wait for the next event.
    Wait,
    /// Make more requests.
    Send(Vec<Request>),
    /// End, with this exit code.
    End(u8),
}

/// A subcommand.
pub(super) trait HeadlessCommand {
    /// Returns its first requests, once config and kubeconfig are read.
    ///
    /// # Errors
    /// The reason why it cannot begin.
    fn start(&mut self, model: &Model, text: &Text) -> Result<Vec<Request>, Failure>;

    /// Looks at the state after an update, and prints the news.
    fn on_update(&mut self, snapshot: &Snapshot<'_>) -> Step;

    /// Returns the least level of events that are printed on standard error. Faults always are.
    fn prints_from(&self) -> Level {
        Level::Error
    }

    /// Returns true if not even faults are printed.
    fn is_silent(&self) -> bool {
        false
    }

    /// Its role among the instances; `None` if others don't see it.
    fn role(&self) -> Option<Role> {
        None
    }

    /// Returns a task to wait for beside the loop, once.
    fn side_task(&mut self) -> Option<SideTask> {
        None
    }

    /// The exit code when that signal asks it to end; `None`: it goes on.
    fn on_signal(&mut self, number: u8) -> Option<u8> {
        Some(ended_by(number))
    }

    /// Returns whether the pods that it created are deleted at its end; `None`: as the config says.
    fn deletes_pods(&self) -> Option<bool> {
        None
    }
}

/// The loop.
pub(super) struct Headless {
    pub model: Model,
    pub text: Text,
    effects: Box<Effects>,
    events: mpsc::Receiver<Event>,
    runtime: PathBuf,
    signals: Signals,
    failed: bool,
    quit: bool,
    /// True if the command goes on until it is ended, so that what is retried is worth telling.
    goes_on: bool,
    /// The fault printed last, which is not printed twice in a row.
    last_fault: String,
}

impl Headless {
    /// Reads config and kubeconfig.
    ///
    /// # Errors
    /// A config that makes no sense: a verb must not go by another than the one that a person wrote.
    pub(super) fn open(globals: Globals) -> Result<Self, Failure> {
        let mut text = super::text();
        let loaded = store::load(&globals.paths).map_err(|fault| Failure::fault(&text, &fault))?;
        text = Text::new(loaded.settings.language.unwrap_or_else(|| Text::locale(&surroundings().locale)));
        let signals = Signals::listen()?;
        let (me, trouble) = super::identity(&globals.paths);
        let mut model = Model::new(Utc::now(), me.owner.clone());
        model.installation = me.installation.clone();
        (model.practice, model.mode) = (globals.practice, Mode::Subcommand);
        let clusters = Clusters::empty(globals.kubeconfig);
        let contexts = clusters.reload();
        let (sender, events) = crate::events::EventSender::channel(EVENT_CAPACITY);
        let effects = Box::new(Effects::start(clusters, globals.paths, me, sender));
        let runtime = globals.runtime;
        let (failed, quit, goes_on, last_fault) = (false, false, false, String::new());
        let mut headless = Self { model, text, effects, events, runtime, signals, failed, quit, goes_on, last_fault };
        headless.update(Event::Store(StoreEvent::Loaded(Box::new(loaded))));
        if let Some(fault) = trouble {
            headless.update(Event::Store(StoreEvent::Trouble(fault)));
        }
        headless.tell(Level::Error);
        headless.failed = false;
        // Without a kubeconfig everything but clusters works; who needs one is told then.
        headless.update(Event::Contexts(contexts));
        headless.model.screen.log.entries.clear();
        Ok(headless)
    }

    /// Waits for something that has to be there first.
    ///
    /// # Errors
    /// The exit code, where somebody asked us to end meanwhile: all has been let go of.
    pub(super) async fn wait_for<T>(mut self, awaited: impl Future<Output = T>) -> Result<(Self, T), ExitCode> {
        let number = tokio::select! {
            biased;
            number = self.signals.next() => number,
            awaited = awaited => return Ok((self, awaited)),
        };
        Err(self.end(ended_by(number).into()).await)
    }

    /// Lets go of everything: what still writes would bring back files that are removed after it.
    pub(super) async fn end(self, code: ExitCode) -> ExitCode {
        Box::pin(app::shut_down(self.model, *self.effects, self.events, &self.text, print::err)).await;
        code
    }

    /// Runs a verb to its end.
    pub(super) async fn run(mut self, command: &mut dyn HeadlessCommand) -> ExitCode {
        self.goes_on = command.role().is_some();
        if let Some(role) = command.role() {
            self.effects.join(self.runtime.clone(), role);
            self.effects.follow_kubeconfig();
            if let Some(number) = self.wait_for_instances().await {
                return self.end(ended_by(number).into()).await;
            }
        }
        let code = match command.start(&self.model, &self.text) {
            Ok(requests) => {
                for request in requests {
                    self.update(Event::Request(request));
                }
                let code = self.run_loop(command).await;
                print::progress("");
                code
            }
            Err(failure) => {
                print::err(&failure.message);
                failure.code
            }
        };
        if let Some(delete_pods) = command.deletes_pods() {
            self.update(Event::Request(Request::Quit { delete_pods }));
        } else {
            self.update(Event::Terminate);
        }
        self.end(code.into()).await
    }

    /// Waits until the instances that are there have been heard: what they forward is not forwarded twice. The number
    /// of a signal that asks us to end meanwhile.
    async fn wait_for_instances(&mut self) -> Option<u8> {
        loop {
            let event = tokio::select! {
                biased;
                number = self.signals.next() => return Some(number),
                event = self.events.recv() => event?,
            };
            let all = event == Event::Instance(InstanceEvent::Known);
            self.update(event);
            if all {
                return None;
            }
        }
    }

    async fn run_loop(&mut self, command: &mut dyn HeadlessCommand) -> u8 {
        let started = Instant::now();
        let mut queued = Vec::new();
        let mut side_task: Option<SideTask> = None;
        let mut tick = started;
        loop {
            if command.is_silent() {
                self.model.screen.log.entries.clear();
            }
            self.tell(command.prints_from());
            self.effects.publish(&self.model);
            let snapshot =
                Snapshot { model: &self.model, text: &self.text, failed: self.failed, age: started.elapsed() };
            match command.on_update(&snapshot) {
                Step::Wait => {}
                Step::Send(requests) => {
                    for request in requests {
                        self.update(Event::Request(request));
                    }
                    continue;
                }
                Step::End(code) => return code,
            }
            side_task = side_task.or_else(|| command.side_task());
            let waiting = side_task.is_some();
            tokio::select! {
                biased;
                number = self.signals.next() => if let Some(code) = command.on_signal(number) {
                    return code;
                },
                code = async { match &mut side_task { Some(side_task) => side_task.await, None => std::future::pending().await } },
                    if waiting => return code,
                // Before the events, of which there may always be more: time goes on.
                () = sleep_until(tick) => {
                    tick = Instant::now() + Duration::from_secs(1);
                    let samples = self.effects.samples();
                    self.update(Event::Tick { now: Utc::now(), samples });
                }
                count = self.events.recv_many(&mut queued, EVENT_CAPACITY) => {
                    for event in queued.drain(..) {
                        self.update(event);
                    }
                    if count == 0 || self.quit {
                        return FAILED;
                    }
                }
            }
        }
    }

    fn update(&mut self, event: Event) {
        for effect in log::update(&mut self.model, event) {
            self.quit |= self.effects.run(effect) == Some(TerminalEffect::Quit);
        }
    }

    /// Tells what is new in the log: what went wrong always, the rest from a level on.
    fn tell(&mut self, from: Level) {
        for entry in std::mem::take(&mut self.model.screen.log.entries) {
            let Entry { level, message, .. } = &entry;
            let says = match message {
                // The command ends: nothing is kept, to be written later.
                Message::Failed(fault) if fault.what == What::FileUnwritable => self.text.fault_once(fault).in_full(),
                Message::Failed(fault) if !self.goes_on && !matches!(fault.remedy, Remedy::Grant(_)) => {
                    self.text.fault_once(fault).in_full()
                }
                // Where a right is missing, with what grants it.
                Message::Failed(fault) => self.text.to_copy(fault),
                // A secret in a file that many may read.
                Message::LoginInAddress => self.text.entry(&entry),
                // Of no use to whoever asked for something else.
                Message::ScopeNarrowed | Message::CpuLimited if from > Level::Info => continue,
                _ if *level >= from => self.text.entry(&entry),
                _ => continue,
            };
            self.failed |= *level == Level::Error;
            if says != self.last_fault {
                print::err(&says);
                self.last_fault = says;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::store::Paths;
    use brow_model::settings::Language;

    /// Waits until time goes on, and has an event ready whenever it is asked.
    struct Flooded {
        sender: crate::events::EventSender,
        since: chrono::DateTime<Utc>,
        looks: usize,
    }

    impl HeadlessCommand for Flooded {
        fn start(&mut self, _: &Model, _: &Text) -> Result<Vec<Request>, Failure> {
            Ok(Vec::new())
        }

        fn on_update(&mut self, snapshot: &Snapshot<'_>) -> Step {
            self.looks += 1;
            if snapshot.model.now != self.since {
                return Step::End(0);
            }
            if self.looks > 1_000 {
                return Step::End(FAILED);
            }
            self.sender.try_send(Event::Instance(InstanceEvent::Known));
            Step::Wait
        }
    }

    #[tokio::test]
    async fn a_flood_of_events_does_not_keep_time_from_going_on() {
        let home = tempfile::tempdir().unwrap();
        let at = |name| home.path().join(name);
        let paths = Paths { config: at("config.toml"), state_dir: at("state"), legacy: at("none") };
        let (sender, events) = crate::events::EventSender::channel(EVENT_CAPACITY);
        let since = Utc::now() - TimeDelta::hours(1);
        let me = brow_model::installation::Identity {
            owner: "ann@ship".to_owned(),
            installation: crate::store::throwaway(),
        };
        let mut headless = Headless {
            model: Model::new(since, "ann@ship"),
            text: Text::new(Language::En),
            effects: Box::new(Effects::start(Clusters::default(), paths, me, sender.clone())),
            events,
            runtime: at("run"),
            signals: Signals::listen().unwrap(),
            failed: false,
            quit: false,
            goes_on: false,
            last_fault: String::new(),
        };
        let code = headless.run_loop(&mut Flooded { sender, since, looks: 0 }).await;
        assert_eq!(code, 0, "a thousand events, and not a tick");
    }
}
