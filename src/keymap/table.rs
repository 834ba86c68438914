//! The table: the default keys, the config's changes to them, and what is found in it.

use super::Mode;
use super::chord::Chord;
use super::fixed;
use brow_model::command::{Command, ROWS, Row, Section};
use brow_model::fault::{Fault, What};
use brow_model::near::nearest;
use brow_model::settings::KeyOverride;

/// Returns true if all of [`Section::Anywhere`] applies beside a section, whose own bindings win.
fn covers(section: Section) -> bool {
    matches!(section, Section::Clusters | Section::Targets | Section::Pods | Section::Forwards | Section::Log)
}

/// Commands whose default keys came after version 0.2. A config may have these for other commands, which keep them.
const GIVE_WAY: [(Section, Command); 51] = [
    (Section::Targets, Command::Stop),
    (Section::Targets, Command::Restart),
    (Section::Targets, Command::Renew),
    (Section::Targets, Command::Delete),
    (Section::Pods, Command::Connect),
    (Section::Pods, Command::Stop),
    (Section::Pods, Command::Kill),
    (Section::Pods, Command::Copy),
    (Section::Forwards, Command::Connect),
    (Section::Forwards, Command::Renew),
    (Section::Clusters, Command::Restart),
    (Section::Clusters, Command::Copy),
    (Section::Anywhere, Command::Palette),
    (Section::Anywhere, Command::Find),
    (Section::Anywhere, Command::Kinds),
    (Section::Anywhere, Command::Tags),
    (Section::Targets, Command::Connections),
    (Section::Pods, Command::Connections),
    (Section::Forwards, Command::Connections),
    (Section::Log, Command::CopyAll),
    (Section::Anywhere, Command::PageUp),
    (Section::Anywhere, Command::PageDown),
    (Section::Form, Command::ConnectOnce),
    (Section::Dialogs, Command::Stop),
    (Section::Dialogs, Command::Mark),
    (Section::Targets, Command::Shell),
    (Section::Pods, Command::Shell),
    (Section::Forwards, Command::Shell),
    (Section::Targets, Command::NodeShell),
    (Section::Pods, Command::NodeShell),
    (Section::Forwards, Command::NodeShell),
    (Section::Find, Command::Shell),
    (Section::Targets, Command::Why),
    (Section::Browser, Command::Why),
    (Section::Browser, Command::ShowPage),
    (Section::Find, Command::ShowPage),
    (Section::Find, Command::PodLog),
    (Section::Kinds, Command::PodLog),
    (Section::Kinds, Command::Why),
    (Section::Kinds, Command::ShowPage),
    (Section::Page, Command::Delete),
    (Section::Page, Command::Unfold),
    (Section::Find, Command::Why),
    (Section::Kinds, Command::Edit),
    (Section::Kinds, Command::New),
    (Section::Kinds, Command::Delete),
    (Section::Dialogs, Command::Why),
    (Section::Dialogs, Command::Create),
    (Section::Anywhere, Command::Shells),
    (Section::Anywhere, Command::Sort),
    (Section::Anywhere, Command::SortReverse),
];

/// Keys one after the other.
pub(super) type Sequence = Vec<Chord>;

/// A command and its keys.
#[derive(Debug, Clone)]
pub(super) struct Binding {
    pub section: Section,
    pub command: Command,
    pub keys: Vec<Sequence>,
    /// The line of the config that sets it; `None` for a default.
    line: Option<usize>,
}

impl Binding {
    /// Returns true if its keys are defaults that a config may have for other commands.
    fn gives_way(&self) -> bool {
        self.line.is_none() && GIVE_WAY.contains(&(self.section, self.command))
    }
}

/// All bindings, in the order of the help.
#[derive(Debug, Clone)]
pub(super) struct Table {
    bindings: Vec<Binding>,
}

/// The result of looking up a sequence of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup {
    /// Those of a command.
    Command(Command),
    /// The first keys of a longer sequence.
    Prefix,
    /// Keys without a command.
    Unbound,
}

