//! The help: the whole table, worded.

use super::Keymap;
use super::chord::Chord;
use super::fixed;
use super::table::shown;
use crate::text::{HelpSection, Hint, Text};
use brow_model::command::Section;

impl Keymap {
    /// All keys, section by section.
    pub fn help(&self, text: &Text) -> Vec<HelpSection> {
        let mut sections: Vec<HelpSection> = Section::ALL
            .iter()
            .map(|section| {
                let mut lines: Vec<Hint> = self
                    .table
                    .of(*section)
                    .filter(|binding| !binding.keys.is_empty())
                    .map(|binding| Hint {
                        keys: binding.keys.iter().map(shown).collect::<Vec<_>>().join(", "),
                        label: text.command(*section, binding.command).to_owned(),
                    })
                    .collect();
                match section {
                    Section::Dialogs => lines.extend(fixed_lines(text, fixed::answer_keys())),
                    Section::Anywhere => lines.extend(fixed_lines(text, fixed::terminal_keys())),
                    Section::Targets
                    | Section::Pods
                    | Section::Forwards
                    | Section::Clusters
                    | Section::Browser
                    | Section::Find
                    | Section::Kinds
                    | Section::Page
                    | Section::Connections
                    | Section::Log
                    | Section::Form => {}
                }
                HelpSection { title: text.get(&format!("place.{}", section.name())).to_owned(), lines }
            })
            .collect();
        let lines = fixed_lines(text, fixed::text_keys()).collect();
        sections.push(HelpSection { title: text.get("place.text").to_owned(), lines });
        sections
    }
}

fn fixed_lines<'a>(
    text: &'a Text,
    keys: impl Iterator<Item = (Vec<&'static str>, &'static str)> + 'a,
) -> impl Iterator<Item = Hint> + 'a {
    keys.map(|(keys, words)| Hint {
        keys: keys
            .iter()
            .flat_map(|key| Chord::parse(key))
            .map(|chord| chord.to_string())
            .collect::<Vec<_>>()
            .join(", "),
        label: text.get(words).to_owned(),
    })
}
