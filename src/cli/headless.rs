//! The dashboard's loop with a line printer for a screen: a subcommand's requests go through the same model and
//! effects.

use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use chrono::Utc;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::print::{self, FAILED, Stop};
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
use brow_model::fault::What;
use brow_model::instance::Role;
use brow_model::log::{Entry, Level, Message};
use brow_model::request::Request;
use brow_model::{Mode, Model};

/// A task that a subcommand waits for beside the loop; it returns the exit code.
pub(super) type Aside = Pin<Box<dyn Future<Output = u8> + Send>>;

/// The state that a subcommand looks at.
pub(super) struct Seen<'a> {
    pub model: &'a Model,
    /// The words.
    pub text: &'a Text,
    /// True if something has failed so far.
    pub failed: bool,
    /// The time since it started.
    pub age: Duration,
}

/// The next step of a subcommand.
pub(super) enum Next {
    /// Wait for the next event.
    Wait,
    /// Make more requests.
    Ask(Vec<Request>),
    /// End, with this exit code.
    End(u8),
}

/// A subcommand.
pub(super) trait Verb {
    /// Returns its first requests, once config and kubeconfig are read.
    ///
    /// # Errors
    /// The reason why it cannot begin.
    fn begin(&mut self, model: &Model, text: &Text) -> Result<Vec<Request>, Stop>;

