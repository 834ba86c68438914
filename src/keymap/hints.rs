//! Hints: the keys that have an effect in the current mode, those of the welcome, and the key that the tip teaches.

use std::collections::{BTreeMap, HashMap};

use super::table::shown;
use super::{Keymap, Mode};
use crate::text::{Hint, Text};
use brow_model::Model;
use brow_model::command::{Command, Section};
use brow_model::dialog::Dialog;
use brow_model::find::Hit;
use brow_model::focus::Pane;
use brow_model::list::ListStatus;

/// The commands that the welcome offers, in order, and their words.
const WELCOME: [(Command, &str); 5] = [
    (Command::New, "welcome.way-new"),
    (Command::Browse, "command.browse"),
    (Command::Import, "command.import"),
    (Command::Help, "command.help"),
    (Command::Cancel, "welcome.way-dashboard"),
];

/// The hints of one mode, while they are collected.
pub(super) struct Hints<'a> {
    keymap: &'a Keymap,
    text: &'a Text,
    mode: Mode,
    said: Vec<Hint>,
}

impl Hints<'_> {
    /// Adds hints for commands, in the words of `hint.<name>`.
    pub(super) fn say(&mut self, commands: &[Command]) -> &mut Self {
        for command in commands {
            let words = format!("hint.{}", command.name());
            self.say_as(&[*command], &words);
        }
        self
    }

    /// Adds hints for commands if a condition holds.
    pub(super) fn say_if(&mut self, here: bool, commands: &[Command]) -> &mut Self {
        if here { self.say(commands) } else { self }
    }

    /// Adds one hint for commands that belong together: the first key of each, and a text for all.
    pub(super) fn say_as(&mut self, commands: &[Command], words: &str) -> &mut Self {
        let keys: String = commands
            .iter()
            .filter_map(|command| self.keymap.table.keys(self.mode, *command).into_iter().next())
            .collect();
        if !keys.is_empty() {
            self.said.push(Hint { keys, label: self.text.get(words).to_owned() });
        }
        self
    }
}

impl Keymap {
    /// The keys that do something here and now, the most important first. The last is the way to all the others.
    pub fn hints(&self, model: &Model, text: &Text) -> Vec<Hint> {
        let mode = Self::mode(model);
        let mut hints = Hints { keymap: self, text, mode, said: Vec::new() };
        let dialog = model.screen.dialogs.last();
        match mode {
            Mode::Form => {
                let accepts = match dialog {
                    Some(Dialog::Import { .. }) => "hint.import",
                    Some(Dialog::AskTtl { .. }) => "hint.create",
                    _ => "hint.save",
                };
                hints.say_as(&[Command::Accept], accepts);
                if let Some(Dialog::TargetForm(form)) = dialog {
                    hints.say_if(form.editing.is_none(), &[Command::ConnectOnce]);
                    hints.say_as(&[Command::PageDown], "hint.more-fields");
                    hints.say_as(&[Command::Next], "hint.next-field");
                }
                hints.say_as(&[Command::Cancel], "hint.close");
            }
            Mode::Question | Mode::Quit | Mode::Consent => {
                hints
                    .say_as(&[Command::Left, Command::Right], "hint.choose-button")
                    .say_as(&[Command::Accept], "hint.press");
                hints.said.extend(
                    super::fixed::answer_keys()
                        .zip(["hint.yes", "hint.no"])
                        .skip(usize::from(mode == Mode::Consent))
                        .map(|((keys, _), words)| Hint { keys: keys.join(", "), label: text.get(words).to_owned() }),
                );
                hints.say_if(mode == Mode::Quit, &[Command::QuitNow]);
            }
            Mode::Proposal | Mode::Refusal => of_edit(dialog, &mut hints),
            Mode::Browser => of_browser(model, &mut hints),
            Mode::Find => of_find(model, &mut hints),
            Mode::Tags | Mode::Search | Mode::Scroll | Mode::Connections => of_text(model, dialog, &mut hints),
            Mode::Kinds => of_kinds(model, &mut hints),
            Mode::Page => super::page_hints::of_page(model, &mut hints),
            Mode::Filter | Mode::PageFilter => {
                hints
                    .say_as(&[Command::Accept], "hint.keep-filter")
                    .say_as(&[Command::Cancel], "hint.clear-filter")
                    .say_as(&[Command::Up, Command::Down], "hint.scroll");
            }
            Mode::Log => {
                hints
                    .say_as(&[Command::Up, Command::Down], "hint.scroll")
                    .say_if(model.is_enabled(Command::Describe), &[Command::Describe])
                    .say(&[Command::Filter, Command::Copy, Command::CopyAll])
                    .say_as(&[Command::ToggleLog], "hint.details")
                    .say(&[Command::Quit, Command::Help]);
            }
            Mode::Clusters | Mode::Targets | Mode::Pods | Mode::Forwards => {
                of_pane(model, mode.sections()[0], &mut hints);
            }
        }
        hints.said
    }