impl Default for Table {
    /// Returns the default keys of all commands. They are tested: those that cannot be read are left out.
    fn default() -> Self {
        let binding = |row: &Row| {
            let keys = row.keys.iter().filter_map(|keys| sequence(keys).ok()).collect();
            Binding { section: row.section, command: row.command, keys, line: None }
        };
        Self { bindings: ROWS.iter().map(binding).collect() }
    }
}

fn sequence(text: &str) -> Result<Sequence, String> {
    let keys = text.split_whitespace().map(Chord::parse).collect::<Result<Sequence, String>>()?;
    if keys.is_empty() { Err("\"\" is no key; [] takes a command's keys away".to_owned()) } else { Ok(keys) }
}

/// Keys as the help shows them.
pub(super) fn shown(keys: &Sequence) -> String {
    let plain = keys.iter().all(|chord| chord.writes().is_some_and(|c| c != ' '));
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(if plain { "" } else { " " })
}

impl Table {
    /// The default table with changes.
    ///
    /// # Errors
    /// A fault for each change that cannot be.
    pub fn with(overrides: &[KeyOverride]) -> Result<Self, Vec<Fault>> {
        let mut table = Self::default();
        let mut faults = Vec::new();
        for change in overrides {
            if let Err(says) = table.change(change) {
                faults.push(fault(change.line, says));
            }
        }
        table.give_way();
        faults.extend(table.clashes());
        if faults.is_empty() { Ok(table) } else { Err(faults) }
    }

    fn change(&mut self, change: &KeyOverride) -> Result<(), String> {
        let KeyOverride { place, command: name, keys, line } = change;
        let section = Section::ALL.iter().copied().find(|section| section.name() == place).ok_or_else(|| {
            let near = nearest(place, Section::ALL.iter().map(|section| section.name())).unwrap_or_default();
            format!("`keys.{place}` is no place; the nearest is `keys.{near}`")
        })?;
        let command = Command::named(name).ok_or_else(|| {
            let near = nearest(name, Command::ALL.iter().map(|known| known.name())).unwrap_or_default();
            format!("`{name}` is no command; the nearest is `{near}`")
        })?;
        let at = |says| format!("`{place}.{name}`: {says}");
        let keys = keys.iter().map(|keys| sequence(keys)).collect::<Result<Vec<Sequence>, String>>().map_err(at)?;
        for keys in &keys {
            if let Some(chord) = keys.iter().find(|chord| fixed::is_terminals(**chord)) {
                return Err(at(format!("{chord} suspends the program or redraws the screen and cannot be changed")));
            }
            let writes = keys[0].writes();
            let text = matches!(section, Section::Form | Section::Find | Section::Kinds)
                || (section == Section::Browser && writes != Some(' '));
            if text && writes.is_some() {
                return Err(at(format!("{} writes a character there; choose one with Ctrl or Alt", shown(keys))));
            }
        }
        let line = Some(*line);
        match self.bindings.iter_mut().find(|known| known.section == section && known.command == command) {
            Some(binding) => {
                binding.keys = keys;
                binding.line = line;
            }
            None => self.bindings.push(Binding { section, command, keys, line }),
        }
        Ok(())
    }

    /// Takes new default keys away that the config has for other commands of the same place, or of anywhere where that
    /// applies beside it.
    fn give_way(&mut self) {
        let set: Vec<Binding> = self.bindings.iter().filter(|binding| binding.line.is_some()).cloned().collect();
        for binding in self.bindings.iter_mut().filter(|binding| binding.gives_way()) {
            let section = binding.section;
            let taken = |keys: &Sequence| {
                let near = set
                    .iter()
                    .filter(|other| other.section == section || other.section == Section::Anywhere && covers(section));
                near.flat_map(|other| &other.keys).any(|other| overlap(keys, other))
            };
            binding.keys.retain(|keys| !taken(keys));
        }
    }

