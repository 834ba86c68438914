//! The loop: wait for something, update the model, run the effects, draw.

use std::time::Duration;

use chrono::{DateTime, FixedOffset, Local, Utc};
use crossterm::clipboard::CopyToClipboard;
use crossterm::style::Print;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::effects::Effects;
use crate::keymap::Keymap;
use crate::log;
use crate::shell::Launcher;
use crate::term::{self, Clipboard, Term};
use crate::text::{HelpSection, Hint, Text};
use crate::view::{self, FrameInputs, Hit, Theme, ViewState};
use brow_model::Model;
use brow_model::action::{Action, Command};
use brow_model::effect::{Clip, TerminalEffect};
use brow_model::event::{Event, StoreEvent};
use brow_model::fault::Fault;
use brow_model::sanitize;
use brow_model::settings::Settings;

mod editor;
mod input;
mod notify;
mod shells;
mod shutdown;

pub use notify::Notifier;
pub use shutdown::shut_down;

use editor::Editing;
use shells::Session;

/// The shortest time between two frames: 30 a second.
const FRAME_INTERVAL: Duration = Duration::from_millis(33);
/// Events taken in one go before the screen is drawn.
const MAX_BATCH: usize = 512;

/// The terminal's environment, read once at start.
#[derive(Debug, Clone, Default)]
pub struct TerminalInfo {
    /// `LC_ALL`, `LC_MESSAGES` or `LANG`, the first that is set.
    pub locale: String,
    /// The values of `COLORTERM`, `TERM` and `NO_COLOR`.
    pub colors: view::ColorEnv,
    /// The way to call a person's attention.
    pub notifier: Notifier,
    /// The ways to the clipboard.
    pub clipboard: Clipboard,
    /// The way in which sessions in containers are started.
    pub shells: Launcher,
    /// The command of the person's editor: the variable that sets it, and its words.
    pub editor: Option<(String, String)>,
}

/// Something for the clipboard, its text, and whether a program took it.
type Copied = (Clip, String, bool);

/// The dashboard: the model and everything that is only about showing it.
pub struct App {
    model: Model,
    effects: Effects,
    events: mpsc::Receiver<Event>,
    terminal: TerminalInfo,
    keymap: Keymap,
    text: Text,
    theme: Theme,
    help: Vec<HelpSection>,
    welcome: Vec<Hint>,
    view: ViewState,
    clicked: Option<(Instant, Hit)>,
    dressed: Option<Settings>,
    /// The first setting that could not be used.
    misfit: Option<Fault>,
    foreground: Vec<TerminalEffect>,
    /// Things on their way to the clipboard.
    copies: JoinSet<Copied>,
    /// The session in a container that has the terminal.
    session: Option<Session>,
    /// The editor that has the terminal.
    editing: Option<Editing>,
    zone: FixedOffset,
    quit: bool,
}

impl App {
    /// A dashboard over a model that has been given what was read at start.
    pub fn new(model: Model, effects: Effects, events: mpsc::Receiver<Event>, terminal: TerminalInfo) -> Self {
        let text = Text::new(model.config.settings().language.unwrap_or_else(|| Text::locale(&terminal.locale)));
        let keymap = Keymap::default();
        let (help, welcome) = (keymap.help(&text), keymap.welcome(&text));
        let mut app = Self {
            theme: Theme::plain(),
            view: ViewState::default(),
            clicked: None,
            dressed: None,
            misfit: None,
            foreground: Vec::new(),
            copies: JoinSet::new(),
            session: None,
            editing: None,
            zone: zone(Utc::now()),
            quit: false,
            model,
            effects,
            events,
            terminal,
            keymap,
            text,
            help,
            welcome,
        };
        app.dress();
        app
    }

    /// Runs until somebody quits, the terminal is gone, or something is broken. However that was, the settings say what
    /// becomes of the pods. The terminal is given back when `term` is dropped.
    ///
    /// # Errors
    /// Where the terminal can't be used or signals can't be heard, and after a panic.
    pub async fn run(&mut self, term: &mut Term) -> std::io::Result<()> {
        let mut ended = self.turn(term).await;
        if ended.is_err() && term.is_gone() {
            // Closing the terminal's window is an ordinary way to quit.
            ended = Ok(());
        }
        self.end_session().await;
        self.end_editor().await;
        if !self.quit {
            self.update(Event::Terminate);
        }
        ended
    }