    /// The keys of the commands that the welcome offers; a command without keys is left out.
    pub fn welcome(&self, text: &Text) -> Vec<Hint> {
        let hint = |(command, words): (Command, &str)| {
            let keys = self.table.keys(Mode::Clusters, command).into_iter().next()?;
            Some(Hint { keys, label: text.get(words).to_owned() })
        };
        WELCOME.into_iter().filter_map(hint).collect()
    }

    /// The commands that the palette shows, in its order, each with its keys in the pane or, if it has none there,
    /// where it works.
    pub fn palette(&self, model: &Model, text: &Text) -> Vec<Hint> {
        let Some(Dialog::Palette(palette)) = model.screen.dialogs.last() else { return Vec::new() };
        let below = Self::mode_below(model);
        let hint = |command: &Command| {
            let here = below.sections().into_iter().chain(Section::ALL.iter().copied());
            let mut bound = here.flat_map(|section| self.table.of(section)).filter(|at| at.command == *command);
            let section = bound.next().map_or(Section::Anywhere, |binding| binding.section);
            let mut keys = self.table.keys(below, *command);
            if keys.is_empty() && !below.sections().contains(&section) {
                let elsewhere = self.table.of(section).filter(|at| at.command == *command);
                keys = elsewhere.flat_map(|binding| &binding.keys).map(shown).collect();
            }
            Hint { keys: keys.join(", "), label: text.command(section, *command).to_owned() }
        };
        palette.order.iter().map(hint).collect()
    }

    /// The first key of each command in the targets pane, else on an object's page or, if it has none there either, its
    /// name: what is said names it.
    pub fn key_names(&self) -> HashMap<String, String> {
        let first = |command: &Command| {
            let modes = [Mode::Targets, Mode::Page];
            let key = modes.into_iter().find_map(|mode| self.table.keys(mode, *command).into_iter().next());
            (command.name().to_owned(), key.unwrap_or_else(|| command.name().to_owned()))
        };
        Command::ALL.iter().map(first).collect()
    }

    /// The descriptions of all commands: what the palette searches, beside their names.
    pub fn words(&self, text: &Text) -> BTreeMap<Command, String> {
        let words = |command: &Command| {
            let sections =
                Section::ALL.iter().filter(|section| self.table.of(**section).any(|at| at.command == *command));
            let mut words: Vec<&str> = sections.map(|section| text.command(*section, *command)).collect();
            words.push(text.get(&format!("hint.{}", command.name())));
            words.dedup();
            (*command, words.join(" "))
        };
        Command::ALL.iter().map(words).collect()
    }

    /// The key that the tip teaches, after the key of its pane if that is another. `None` if the command has no key.
    pub fn tip(&self, model: &Model, text: &Text) -> Option<Hint> {
        let tip = model.tip()?;
        let here = Self::mode(model);
        let there = tip.panes().first().filter(|_| !tip.panes().contains(&model.screen.focus.pane));
        let first = |mode, command| self.table.keys(mode, command).into_iter().next();
        let keys = match there {
            None => first(here, tip.command())?,
            Some(pane) => {
                let (mode, go) = match pane {
                    Pane::Clusters => (Mode::Clusters, Command::Clusters),
                    Pane::Targets => (Mode::Targets, Command::Targets),
                    Pane::Pods => (Mode::Pods, Command::Pods),
                    Pane::Forwards => (Mode::Forwards, Command::Forwards),
                };
                format!("{} {}", first(here, go)?, first(mode, tip.command())?)
            }
        };
        Some(Hint { keys, label: text.get(&format!("tip.{}", tip.name())).to_owned() })
    }
}

