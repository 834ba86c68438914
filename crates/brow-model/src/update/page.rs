//! An object's page: its keys, and what comes of what it asked for.

use crate::language::action::Command;
use crate::language::effect::{Clip, ClusterEffect, Effect, PodEffect, TerminalEffect};
use crate::language::fault::{Fault, Remedy};
use crate::language::log::{Level, Message};
use crate::language::page::{PageEffect, PageEvent};
use crate::screen::dialog::Dialog;
use crate::screen::page::{MAX_DEPTH, ObjectPage};
use crate::state::Model;
use crate::types::epoch::Epoch;
use crate::types::index::ObjectRef;
use crate::types::page::{PagePart, Relation, RelationState};
use crate::types::shell::ShellPlace;
use crate::update::dialog::Input;

fn order(effect: PageEffect) -> Effect {
    Effect::Cluster(ClusterEffect::Page(effect))
}

impl Model {
    /// Opens the page of an object above all else.
    pub(crate) fn open_page(&mut self, object: ObjectRef, out: &mut Vec<Effect>) {
        let epoch = Epoch(self.next_number());
        out.push(order(PageEffect::Show { object: object.clone(), epoch }));
        self.screen.dialogs.push(Dialog::Object(Box::new(ObjectPage::new(object, epoch))));
    }

    /// Opens the page of an object with its logs in view.
    pub(crate) fn open_logs(&mut self, object: ObjectRef, out: &mut Vec<Effect>) {
        self.open_page(object, out);
        if let Some(Dialog::Object(mut page)) = self.screen.dialogs.pop() {
            self.show_part(&mut page, PagePart::Logs, out);
            self.screen.dialogs.push(Dialog::Object(page));
        }
    }

    pub(crate) fn in_page(&mut self, mut page: Box<ObjectPage>, input: Input, out: &mut Vec<Effect>) -> Option<Dialog> {
        if page.is_filtering() {
            self.in_log_filter(&mut page, input);
            return Some(Dialog::Object(page));
        }
        self.move_in_page(&mut page, &input);
        match input {
            Input::Do(Command::Cancel) if page.part == PagePart::Logs && !page.log.filter.text().is_empty() => {
                page.log.filter.input.reset();
            }
            Input::Do(Command::Cancel) => {
                self.leave_page(out);
                return None;
            }
            Input::Do(Command::Accept) => self.enter_relation(&page, out),
            Input::Item(row) => {
                if page.part == PagePart::Relations {
                    page.relations.cursor = row.min(page.relations.rows.len().saturating_sub(1));
                }
            }
            Input::Do(Command::Next | Command::Right) => self.step_part(&mut page, 1, out),
            Input::Do(Command::Previous | Command::Left) => self.step_part(&mut page, -1, out),
            Input::Do(Command::ShowSummary) => self.show_part(&mut page, PagePart::Summary, out),
            Input::Do(Command::ShowEvents) => self.show_part(&mut page, PagePart::Events, out),
            Input::Do(Command::ShowRelations) => self.show_part(&mut page, PagePart::Relations, out),
            Input::Do(Command::ShowYaml) => self.show_part(&mut page, PagePart::Yaml, out),
            Input::Do(Command::PodLog) => self.show_part(&mut page, PagePart::Logs, out),
            Input::Do(Command::Deepen) => Self::deepen(&mut page, out),
            Input::Do(Command::Reload) => self.refresh_page(&mut page, out),
            Input::Do(Command::Reveal) => Self::reveal(&mut page, out),
            Input::Do(Command::Unfold) => page.unfolded ^= page.part == PagePart::Yaml,
            Input::Do(Command::NextContainer) => self.next_container(&mut page, 1, out),
            Input::Do(Command::PreviousRun) => self.previous_run(&mut page, out),
            Input::Do(Command::Filter) => page.log.filtering = page.part == PagePart::Logs,
            Input::Do(Command::Copy) => Self::copy(Clip::Text(page.subject().name.clone()), out),
            Input::Do(Command::Strings) => Self::copy(Clip::Text(page.subject().kubectl()), out),
            Input::Do(Command::Why) => self.why_object(&page.subject().clone(), out),
            Input::Do(Command::Edit) => self.edit_object(page.subject().clone(), out),
            Input::Do(Command::Delete) => match page.subject_uid().map(str::to_owned) {
                Some(uid) => self.ask_delete_object(page.subject().clone(), uid),
                None => self.note(Level::Info, Message::NothingSelected, "", ""),
            },
            Input::Do(Command::Shell) => self.open_shell_of_page(&page, false, out),
            Input::Do(Command::CopyFiles) => self.open_shell_of_page(&page, true, out),
            Input::Do(Command::Forward) => return self.forward_page(page, out),
            Input::Do(Command::Describe) => match page.fault().cloned() {
                Some(fault) => self.screen.dialogs.push(Dialog::Fault(fault)),
                None => self.note(Level::Info, Message::NothingMissing, "", ""),
            },
            Input::Do(Command::Help) => self.screen.dialogs.push(Dialog::help()),
            Input::Do(_) | Input::Type(_) | Input::Wheel(_) => {}
        }
        Some(Dialog::Object(page))
    }