    /// Runs the loop: waits, updates, draws.
    async fn turn(&mut self, term: &mut Term) -> std::io::Result<()> {
        let mut signals = signals()?;
        let mut queued = Vec::with_capacity(MAX_BATCH);
        let mut drawn: Option<Instant> = None;
        let mut stale = true;
        while !self.quit {
            let now = Instant::now();
            let due = drawn.map_or(now, |at| at + FRAME_INTERVAL);
            if stale && due <= now {
                self.draw(term)?;
                drawn = Some(Instant::now());
                stale = false;
            }
            let wake = match (stale, self.model.changes_with_time()) {
                (true, _) => Some(due),
                (false, true) => Some(next_second()),
                (false, false) => None,
            };
            tokio::select! {
                biased;
                // The terminal has been given back and the panic reported.
                () = term::panicked() => return Err(std::io::Error::other("a part of the program panicked")),
                // An interrupt that is typed is for the session that has the terminal.
                is_interrupt = any(&mut signals) => if !is_interrupt || !self.is_lent() {
                    self.update(Event::Terminate);
                },
                event = term.next() => {
                    self.tick();
                    match event {
                        Some(Ok(event)) => self.on_terminal(event, term).await?,
                        // The terminal is gone: the pane was closed.
                        Some(Err(_)) | None => self.update(Event::Terminate),
                    }
                    stale = true;
                }
                count = self.events.recv_many(&mut queued, MAX_BATCH) => {
                    self.tick();
                    for event in queued.drain(..) {
                        self.update(event);
                    }
                    if count == 0 {
                        self.quit = true;
                    }
                    stale = true;
                }
                Some(done) = self.copies.join_next(), if !self.copies.is_empty() => {
                    // One that was begun before another has no more to say.
                    if let Ok(copied) = done {
                        self.tick();
                        self.on_copied(copied, term)?;
                        stale = true;
                    }
                }
                ended = editor::ended(&mut self.session, &mut self.editing), if self.is_lent() => {
                    self.on_ended(ended, term)?;
                    stale = true;
                }
                () = sleep_until(wake.unwrap_or(now)), if wake.is_some() => stale |= self.tick(),
            }
            self.follow_foreground(term).await?;
            self.effects.publish(&self.model);
        }
        Ok(())
    }

    /// Ends the program as [`shut_down`] does; `say` prints a line on the restored terminal.
    pub async fn finish(mut self, say: impl Fn(&str)) {
        // `shut_down` prints the log's entries, and the screen has shown these already.
        self.model.screen.log.entries.clear();
        Box::pin(shut_down(self.model, self.effects, self.events, &self.text, say)).await;
    }

    fn draw(&mut self, term: &mut Term) -> std::io::Result<()> {
        self.model.arrange();
        let hints = self.keymap.hints(&self.model, &self.text);
        let tip = self.keymap.tip(&self.model, &self.text);
        let palette = self.keymap.palette(&self.model, &self.text);
        let look = FrameInputs {
            theme: &self.theme,
            text: &self.text,
            hints: &hints,
            tip: tip.as_ref(),
            welcome: &self.welcome,
            palette: &palette,
            help: &self.help,
            zone: self.zone,
        };
        let (model, view) = (&self.model, &mut self.view);
        term.draw(|frame| view::draw(frame, model, &look, view))?;
        term.set_title(self.title().as_deref())?;
        let (rows, max_scroll) = (self.view.page(), self.view.max_scroll());
        if (rows, max_scroll) != (self.model.screen.page, self.model.screen.max_scroll) {
            self.update(Event::Act(Action::Page { rows, max_scroll }));
        }
        Ok(())
    }

    /// The terminal's title; `None` if the settings leave it alone.
    fn title(&self) -> Option<String> {
        if !self.model.config.settings().title {
            return None;
        }
        let ends = self.model.ends_first();
        let soon = ends.is_some_and(|(pod, _)| self.model.ends_soon(pod).is_some());
        Some(self.text.title(ends.map(|(pod, left)| (pod.target.as_str(), left)), soon))
    }

    /// Sends the model a tick if a new second has begun; returns true if so.
    fn tick(&mut self) -> bool {
        let now = Utc::now();
        if now.timestamp() == self.model.now.timestamp() {
            return false;
        }
        // A journey, or summer time: what is told goes by the clock on the wall.
        self.zone = zone(now);
        let samples = self.effects.samples();
        self.update(Event::Tick { now, samples });
        true
    }

    /// Updates the model and runs the effects. Those that need the terminal are kept for the loop.
    fn update(&mut self, event: Event) {
        let restyle = matches!(event, Event::Store(_) | Event::Act(Action::Do(Command::Theme)));
        for effect in log::update(&mut self.model, event) {
            self.foreground.extend(self.effects.run(effect));
        }
        if restyle {
            self.dress();
        }
        // The log's filter goes by what is read.
        self.model.screen.log.word(|entry| self.text.entry(entry));
    }