/// Adds the hints of a dialog that shows a text or a list.
fn of_text(model: &Model, dialog: Option<&Dialog>, hints: &mut Hints<'_>) {
    let arrows = [Command::Up, Command::Down];
    match dialog {
        Some(Dialog::Palette(_)) => hints.say_as(&arrows, "hint.choose-button").say_as(&[Command::Accept], "hint.run"),
        Some(Dialog::Connections(list)) => {
            hints.say_as(&arrows, "hint.scroll").say_if(list.selected().is_some(), &[Command::EndConnection])
        }
        Some(Dialog::Shells { .. }) => hints
            .say_as(&arrows, "hint.scroll")
            .say_as(&[Command::EndConnection], "hint.end-shell")
            .say_as(&[Command::NodeShell], "hint.new-node-shell"),
        Some(Dialog::Tags { cursor }) => hints
            .say_as(&arrows, "hint.choose-button")
            .say_as(
                &[Command::Accept],
                if model.disconnects_tag(*cursor) { "hint.disconnect-tag" } else { "hint.connect-tag" },
            )
            .say(&[Command::Stop, Command::Mark]),
        Some(Dialog::Why(steps)) => hints
            .say_as(&arrows, "hint.scroll")
            .say_if(steps.wants_pod(), &[Command::Create])
            .say_if(dialog.is_some_and(|dialog| dialog.fault().is_some()), &[Command::Copy]),
        Some(Dialog::Menu(_)) => hints.say_as(&arrows, "hint.choose-button").say_as(&[Command::Accept], "hint.copy"),
        _ => hints
            .say_as(&arrows, "hint.scroll")
            .say(&[Command::PageDown])
            .say_if(dialog.is_some_and(|dialog| dialog.fault().is_some()), &[Command::Copy]),
    };
    hints.say_as(&[Command::Cancel], "hint.close");
}

/// Adds the hints of a pane: those of its section, then those of all panes, as far as they are enabled.
fn of_pane(model: &Model, section: Section, hints: &mut Hints<'_>) {
    let standing = model.list_status();
    let (with_rows, empty) = section.hints();
    let own = if standing.rows { with_rows } else { empty };
    let (everywhere, _) = Section::Anywhere.hints();
    for command in own.iter().chain(everywhere).filter(|command| model.is_enabled(**command)) {
        match command {
            Command::Cancel => hints.say_as(&[*command], step_back(standing)),
            Command::Zoom if model.screen.focus.zoomed => hints.say_as(&[*command], "hint.unzoom"),
            Command::Restart if section == Section::Clusters => hints.say_as(&[*command], "hint.reconnect"),
            Command::Connect | Command::ConnectCluster if model.disconnects() => {
                hints.say_as(&[*command], "hint.disconnect")
            }
            _ => hints.say(&[*command]),
        };
    }
}

/// Returns the words for the next step back in a list.
fn step_back(standing: ListStatus) -> &'static str {
    match standing {
        ListStatus { marked: true, .. } => "hint.clear-marks",
        ListStatus { filtered: true, .. } => "hint.clear-filter",
        ListStatus { .. } => "hint.close",
    }
}

fn of_browser(model: &Model, hints: &mut Hints<'_>) {
    let Some(Dialog::Browser(browser)) = model.screen.dialogs.last() else {
        return;
    };
    let standing = browser.list.status();
    let missing = !browser.inventory.missing.is_empty()
        || browser.clusters.keys().any(|name| model.cluster(name).is_some_and(|at| at.fault.is_some()));
    if standing.rows {
        hints.say_as(&[Command::Accept], "hint.import").say(&[
            Command::Mark,
            Command::TakeKnown,
            Command::ShowPage,
            Command::Why,
        ]);
    }
    if missing {
        hints.say_as(&[Command::Describe], "hint.what-is-missing");
    }
    hints.say_if(standing.rows, &[Command::MarkAll]);
    hints.say_as(&[Command::Cancel], step_back(standing));
}