    /// Moves through the part in view.
    fn move_in_page(&self, page: &mut ObjectPage, input: &Input) {
        let Some(by) = input.moves(self.screen.page) else { return };
        let most = self.screen.max_scroll;
        match page.part {
            PagePart::Relations => {
                let last = page.relations.rows.len().saturating_sub(1);
                page.relations.cursor = page.relations.cursor.saturating_add_signed(by).min(last);
            }
            PagePart::Logs => {
                let most = most.min(page.log.lines.len().saturating_sub(1));
                page.log.back = page.log.back.saturating_add_signed(by.saturating_neg()).min(most);
            }
            PagePart::Summary | PagePart::Events | PagePart::Yaml => {
                let scroll = &mut page.scrolls[page.part as usize];
                *scroll = (*scroll).min(most).saturating_add_signed(by).min(most);
            }
        }
    }

    /// Goes back to the page below, if there is one, and asks for what it shows again.
    fn leave_page(&mut self, out: &mut Vec<Effect>) {
        out.push(Effect::Pod(PodEffect::StopLog));
        let epoch = Epoch(self.next_number());
        let below = self.with_page(
            |_| true,
            |model, page| {
                page.epoch = epoch;
                page.asked.clear();
                out.push(order(PageEffect::Show { object: page.object.clone(), epoch }));
                model.ask_for_part(page, out);
            },
        );
        if !below {
            out.push(order(PageEffect::Hide));
        }
    }

    /// Changes the topmost page that is meant, if there is one.
    fn with_page(
        &mut self,
        is_meant: impl Fn(&ObjectPage) -> bool,
        change: impl FnOnce(&mut Self, &mut ObjectPage),
    ) -> bool {
        let is = |dialog: &Dialog| matches!(dialog, Dialog::Object(page) if is_meant(page));
        let Some(at) = self.screen.dialogs.iter().rposition(is) else { return false };
        let mut dialog = self.screen.dialogs.remove(at);
        if let Dialog::Object(page) = &mut dialog {
            change(self, page);
        }
        self.screen.dialogs.insert(at.min(self.screen.dialogs.len()), dialog);
        true
    }

    fn step_part(&mut self, page: &mut ObjectPage, by: isize, out: &mut Vec<Effect>) {
        let part = page.part.step(by);
        self.show_part(page, part, out);
    }

    fn show_part(&mut self, page: &mut ObjectPage, part: PagePart, out: &mut Vec<Effect>) {
        if part != page.part {
            // A Secret's values are hidden again when another part is opened.
            page.revealed = None;
        }
        page.part = part;
        self.ask_for_part(page, out);
    }

    /// Asks for the part in view, once.
    fn ask_for_part(&mut self, page: &mut ObjectPage, out: &mut Vec<Effect>) {
        if page.asked.contains(&page.part) {
            return;
        }
        let (object, epoch) = (page.object.clone(), page.epoch);
        match page.part {
            PagePart::Summary | PagePart::Yaml => {}
            PagePart::Events => {
                // Without the uid, those of an earlier object of that name would be shown.
                let Some(details) = &page.details else { return };
                out.push(order(PageEffect::Events { object, uid: details.uid.clone(), epoch }));
            }
            PagePart::Relations => {
                out.push(order(PageEffect::Relate { object, epoch, depth: page.relations.depth, fresh: false }));
            }
            PagePart::Logs if page.log.pods.is_some() => self.follow_container(page, out),
            PagePart::Logs => out.push(order(PageEffect::FindPods { object, epoch })),
        }
        page.asked.push(page.part);
    }

    fn deepen(page: &mut ObjectPage, out: &mut Vec<Effect>) {
        if page.part == PagePart::Relations && page.relations.depth < MAX_DEPTH {
            page.relations.depth += 1;
            page.relations.done = false;
            let (object, epoch, depth) = (page.object.clone(), page.epoch, page.relations.depth);
            out.push(order(PageEffect::Relate { object, epoch, depth, fresh: false }));
        }
    }

    /// Asks for everything anew.
    fn refresh_page(&mut self, page: &mut ObjectPage, out: &mut Vec<Effect>) {
        page.epoch = Epoch(self.next_number());
        let (object, epoch) = (page.object.clone(), page.epoch);
        page.asked.clear();
        (page.fault, page.relations.done) = (None, false);
        out.push(order(PageEffect::Show { object: object.clone(), epoch }));
        if page.part == PagePart::Relations {
            page.asked.push(PagePart::Relations);
            out.push(order(PageEffect::Relate { object, epoch, depth: page.relations.depth, fresh: true }));
        } else {
            page.log.pods = None;
            self.ask_for_part(page, out);
        }
    }