    /// Applies language, theme, colors and keys if the settings changed. A value that cannot be used is reported, and
    /// the last good one stays.
    fn dress(&mut self) {
        if self.dressed.as_ref() == Some(self.model.config.settings()) {
            // Reading the same again has not mended it.
            if let (None, Some(fault)) = (self.model.config.fault(), self.misfit.clone()) {
                self.update_store(fault);
            }
            return;
        }
        let settings = self.model.config.settings().clone();
        self.dressed = Some(settings.clone());
        let language = settings.language.unwrap_or_else(|| Text::locale(&self.terminal.locale));
        self.model.screen.log.unword();
        let mut faults = Vec::new();
        match Theme::named(&settings.theme, self.terminal.colors.depth(settings.colors)) {
            Ok(theme) => self.theme = theme,
            Err(fault) => faults.push(fault),
        }
        match Keymap::new(&settings.keys) {
            Ok(keymap) => self.keymap = keymap,
            Err(wrong) => faults.extend(wrong),
        }
        self.text = Text::new(language).with_keys(self.keymap.key_names());
        self.help = self.keymap.help(&self.text);
        self.welcome = self.keymap.welcome(&self.text);
        self.update(Event::Act(Action::Words(self.keymap.words(&self.text))));
        self.misfit = None;
        // The first is the one to mend first, and so the last word.
        for fault in faults.into_iter().rev() {
            let fault = Fault { thing: format!("{}:{}", self.model.config.path(), fault.thing), ..fault };
            self.misfit = Some(fault.clone());
            self.update_store(fault);
        }
    }

    fn update_store(&mut self, fault: Fault) {
        for effect in log::update(&mut self.model, Event::Store(StoreEvent::Broken(fault))) {
            self.foreground.extend(self.effects.run(effect));
        }
    }

    /// Gives something to the programs that may take it, in place of what was given before. The text has no control
    /// characters, since it may be pasted into a shell.
    fn copy(&mut self, clip: Clip, term: &mut Term) -> std::io::Result<()> {
        let text = match &clip {
            Clip::Text(text) | Clip::Targets { text, .. } => text.clone(),
            Clip::Fault(fault) => self.text.to_copy(fault),
            Clip::Entries(entries) => entries.iter().map(|entry| self.text.entry(entry) + "\n").collect(),
        };
        let text = sanitize::lines(&text).into_owned();
        let clipboard = self.terminal.clipboard.clone();
        self.copies.abort_all();
        if clipboard.programs().next().is_none() {
            return self.on_copied((clip, text, false), term);
        }
        self.copies.spawn(async move {
            let taken = clipboard.copy(text.clone()).await;
            (clip, text, taken)
        });
        Ok(())
    }

    /// Tells the model how that went. What no program took the terminal gets.
    fn on_copied(&mut self, (clip, text, taken): Copied, term: &mut Term) -> std::io::Result<()> {
        if !taken {
            term.send(CopyToClipboard::to_clipboard_from(&text))?;
        }
        let taken = taken || self.terminal.clipboard.terminal_takes;
        self.update(Event::Clipped { clip, text, taken });
        Ok(())
    }

    /// Runs the effects that need the terminal.
    async fn follow_foreground(&mut self, term: &mut Term) -> std::io::Result<()> {
        term.set_mouse(self.model.config.settings().mouse)?;
        for effect in std::mem::take(&mut self.foreground) {
            match effect {
                TerminalEffect::Copy(clip) => self.copy(clip, term)?,
                TerminalEffect::Notify(entry) => {
                    let words = self.text.entry(&entry);
                    let how = self.model.config.settings().notify;
                    term.send(Print(self.terminal.notifier.call(how, &words)))?;
                }
                TerminalEffect::Shell(place) => self.open_shell(&place, term).await?,
                TerminalEffect::EditText { draft, fault, epoch } => {
                    self.open_editor(&draft, fault.as_ref(), epoch, term).await?;
                }
                TerminalEffect::Quit => self.quit = true,
            }
        }
        Ok(())
    }
}

/// The signals that ask the program to end.
fn signals() -> std::io::Result<[Signal; 3]> {
    Ok([signal(SignalKind::terminate())?, signal(SignalKind::hangup())?, signal(SignalKind::interrupt())?])
}

/// Waits for any of the signals that ask the program to end; true if it is an interrupt.
async fn any(signals: &mut [Signal; 3]) -> bool {
    let [terminate, hangup, interrupt] = signals;
    tokio::select! {
        _ = terminate.recv() => false,
        _ = hangup.recv() => false,
        _ = interrupt.recv() => true,
    }
}

/// The time zone of this machine at some time, as it is set now.
fn zone(now: DateTime<Utc>) -> FixedOffset {
    *now.with_timezone(&Local).offset()
}

/// The instant at which the wall clock's next second begins.
fn next_second() -> Instant {
    let past = Utc::now().timestamp_subsec_millis() % 1_000;
    Instant::now() + Duration::from_millis(u64::from(1_001 - past))
}