    /// Keys with two meanings, and commands that can no longer be reached because their last key has another meaning
    /// nearer.
    fn clashes(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (at, a) in self.bindings.iter().enumerate() {
            for b in self.bindings[at + 1..].iter().filter(|b| b.section == a.section) {
                let both = a.keys.iter().find_map(|keys| b.keys.iter().find(|other| overlap(keys, other)));
                if let Some(keys) = both {
                    // The one that was changed is at fault; of two, the later.
                    let (new, old) = if a.line > b.line { (a, b) } else { (b, a) };
                    let (keys, place) = (shown(keys), a.section.name());
                    let (new_name, old_name) = (new.command.name(), old.command.name());
                    let says = format!("`{place}.{new_name}`: {keys} is the key of `{place}.{old_name}` already");
                    faults.push(fault(new.line.unwrap_or_default(), says));
                }
            }
        }
        for hidden in
            self.bindings.iter().filter(|b| b.section == Section::Anywhere && !b.keys.is_empty() && !b.gives_way())
        {
            for section in Section::ALL.iter().copied().filter(|section| covers(*section)) {
                if let Some(says) = self.hidden_in(section, hidden) {
                    faults.push(says);
                }
            }
        }
        faults
    }

    /// Returns a fault if a command that holds anywhere has no key left in a section, because the section binds them
    /// all.
    fn hidden_in(&self, section: Section, hidden: &Binding) -> Option<Fault> {
        let near = || self.bindings.iter().filter(move |binding| binding.section == section);
        if near().any(|binding| binding.command == hidden.command && !binding.keys.is_empty()) {
            return None;
        }
        let covering = |keys: &Sequence| near().find(|b| b.keys.iter().any(|other| overlap(keys, other)));
        let covers: Vec<&Binding> = hidden.keys.iter().filter_map(covering).collect();
        if covers.len() < hidden.keys.len() {
            return None;
        }
        let cover = covers.into_iter().max_by_key(|binding| binding.line)?;
        let line = cover.line.max(hidden.line)?;
        let says = format!(
            "`{place}.{}` takes the last key of `anywhere.{}` in that place; give that one another",
            cover.command.name(),
            hidden.command.name(),
            place = section.name(),
        );
        Some(fault(line, says))
    }

    /// Looks up a sequence of keys in a mode.
    pub fn find(&self, mode: Mode, keys: &[Chord]) -> Lookup {
        for section in mode.sections() {
            // Where characters are text, writing and editing come before what holds anywhere.
            let edits = |first: &Chord| first.writes().is_some() || fixed::edits(*first);
            if section == Section::Anywhere && mode.has_text() && keys.first().is_some_and(edits) {
                break;
            }
            let here = self.bindings.iter().filter(|b| b.section == section && mode.takes(b.command));
            for binding in here {
                for known in &binding.keys {
                    if known == keys {
                        return Lookup::Command(binding.command);
                    }
                    if known.starts_with(keys) {
                        return Lookup::Prefix;
                    }
                }
            }
        }
        Lookup::Unbound
    }

    /// The bindings of a section.
    pub fn of(&self, section: Section) -> impl Iterator<Item = &Binding> {
        self.bindings.iter().filter(move |binding| binding.section == section)
    }

    /// The keys of a command in a mode, as the help shows them: those that nothing nearer covers, the first first.
    pub fn keys(&self, mode: Mode, command: Command) -> Vec<String> {
        // What the nearer section says comes first: who gives a command a key of its own here wants to see that one.
        let bound = mode.sections().into_iter().flat_map(|section| self.of(section));
        let keys = bound.filter(|binding| binding.command == command).flat_map(|binding| &binding.keys);
        keys.filter(|keys| self.find(mode, keys) == Lookup::Command(command)).map(shown).collect()
    }
}

/// Returns true if one sequence is a prefix of the other, so that only one of them can be bound.
fn overlap(a: &Sequence, b: &Sequence) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

fn fault(line: usize, says: String) -> Fault {
    Fault::new(What::ConfigBroken, line.to_string(), says)
}
