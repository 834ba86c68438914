//! The event log as a person reads it.

use std::collections::VecDeque;

use tui_input::Input;

use crate::language::log::Entry;

/// The log and where a person is in it.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// Entries, oldest first, at most [`Log::KEPT`].
    pub entries: VecDeque<Entry>,
    /// The number of entries so far, including dropped ones.
    pub total: usize,
    /// The file that has more of it; empty where there is none.
    pub file: String,
    /// Entries hidden below the last one shown: 0 follows the end.
    pub back: usize,
    /// The filter's text.
    pub filter: Input,
    /// True while the filter is being typed.
    pub filtering: bool,
}

impl Log {
    /// Entries kept.
    pub const KEPT: usize = 2_000;

    /// The entries that a reader sees from the end backwards: those down to where they have scrolled.
    pub fn shown(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.range(..self.end()).filter(|entry| entry.is_like(self.filter.value()))
    }

    /// The entries below those, which pass the filter.
    pub fn newer(&self) -> impl Iterator<Item = &Entry> {
        self.entries.range(self.end()..).filter(|entry| entry.is_like(self.filter.value()))
    }

    /// The place behind the last entry that is shown.
    fn end(&self) -> usize {
        self.entries.len().saturating_sub(self.back)
    }

    /// Moves the reader by so many entries that pass the filter, towards the newest (negative: up).
    pub(crate) fn step(&mut self, by: isize) {
        let like = |(at, entry): (usize, &Entry)| entry.is_like(self.filter.value()).then_some(at);
        let all: Vec<usize> = self.entries.iter().enumerate().filter_map(like).collect();
        let Some(last) = all.len().checked_sub(1) else { return };
        let here = all.partition_point(|at| *at < self.end()).saturating_sub(1);
        let there = here.saturating_add_signed(by).min(last);
        // At the last one new entries are followed.
        self.back = if there == last { 0 } else { self.entries.len() - 1 - all[there] };
    }

    /// Writes the text of entries that have none yet, which are the newest.
    pub fn word(&mut self, text: impl Fn(&Entry) -> String) {
        for entry in self.entries.iter_mut().rev().take_while(|entry| entry.words.is_empty()) {
            entry.words = text(entry);
        }
    }

    /// Forgets the text of all entries: the language is another one.
    pub fn unword(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.words.clear());
    }

    /// Adds an entry; a reader who has scrolled back stays where they are.
    pub fn push(&mut self, entry: Entry) {
        if self.entries.len() == Self::KEPT {
            self.entries.pop_front();
        }
        self.total += 1;
        self.entries.push_back(entry);
        if self.back > 0 {
            self.back = (self.back + 1).min(Self::KEPT - 1);
        }
    }
}
