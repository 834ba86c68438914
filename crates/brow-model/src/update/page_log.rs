//! The logs on an object's page: which container's, and what comes of following it.

use crate::language::action::Command;
use crate::language::effect::{ClusterEffect, Effect};
use crate::language::event::PodEvent;
use crate::language::page::PageEffect;
use crate::screen::dialog::Dialog;
use crate::screen::page::ObjectPage;
use crate::state::Model;
use crate::types::epoch::Epoch;
use crate::types::page::PagePart;
use crate::update::dialog::Input;
use crate::update::pods::LOG_LINES;

impl Model {
    /// Follows the log of the chosen container from its beginning.
    pub(crate) fn follow_container(&mut self, page: &mut ObjectPage, out: &mut Vec<Effect>) {
        let epoch = Epoch(self.next_number());
        page.log.lines.clear();
        (page.log.epoch, page.log.ended, page.log.back) = (epoch, None, 0);
        if let Some((pod, container)) = page.log.chosen() {
            let (key, container, previous) = (pod.key.clone(), container.to_owned(), page.log.previous);
            let follow = PageEffect::FollowLog { key, container, previous, epoch };
            out.push(Effect::Cluster(ClusterEffect::Page(follow)));
        }
    }

    /// Goes on to another container, or to the next pod.
    pub(crate) fn next_container(&mut self, page: &mut ObjectPage, by: isize, out: &mut Vec<Effect>) {
        let before = page.log.choice;
        page.log.step(by);
        if page.part == PagePart::Logs && page.log.choice != before {
            page.log.previous = false;
            self.follow_container(page, out);
        }
    }

    /// Shows the log of the run before, or that of now.
    pub(crate) fn previous_run(&mut self, page: &mut ObjectPage, out: &mut Vec<Effect>) {
        if page.part == PagePart::Logs && page.log.chosen().is_some() {
            page.log.previous = !page.log.previous;
            self.follow_container(page, out);
        }
    }

    /// Takes input for the filter of the log.
    pub(crate) fn in_log_filter(&self, page: &mut ObjectPage, input: Input) {
        match input {
            Input::Do(Command::Accept) => page.log.filtering = false,
            Input::Do(Command::Cancel) => {
                page.log.filter.input.reset();
                page.log.filtering = false;
            }
            Input::Type(typed) => {
                page.log.filter.edit(typed);
                page.log.back = 0;
            }
            Input::Do(_) | Input::Item(_) | Input::Wheel(_) => {
                let by = input.moves(self.screen.page).unwrap_or(0);
                page.log.back = page.log.back.saturating_add_signed(by.saturating_neg()).min(self.screen.max_scroll);
            }
        }
    }

    /// Takes in news of a log that a page shows.
    pub(crate) fn on_page_log(&mut self, event: &PodEvent) {
        let of = match event {
            PodEvent::Logged { epoch, .. } | PodEvent::LogEnded { epoch, .. } => *epoch,
            PodEvent::Created { .. } | PodEvent::Deleted { .. } | PodEvent::Described { .. } => return,
        };
        for dialog in &mut self.screen.dialogs {
            let Dialog::Object(page) = dialog else { continue };
            let log = &mut page.log;
            if log.epoch != of || log.pods.is_none() {
                continue;
            }
            match event {
                PodEvent::Logged { lines, .. } => {
                    // Whatever had cut it off is over.
                    log.ended = None;
                    log.back = if log.back > 0 { log.back + lines.len() } else { 0 };
                    log.lines.extend(lines.iter().cloned());
                    log.lines.drain(..log.lines.len().saturating_sub(LOG_LINES));
                    log.back = log.back.min(log.lines.len().saturating_sub(1));
                }
                PodEvent::LogEnded { fault, .. } => log.ended = Some(fault.clone()),
                PodEvent::Created { .. } | PodEvent::Deleted { .. } | PodEvent::Described { .. } => {}
            }
        }
    }
}