    /// Shows the hidden values of a Secret, or hides them again.
    fn reveal(page: &mut ObjectPage, out: &mut Vec<Effect>) {
        let hidden = page.details.as_ref().is_some_and(|details| details.hidden);
        if page.part != PagePart::Yaml || page.revealed.take().is_some() || !hidden {
            return;
        }
        out.push(order(PageEffect::Reveal { object: page.object.clone(), epoch: page.epoch }));
    }

    /// Opens the page of the selected related object.
    fn enter_relation(&mut self, page: &ObjectPage, out: &mut Vec<Effect>) {
        let Some(row) = page.relations.selected().filter(|_| page.part == PagePart::Relations) else { return };
        if row.relation == Relation::Root {
            return;
        }
        if let RelationState::Missing { .. } = row.state {
            return self.note(Level::Info, Message::ObjectMissing, &row.object.name, &row.object.kind.kind);
        }
        out.push(Effect::Pod(PodEffect::StopLog));
        self.open_page(row.object.clone(), out);
    }

    /// Opens a session in the object of a page, or copies files out of it or into it.
    fn open_shell_of_page(&mut self, page: &ObjectPage, copies: bool, out: &mut Vec<Effect>) {
        match ShellPlace::object(page.subject()) {
            // A node has no container.
            Some(place) if !(copies && place.namespace.is_empty()) => {
                out.push(Effect::Terminal(TerminalEffect::Shell(ShellPlace { copies, ..place })));
            }
            Some(_) | None => self.note(Level::Info, Message::NoPodBehind, &page.subject().name, ""),
        }
    }

    /// Forwards the object, or the first Service that it routes to, and leaves all pages and what they came from.
    fn forward_page(&mut self, page: Box<ObjectPage>, out: &mut Vec<Effect>) -> Option<Dialog> {
        let subject = page.subject().clone();
        let is_route = |row: &&crate::types::page::RelationRow| {
            row.relation == Relation::RoutesTo && row.depth == 1 && row.object.kind.plural == "services"
        };
        let behind = page.relations.rows.iter().find(is_route).filter(|_| subject == page.object);
        let object = behind.map_or(subject, |row| row.object.clone());
        if !object.kind.namespaced {
            self.note(Level::Info, Message::NotForwardable, &object.name, "");
            return Some(Dialog::Object(page));
        }
        self.screen.dialogs.retain(|dialog| !matches!(dialog, Dialog::Object(_) | Dialog::Find(_) | Dialog::Kinds(_)));
        out.push(Effect::Pod(PodEffect::StopLog));
        out.push(Effect::Cluster(ClusterEffect::HideKind));
        out.push(order(PageEffect::Hide));
        out.push(Effect::Cluster(ClusterEffect::ReadPorts(object)));
        None
    }

    /// Takes in news for a page.
    pub(crate) fn on_page(&mut self, epoch: Epoch, event: PageEvent, out: &mut Vec<Effect>) {
        self.with_page(|page| page.epoch == epoch, |model, page| model.take_news(page, event, out));
    }

    fn take_news(&mut self, page: &mut ObjectPage, event: PageEvent, out: &mut Vec<Effect>) {
        match event {
            PageEvent::Found(details) => {
                let changed = page.details.as_ref().is_some_and(|known| known.uid != details.uid);
                (page.fault, page.gone) = (None, false);
                if changed {
                    page.asked.retain(|part| *part != PagePart::Events);
                    page.revealed = None;
                }
                page.details = Some(details);
                self.ask_for_part(page, out);
            }
            PageEvent::Gone => page.gone = true,
            PageEvent::Failed(fault) => page.fault = Some(fault),
            PageEvent::Revealed(Ok(lines)) => page.revealed = Some(lines).filter(|_| page.part == PagePart::Yaml),
            PageEvent::Revealed(Err(fault)) => self.fail(fault),
            PageEvent::Events(rows) => (page.events, page.events_fault) = (Some(rows), None),
            PageEvent::EventsFailed(fault) => page.events_fault = Some(fault),
            PageEvent::Related(found) => {
                let tree = &mut page.relations;
                (tree.done, tree.fault) = (found.done, merged(&found.faults));
                // A tree that is found anew takes the place of the old one when it is whole.
                if found.done || tree.rows.len() <= found.rows.len() {
                    tree.take(found.rows);
                }
            }
            PageEvent::Pods(Ok(pods)) => {
                page.log.pods = Some(pods);
                page.log.choice = (0, 0);
                self.follow_container(page, out);
            }
            PageEvent::Pods(Err(fault)) => page.log.ended = Some(Some(fault)),
        }
    }
}

/// Returns the first fault, whose remedy grants all that the others lack in the same place by the same verb.
fn merged(faults: &[Fault]) -> Option<Fault> {
    let place = |fault: &Fault| match &fault.remedy {
        Remedy::Grant(grant) => Some((grant.verb.clone(), grant.namespace.clone())),
        _ => None,
    };
    let first = faults.first()?;
    let mut seen = Vec::new();
    let alike = faults.iter().filter(|fault| place(fault) == place(first)).filter(|fault| {
        let new = !seen.contains(&&fault.remedy);
        seen.push(&fault.remedy);
        new
    });
    Fault::merged(alike)
}
