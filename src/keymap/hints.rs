//! Hints: the keys that have an effect in the current mode, those of the welcome, and the key that the tip teaches.

use super::{Keymap, Mode};
use crate::text::{Hint, Text};
use brow_model::Model;
use brow_model::action::Command;
use brow_model::cluster::Link;
use brow_model::dialog::Dialog;
use brow_model::focus::Pane;
use brow_model::log::Happening;

/// The commands that the welcome offers, in order.
const WELCOME: [Command; 5] = [Command::New, Command::Browse, Command::Import, Command::Help, Command::Cancel];

/// The hints of one mode, while they are collected.
struct Hints<'a> {
    keymap: &'a Keymap,
    text: &'a Text,
    mode: Mode,
    said: Vec<Hint>,
}

impl Hints<'_> {
    /// Adds hints for commands, in the words of `hint.<name>`.
    fn say(&mut self, commands: &[Command]) -> &mut Self {
        for command in commands {
            let words = format!("hint.{}", command.name());
            self.say_as(&[*command], &words);
        }
        self
    }

    /// Adds hints for commands if a condition holds.
    fn say_if(&mut self, here: bool, commands: &[Command]) -> &mut Self {
        if here { self.say(commands) } else { self }
    }

    /// Adds one hint for commands that belong together: the first key of each, and a text for all.
    fn say_as(&mut self, commands: &[Command], words: &str) -> &mut Self {
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
                let import = matches!(dialog, Some(Dialog::Import { .. }));
                hints.say_as(&[Command::Accept], if import { "hint.import" } else { "hint.save" });
                if let Some(Dialog::TargetForm(_)) = dialog {
                    hints.say_as(&[Command::PageDown], "hint.more-fields");
                    hints.say_as(&[Command::Next], "hint.next-field");
                }
                hints.say_as(&[Command::Cancel], "hint.close");
            }
            Mode::Question | Mode::Quit => {
                hints
                    .say_as(&[Command::Left, Command::Right], "hint.choose-button")
                    .say_as(&[Command::Accept], "hint.press");
                hints.said.extend(
                    super::fixed::answer_keys()
                        .zip(["hint.yes", "hint.no"])
                        .map(|((keys, _), words)| Hint { keys: keys.join(", "), label: text.get(words).to_owned() }),
                );
                hints.say_if(mode == Mode::Quit, &[Command::QuitNow]);
            }
            Mode::Browser => of_browser(model, &mut hints),
            Mode::Scroll if matches!(dialog, Some(Dialog::Menu(_))) => {
                hints
                    .say_as(&[Command::Up, Command::Down], "hint.choose-button")
                    .say_as(&[Command::Accept], "hint.copy")
                    .say_as(&[Command::Cancel], "hint.close");
            }
            Mode::Scroll => {
                hints.say_as(&[Command::Up, Command::Down], "hint.scroll").say(&[Command::PageDown]);
                hints.say_if(dialog.is_some_and(|dialog| dialog.fault().is_some()), &[Command::Copy]);
                hints.say_as(&[Command::Cancel], "hint.close");
            }
            Mode::Filter => {
                hints
                    .say_as(&[Command::Accept], "hint.keep-filter")
                    .say_as(&[Command::Cancel], "hint.clear-filter")
                    .say_as(&[Command::Up, Command::Down], "hint.scroll");
            }
            Mode::Log => {
                let newest = model.screen.log.shown().next_back();
                let wrong = newest.is_some_and(|entry| matches!(entry.what, Happening::Failed(_)));
                hints
                    .say_as(&[Command::Up, Command::Down], "hint.scroll")
                    .say_if(wrong, &[Command::Describe])
                    .say(&[Command::Filter, Command::Copy])
                    .say_as(&[Command::ToggleLog], "hint.details")
                    .say(&[Command::Quit, Command::Help]);
            }
            Mode::Clusters | Mode::Targets | Mode::Pods | Mode::Forwards => of_pane(model, &mut hints),
        }
        hints.said
    }

    /// The keys of the commands that the welcome offers; a command without keys is left out.
    pub fn welcome(&self, text: &Text) -> Vec<Hint> {
        let words = |command: Command| match command {
            Command::New => "welcome.way-new".to_owned(),
            Command::Cancel => "welcome.way-dashboard".to_owned(),
            other => format!("command.{}", other.name()),
        };
        let hint = |command: Command| {
            let keys = self.table.keys(Mode::Clusters, command).into_iter().next()?;
            Some(Hint { keys, label: text.get(&words(command)).to_owned() })
        };
        WELCOME.into_iter().filter_map(hint).collect()
    }

    /// The key that the tip teaches, after the key of its pane if that is another. `None` if the command has no key.
    pub fn tip(&self, model: &Model, text: &Text) -> Option<Hint> {
        let lesson = model.lesson()?;
        let here = Self::mode(model);
        let there = lesson.panes().first().filter(|_| !lesson.panes().contains(&model.screen.focus.pane));
        let first = |mode, command| self.table.keys(mode, command).into_iter().next();
        let keys = match there {
            None => first(here, lesson.command())?,
            Some(pane) => {
                let (mode, go) = match pane {
                    Pane::Clusters => (Mode::Clusters, Command::Clusters),
                    Pane::Targets => (Mode::Targets, Command::Targets),
                    Pane::Pods => (Mode::Pods, Command::Pods),
                    Pane::Forwards => (Mode::Forwards, Command::Forwards),
                };
                format!("{} {}", first(here, go)?, first(mode, lesson.command())?)
            }
        };
        Some(Hint { keys, label: text.get(&format!("tip.{}", lesson.name())).to_owned() })
    }
}