    /// Looks at the state after an update, and prints the news.
    fn look(&mut self, seen: &Seen<'_>) -> Next;

    /// Returns true if ordinary events are printed too, on standard error.
    fn tells(&self) -> bool {
        false
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
    fn aside(&mut self) -> Option<Aside> {
        None
    }

    /// The exit code when that signal asks it to end; `None`: it goes on.
    fn signaled(&mut self, number: u8) -> Option<u8> {
        Some(ended_by(number))
    }

    /// Returns whether the pods that it created are deleted at its end; `None`: as the config says.
    fn takes_pods_along(&self) -> Option<bool> {
        None
    }
}

/// The loop.
pub(super) struct Headless {
    pub model: Model,
    pub text: Text,
    effects: Effects,
    events: mpsc::Receiver<Event>,
    runtime: PathBuf,
    signals: Signals,
    failed: bool,
    quit: bool,
    /// The fault printed last, which is not printed twice in a row.
    told: String,
}

impl Headless {
    /// Reads config and kubeconfig.
    ///
    /// # Errors
    /// A config that makes no sense: a verb must not go by another than the one that a person wrote.
    pub(super) fn open(globals: Globals) -> Result<Self, Stop> {
        let mut text = super::text();
        let loaded = store::load(&globals.paths).map_err(|fault| Stop::fault(&text, &fault))?;
        text = Text::new(loaded.settings.language.unwrap_or_else(|| Text::locale(&surroundings().locale)));
        let signals = Signals::hear()?;
        let (me, trouble) = super::identity(&globals.paths);
        let mut model = Model::new(Utc::now(), me.owner.clone());
        model.installation = me.installation.clone();
        (model.practice, model.mode) = (globals.practice, Mode::Subcommand);
        let clusters = Clusters::empty(globals.kubeconfig);
        let contexts = clusters.reload();
        let (sender, events) = crate::events::EventSender::channel(EVENT_CAPACITY);
        let effects = Effects::start(clusters, globals.paths, me, sender);
        let runtime = globals.runtime;
        let (failed, quit, told) = (false, false, String::new());
        let mut headless = Self { model, text, effects, events, runtime, signals, failed, quit, told };
        headless.update(Event::Store(StoreEvent::Loaded(Box::new(loaded))));
        if let Some(fault) = trouble {
            headless.update(Event::Store(StoreEvent::Trouble(fault)));
        }
        headless.tell(false);
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
    pub(super) async fn first<T>(mut self, awaited: impl Future<Output = T>) -> Result<(Self, T), ExitCode> {
        let number = tokio::select! {
            biased;
            number = self.signals.next() => number,
            awaited = awaited => return Ok((self, awaited)),
        };
        Err(self.end(ended_by(number).into()).await)
    }

    /// Lets go of everything: what still writes would bring back files that are removed after it.
    pub(super) async fn end(self, code: ExitCode) -> ExitCode {
        Box::pin(app::shut_down(self.model, self.effects, self.events, &self.text, print::err)).await;
        code
    }

    /// Runs a verb to its end.
    pub(super) async fn run(mut self, verb: &mut dyn Verb) -> ExitCode {
        if let Some(role) = verb.role() {
            self.effects.join(self.runtime.clone(), role);
            self.effects.follow_kubeconfig();
            if let Some(number) = self.hear_others().await {
                return self.end(ended_by(number).into()).await;
            }
        }
        let code = match verb.begin(&self.model, &self.text) {
            Ok(requests) => {
                for request in requests {
                    self.update(Event::Request(request));
                }
                self.until_over(verb).await
            }
            Err(stop) => {
                print::err(&stop.says);
                stop.code
            }
        };
        if let Some(delete_pods) = verb.takes_pods_along() {
            self.update(Event::Request(Request::Quit { delete_pods }));
        } else {
            self.update(Event::Terminate);
        }
        self.end(code.into()).await
    }

    /// Waits until the instances that are there have been heard: what they forward is not forwarded twice. The number
    /// of a signal that asks us to end meanwhile.
    async fn hear_others(&mut self) -> Option<u8> {
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

    async fn until_over(&mut self, verb: &mut dyn Verb) -> u8 {
        let started = Instant::now();
        let mut queued = Vec::new();
        let mut aside: Option<Aside> = None;
        let mut tick = started;
        loop {
            if verb.is_silent() {
                self.model.screen.log.entries.clear();
            }
            self.tell(verb.tells());
            self.effects.publish(&self.model);
            let seen = Seen { model: &self.model, text: &self.text, failed: self.failed, age: started.elapsed() };
            match verb.look(&seen) {
                Next::Wait => {}
                Next::Ask(requests) => {
                    for request in requests {
                        self.update(Event::Request(request));
                    }
                    continue;
                }
                Next::End(code) => return code,
            }
            aside = aside.or_else(|| verb.aside());
            let waiting = aside.is_some();
            tokio::select! {
                biased;
                number = self.signals.next() => if let Some(code) = verb.signaled(number) {
                    return code;
                },
                code = async { match &mut aside { Some(aside) => aside.await, None => std::future::pending().await } },
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

    /// Tells what is new in the log: what went wrong always, the rest where that is wished for.
    fn tell(&mut self, all: bool) {
        for entry in std::mem::take(&mut self.model.screen.log.entries) {
            let Entry { level, message, .. } = &entry;
            let says = match message {
                // The command ends: nothing is kept, to be written later.
                Message::Failed(fault) if fault.what == What::FileUnwritable => self.text.fault_once(fault).in_full(),
                // Where a right is missing, with what grants it.
                Message::Failed(fault) => self.text.to_copy(fault),
                // A secret in a file that many may read.
                _ if all || *message == Message::LoginInAddress => self.text.entry(&entry),
                _ => continue,
            };
            self.failed |= *level == Level::Error;
            if says != self.told {
                print::err(&says);
                self.told = says;
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

    impl Verb for Flooded {
        fn begin(&mut self, _: &Model, _: &Text) -> Result<Vec<Request>, Stop> {
            Ok(Vec::new())
        }

        fn look(&mut self, seen: &Seen<'_>) -> Next {
            self.looks += 1;
            if seen.model.now != self.since {
                return Next::End(0);
            }
            if self.looks > 1_000 {
                return Next::End(FAILED);
            }
            self.sender.try_send(Event::Instance(InstanceEvent::Known));
            Next::Wait
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
            effects: Effects::start(Clusters::default(), paths, me, sender.clone()),
            events,
            runtime: at("run"),
            signals: Signals::hear().unwrap(),
            failed: false,
            quit: false,
            told: String::new(),
        };
        let code = headless.until_over(&mut Flooded { sender, since, looks: 0 }).await;
        assert_eq!(code, 0, "a thousand events, and not a tick");
    }
}
