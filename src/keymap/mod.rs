//! One table from keys to commands, which is also the help and the hints of the bottom line.

mod chord;
mod fixed;
mod help;
mod hints;
mod page_hints;
mod table;

#[cfg(test)]
mod tests;

use crossterm::event::KeyEvent;

use brow_model::Model;
use brow_model::action::Action;
use brow_model::command::{Command, Section};
use brow_model::dialog::{Dialog, Question};
use brow_model::fault::Fault;
use brow_model::focus::Pane;
use brow_model::settings::KeyOverride;

use chord::Chord;
use table::{Lookup, Table};

/// Maps keys to actions: the default table with the config's changes, and the keys of an unfinished sequence.
#[derive(Debug, Clone, Default)]
pub struct Keymap {
    table: Table,
    /// A sequence that has begun, and where.
    pending: Vec<Chord>,
    begun: Option<Mode>,
}

/// The part of the screen that receives keys; it decides which sections of the table apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// A form or a single text field in a dialog.
    Form,
    /// A question with buttons.
    Question,
    /// The question whether to quit.
    Quit,
    /// The question whether to let an agent do something, which may appear at any time.
    Consent,
    /// A text that scrolls: a description, a pod's log, the help, a fault.
    Scroll,
    /// The text field of a filter.
    Filter,
    /// The list of tags.
    Tags,
    /// A text field that searches what is below it: the help, the palette.
    Search,
    /// The browser: a filter, and rows.
    Browser,
    /// The search: a text field, and results.
    Find,
    /// The browser of kinds: a filter, and rows.
    Kinds,
    /// An object's page.
    Page,
    /// The filter of the log on an object's page.
    PageFilter,
    /// A change of an object that is ready to be applied: lines that scroll, and buttons.
    Proposal,
    /// A text of an object that was refused: a fault to copy, and buttons.
    Refusal,
    /// The list of a forward's connections, or of the sessions in containers.
    Connections,
    /// The event log in the strip.
    Log,
    /// The clusters pane.
    Clusters,
    /// The targets pane.
    Targets,
    /// The proxy pods pane.
    Pods,
    /// The forwards pane.
    Forwards,
}

impl Keymap {
    /// The default keys with the config's changes.
    ///
    /// # Errors
    /// A fault for each change that cannot be: unknown places, commands and keys, and keys with two meanings. Its
    /// thing is the line in the config.
    pub fn new(overrides: &[KeyOverride]) -> Result<Self, Vec<Fault>> {
        Ok(Self { table: Table::with(overrides)?, ..Self::default() })
    }

    pub fn mode(model: &Model) -> Mode {
        match model.screen.dialogs.last() {
            Some(Dialog::TargetForm(_) | Dialog::Rename { .. } | Dialog::AskTtl { .. } | Dialog::Import { .. }) => {
                Mode::Form
            }
            Some(Dialog::Browser(_)) => Mode::Browser,
            Some(Dialog::Find(_)) => Mode::Find,
            Some(Dialog::Kinds(_)) => Mode::Kinds,
            Some(Dialog::Object(page)) if page.is_filtering() => Mode::PageFilter,
            Some(Dialog::Object(_)) => Mode::Page,
            Some(Dialog::Edit(edit)) if edit.stage.fault().is_some() => Mode::Refusal,
            Some(Dialog::Edit(_)) => Mode::Proposal,
            Some(Dialog::Tags { .. }) => Mode::Tags,
            Some(Dialog::Help { .. } | Dialog::Palette(_)) => Mode::Search,
            Some(Dialog::Connections(_) | Dialog::Shells { .. }) => Mode::Connections,
            Some(Dialog::Confirm { question: Question::Quit { .. }, .. }) => Mode::Quit,
            Some(Dialog::Confirm { question: Question::Agent(_), .. }) => Mode::Consent,
            Some(Dialog::Confirm { .. }) => Mode::Question,
            Some(
                Dialog::Describe { .. }
                | Dialog::Why(_)
                | Dialog::PodLog { .. }
                | Dialog::NotCopied { .. }
                | Dialog::Fault(_)
                | Dialog::Menu(_),
            ) => Mode::Scroll,
            None if model.filtering() => Mode::Filter,
            None => Self::mode_below(model),
        }
    }

    /// The mode that the model is in without dialogs and filters.
    fn mode_below(model: &Model) -> Mode {
        match model.screen.focus.pane {
            _ if model.screen.focus.in_log => Mode::Log,
            Pane::Clusters => Mode::Clusters,
            Pane::Targets => Mode::Targets,
            Pane::Pods => Mode::Pods,
            Pane::Forwards => Mode::Forwards,
        }
    }

    /// Returns the action of a key in the model's mode. `None` if it has none, or if it begins a sequence.
    pub fn resolve(&mut self, model: &Model, key: KeyEvent) -> Option<Action> {
        let chord = Chord::of(key)?;
        let mode = Self::mode(model);
        if self.begun != Some(mode) {
            self.pending.clear();
        }
        self.begun = Some(mode);
        self.pending.push(chord);
        if let Lookup::Unbound = self.table.find(mode, &self.pending) {
            // A sequence that nobody knows: its last key may mean something by itself.
            self.pending.drain(..self.pending.len() - 1);
        }
        let found = self.table.find(mode, &self.pending);
        if let Lookup::Prefix = found {
            return None;
        }
        self.pending.clear();
        match found {
            Lookup::Command(command) => Some(Action::Do(mode.meaning(command))),
            Lookup::Unbound | Lookup::Prefix => fixed::action(mode, chord).or_else(|| self.misplaced(mode, chord)),
        }
    }