fn of_pane(model: &Model, hints: &mut Hints<'_>) {
    let (marked, filtered, rows) = match model.screen.focus.pane {
        Pane::Clusters => standing(&model.screen.clusters),
        Pane::Targets => standing(&model.screen.targets),
        Pane::Pods => standing(&model.screen.pods),
        Pane::Forwards => standing(&model.screen.forwards),
    };
    match hints.mode {
        Mode::Clusters => of_clusters(model, hints),
        Mode::Targets => {
            use Command::{Connect, Create, CreateWithTtl, Delete, Duplicate, Edit, Forward, New, OnDemand, Rename};
            hints.say_if(rows, &[Connect, Forward, Create]).say(&[New, Command::Browse]);
            let selected = model.screen.targets.selected().and_then(|name| model.target(name));
            let wrong = selected.is_some_and(|target| model.fault_of_target(target).is_some());
            hints.say_if(wrong, &[Command::Describe]);
            hints
                .say_if(rows, &[Edit, Delete, OnDemand, CreateWithTtl, Rename, Duplicate, Command::Export])
                .say(&[Command::Import]);
        }
        Mode::Pods => {
            use Command::{Describe, Forward, Kill, KillNow, PodLog, Renew, Targets};
            hints.say_if(rows, &[Forward, Kill, Renew, KillNow, Describe, PodLog]).say_if(!rows, &[Targets]);
        }
        Mode::Forwards => of_forwards(model, hints, rows),
        Mode::Form | Mode::Question | Mode::Quit | Mode::Scroll | Mode::Filter | Mode::Browser | Mode::Log => {}
    }
    if marked {
        hints.say_as(&[Command::Cancel], "hint.clear-marks");
    } else if filtered {
        hints.say_as(&[Command::Cancel], "hint.clear-filter");
    }
    let over = model.pods.all.values().any(|pod| model.is_ours(pod) && pod.is_over(model.time_at(&pod.key.cluster)));
    hints.say_if(over, &[Command::Clean]).say_if(!model.targets.deleted.is_empty(), &[Command::Undo]);
    hints.say_if(rows || filtered, &[Command::Filter]).say_if(rows, &[Command::Mark, Command::Sort]);
    hints.say_as(&[Command::Zoom], if model.screen.focus.zoomed { "hint.unzoom" } else { "hint.zoom" });
    hints.say(&[Command::ToggleLog, Command::Quit, Command::Help]);
}

fn of_browser(model: &Model, hints: &mut Hints<'_>) {
    let Some(Dialog::Browser(browser)) = model.screen.dialogs.last() else {
        return;
    };
    let (marked, filtered, rows) = standing(&browser.list);
    let missing = !browser.finds.missing.is_empty()
        || browser.clusters.keys().any(|name| model.cluster(name).is_some_and(|at| at.fault.is_some()));
    if rows {
        hints.say_as(&[Command::Accept], "hint.import").say(&[Command::Mark, Command::TakeKnown]);
    }
    if missing {
        hints.say_as(&[Command::Describe], "hint.what-is-missing");
    }
    hints.say_if(rows, &[Command::MarkAll]);
    let words = if marked {
        "hint.clear-marks"
    } else if filtered {
        "hint.clear-filter"
    } else {
        "hint.close"
    };
    hints.say_as(&[Command::Cancel], words);
}

/// Returns three flags of a list: some rows are marked, it is filtered, it has rows.
fn standing<K, C>(list: &brow_model::list::List<K, C>) -> (bool, bool, bool) {
    (!list.marks.is_empty(), !list.filter.value().is_empty(), !list.order.is_empty())
}

fn of_clusters(model: &Model, hints: &mut Hints<'_>) {
    let Some(cluster) = model.screen.clusters.selected().and_then(|name| model.cluster(name)) else {
        hints.say(&[Command::Reload]);
        return;
    };
    hints.say(&[Command::ConnectCluster]);
    hints.say_if(cluster.fault.is_some(), &[Command::Describe, Command::Copy]);
    hints.say_if(cluster.link != Link::Idle, &[Command::DisconnectCluster]);
    hints.say(&[Command::Browse, Command::New]);
    if model.screen.welcome.is_some() {
        hints.say_as(&[Command::Cancel], "hint.close");
    }
}

fn of_forwards(model: &Model, hints: &mut Hints<'_>, rows: bool) {
    use Command::{Copy, Describe, NextPod, Pods, Restart, Stop, Targets};
    let selected = model.screen.forwards.selected().and_then(|id| model.forwards.all.get(id));
    hints.say_if(rows, &[Copy, Command::Strings, Stop, Restart]);
    hints.say_if(selected.is_some_and(|forward| forward.backends.len() > 1), &[NextPod]);
    hints.say_if(selected.is_some_and(|forward| model.trouble_of(forward).is_some()), &[Describe]);
    hints.say_if(!rows, &[Targets, Pods]);
}