fn of_find(model: &Model, hints: &mut Hints<'_>) {
    let Some(Dialog::Find(finder)) = model.screen.dialogs.last() else {
        return;
    };
    match finder.selected() {
        Some(Hit::Object(_)) => {
            hints.say_as(&[Command::Accept], "hint.show").say_as(&[Command::Forward], "hint.forward");
            hints.say(&[Command::Shell, Command::PodLog]);
            hints.say_as(&[Command::Copy], "hint.copy-name").say_as(&[Command::Strings], "hint.copy-kubectl");
            hints.say(&[Command::Why]);
        }
        Some(Hit::Target(_) | Hit::Pod(_)) => {
            hints.say_as(&[Command::Accept], "hint.go-there").say_as(&[Command::Forward], "hint.forward");
            hints.say(&[Command::Shell]).say_as(&[Command::Copy], "hint.copy-name");
        }
        Some(Hit::Forward(_)) => {
            hints.say_as(&[Command::Accept], "hint.go-there").say_as(&[Command::Copy], "hint.copy-name");
        }
        Some(Hit::Command(_)) => {
            hints.say_as(&[Command::Accept], "hint.run");
        }
        None => {}
    }
    let narrow = model.index.clusters().values().any(|index| index.reason().is_some());
    if narrow || model.silent().any(|at| at.fault.is_some()) {
        hints.say_as(&[Command::Describe], "hint.what-is-missing");
    }
    let cleared = !finder.field.input.value().is_empty();
    hints.say_as(&[Command::Cancel], if cleared { "hint.clear-text" } else { "hint.close" });
}

fn of_edit(dialog: Option<&Dialog>, hints: &mut Hints<'_>) {
    if let Some(Dialog::Edit(edit)) = dialog
        && edit.stage.buttons() > 0
    {
        let refused = hints.mode == Mode::Refusal;
        hints
            .say_as(&[Command::Left, Command::Right], "hint.choose-button")
            .say_as(&[Command::Accept], "hint.press")
            .say_if(refused, &[Command::Copy]);
    }
    hints.say_as(&[Command::Up, Command::Down], "hint.scroll").say_as(&[Command::Cancel], "hint.close");
}

fn of_kinds(model: &Model, hints: &mut Hints<'_>) {
    let Some(Dialog::Kinds(browser)) = model.screen.dialogs.last() else {
        return;
    };
    match &browser.table {
        None => {
            hints.say_as(&[Command::Accept], "hint.open-kind").say_as(&[Command::Copy], "hint.copy-name");
        }
        Some(table) => {
            if let Some(row) = table.selected() {
                let forwards = !row.services.is_empty() || table.kind.namespaced;
                hints.say_as(&[Command::Accept], "hint.show").say_if(forwards, &[Command::Forward]);
                hints.say_if(table.kind.is_custom(), &[Command::Edit, Command::Delete]);
            }
            hints.say_if(table.kind.is_custom(), &[Command::New]);
            hints.say_if(table.columns.iter().any(|column| column.wide), &[Command::Wide]);
            hints.say_if(table.kind.namespaced, &[Command::OneNamespace]);
            if table.selected().is_some() {
                hints.say_as(&[Command::Copy], "hint.copy-name").say_as(&[Command::Strings], "hint.copy-kubectl");
            }
        }
    }
    if browser.table.as_ref().map_or(&browser.fault, |table| &table.fault).is_some() {
        hints.say_as(&[Command::Describe], "hint.what-is-missing");
    }
    let cleared = !browser.field().input.value().is_empty();
    let back = if browser.table.is_some() { "hint.back" } else { "hint.close" };
    hints.say_as(&[Command::Cancel], if cleared { "hint.clear-text" } else { back });
}