    /// A key without a meaning here that has one in a pane.
    fn misplaced(&self, mode: Mode, chord: Chord) -> Option<Action> {
        let in_panes = matches!(mode, Mode::Log | Mode::Clusters | Mode::Targets | Mode::Pods | Mode::Forwards);
        let panes = [Pane::Targets, Pane::Pods, Pane::Forwards, Pane::Clusters].into_iter().filter(|_| in_panes);
        let panes = panes.flat_map(|pane| self.table.of(pane.section()));
        let mut known = panes.filter(|binding| binding.keys.iter().any(|keys| *keys == [chord]));
        Some(Action::Misplaced(known.next()?.command))
    }
}

impl Mode {
    /// The sections of the table that hold here, the nearest first.
    fn sections(self) -> [Section; 2] {
        let own = match self {
            Self::Form | Self::Filter | Self::Search | Self::PageFilter => Section::Form,
            Self::Question
            | Self::Quit
            | Self::Consent
            | Self::Scroll
            | Self::Tags
            | Self::Proposal
            | Self::Refusal => Section::Dialogs,
            Self::Browser => Section::Browser,
            Self::Find => Section::Find,
            Self::Kinds => Section::Kinds,
            Self::Page => Section::Page,
            Self::Connections => Section::Connections,
            Self::Log => Section::Log,
            Self::Clusters => Section::Clusters,
            Self::Targets => Section::Targets,
            Self::Pods => Section::Pods,
            Self::Forwards => Section::Forwards,
        };
        [own, Section::Anywhere]
    }

    /// Returns true if characters are typed into a text field in this mode.
    fn has_text(self) -> bool {
        matches!(
            self,
            Self::Form | Self::Filter | Self::Search | Self::Browser | Self::Find | Self::Kinds | Self::PageFilter
        )
    }

    /// Returns true if a command of one of the mode's sections has an effect in this mode.
    fn takes(self, command: Command) -> bool {
        use Command::{
            Accept, Bottom, Cancel, ConnectOnce, Copy, CopyFiles, Create, Deepen, Delete, Describe, Down, Edit,
            EndConnection, Filter, Forward, Help, Left, Mark, MarkAll, New, Next, NextContainer, NodeShell,
            OneNamespace, PageDown, PageUp, PodLog, Previous, PreviousRun, Quit, QuitNow, Reload, Reveal, Right, Shell,
            ShowEvents, ShowPage, ShowRelations, ShowSummary, ShowYaml, Stop, Strings, TakeKnown, Top, Unfold, Up, Why,
            Wide,
        };
        let steps = matches!(command, Accept | Cancel | Up | Down | PageUp | PageDown | Quit);
        match self {
            Self::Form => steps || matches!(command, ConnectOnce | Next | Previous),
            Self::Search => steps || command == Help,
            Self::PageFilter => steps,
            Self::Filter => matches!(command, Accept | Cancel | Next | Previous | Up | Down | Quit),
            Self::Question | Self::Quit | Self::Consent => {
                matches!(command, Accept | Cancel | Next | Previous | Up | Down | Left | Right | Quit)
                    || (self == Self::Quit && command == QuitNow)
            }
            Self::Scroll => steps || matches!(command, Top | Bottom | Copy | Create | Why),
            Self::Page => {
                let parts = matches!(command, ShowSummary | ShowEvents | ShowRelations | ShowYaml | PodLog);
                let moves = matches!(command, Top | Bottom | Left | Right | Next | Previous | Help);
                let own = matches!(command, Deepen | Reload | Reveal | Unfold | NextContainer | PreviousRun | Filter);
                let shared =
                    matches!(command, Edit | Delete | Forward | Shell | CopyFiles | Copy | Strings | Why | Describe);
                steps || parts || moves || own || shared
            }
            Self::Connections => steps || matches!(command, EndConnection | NodeShell | Top | Bottom),
            Self::Tags => steps || matches!(command, Top | Bottom | Mark | Stop),
            Self::Find => {
                steps || matches!(command, ShowPage | PodLog | Forward | Shell | Why | Copy | Strings | Describe | Help)
            }
            Self::Kinds => {
                steps
                    || matches!(command, ShowPage | Forward | Wide | OneNamespace | Copy | Strings | Describe | Help)
                    || matches!(command, Edit | New | Delete | PodLog | Why)
            }
            Self::Proposal => steps || matches!(command, Left | Right | Next | Previous | Top | Bottom),
            Self::Refusal => steps || matches!(command, Left | Right | Next | Previous | Copy),
            Self::Browser => steps || matches!(command, Mark | MarkAll | TakeKnown | ShowPage | Why | Describe | Help),
            Self::Log | Self::Clusters | Self::Targets | Self::Pods | Self::Forwards => true,
        }
    }

    /// Turns `quit` into `cancel` inside dialogs: it closes the dialog, not the program.
    fn meaning(self, command: Command) -> Command {
        let closes = matches!(
            self,
            Self::Form
                | Self::Filter
                | Self::Search
                | Self::Browser
                | Self::Find
                | Self::Kinds
                | Self::Page
                | Self::PageFilter
                | Self::Connections
                | Self::Question
                | Self::Consent
                | Self::Scroll
                | Self::Tags
                | Self::Proposal
                | Self::Refusal
        );
        if closes && command == Command::Quit { Command::Cancel } else { command }
    }
}
