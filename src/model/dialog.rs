//! Dialogs: each carries its own data. The topmost one has the keys.

use std::collections::VecDeque;

use tui_input::Input;

use super::Model;
use super::action::{Action, Command};
use super::effect::Effect;
use super::event::Epoch;
use super::fault::Fault;
use super::form::{is_unseen, name_error, ttl_error};
use super::forward::ForwardSpec;
use super::proxy::{PodKey, Whose};
use super::target::Target;

/// A dialog over the panes.
#[derive(Debug, Clone)]
pub enum Dialog {
    /// A form for a target.
    TargetForm(Box<TargetForm>),
    /// A new name for a target.
    Rename {
        /// The name so far.
        name: String,
        /// The new one.
        field: Field,
    },
    /// A TTL for pods that are about to be created.
    AskTtl {
        /// The targets.
        targets: Vec<String>,
        /// The TTL.
        field: Field,
    },
    /// A question with buttons.
    Confirm {
        /// What is asked.
        question: Question,
        /// The button that Enter presses; 0 is the harmless one.
        button: usize,
    },
    /// The keys, made from the key table.
    Help {
        /// Lines scrolled down.
        scroll: usize,
    },
    /// A pod's description.
    Describe {
        /// The pod.
        key: PodKey,
        /// The text, once it is here.
        text: Option<Result<Vec<String>, Fault>>,
        /// Lines scrolled down.
        scroll: usize,
    },
    /// A pod's log.
    PodLog {
        /// The pod.
        key: PodKey,
        /// Which following of it.
        epoch: Epoch,
        /// The last lines.
        lines: VecDeque<String>,
        /// Whether it has ended, and why.
        ended: Option<Option<Fault>>,
        /// Lines hidden below the last one shown: 0 follows the end.
        back: usize,
    },
    /// A fault in full, with its remedy ready to copy.
    Fault(Fault),
}

/// What a confirmation asks. Buttons are 0 (no) and 1 (yes), unless said otherwise.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// Delete these targets?
    DeleteTargets(Vec<String>),
    /// Kill these pods?
    KillPods(Vec<PodKey>),
    /// Delete finished and expired proxy pods of everybody?
    CleanAll {
        /// How many.
        pods: usize,
    },
    /// Quit with this open? Buttons: stay, quit and leave pods to their TTL, and where there are pods, quit and delete them.
    Quit {
        /// Open forwards.
        forwards: usize,
        /// Live pods of ours.
        pods: usize,
        /// Changes of targets that could not be written to the config.
        unsaved: usize,
    },
    /// The port is taken: take the next free one?
    OtherPort {
        /// The forward.
        spec: Box<ForwardSpec>,
        /// The free port.
        port: u16,
        /// The fault that names the holder.
        fault: Box<Fault>,
    },
    /// Import the older tool's targets?
    Import {
        /// The file.
        path: String,
        /// What it holds.
        targets: Vec<Target>,
        /// What cannot be taken over, and why.
        left_out: Vec<String>,
    },
}

impl Question {
    /// How many buttons it has.
    pub fn buttons(&self) -> usize {
        match self {
            Self::Quit { pods: 1.., .. } => 3,
            Self::Quit { pods: 0, .. }
            | Self::DeleteTargets(_)
            | Self::KillPods(_)
            | Self::CleanAll { .. }
            | Self::OtherPort { .. }
            | Self::Import { .. } => 2,
        }
    }
}

/// A text field and what is wrong with it.
#[derive(Debug, Clone, Default)]
pub struct Field {
    /// The text and the cursor.
    pub input: Input,
    /// What is wrong with the text, as a key of the text tables (`field.<key>`).
    pub error: Option<&'static str>,
}

/// A form for a target.
#[derive(Debug, Clone)]
pub struct TargetForm {
    /// The target that is edited; `None`: a new one.
    pub editing: Option<String>,
    /// What the form does not show of the target: kept as it is.
    pub base: Option<Target>,
    /// The fields, in the order of [`FormField::ALL`].
    pub fields: Vec<Field>,
    /// The field with the keys.
    pub active: usize,
    /// Whether a person tried to submit: empty fields count as wrong from then on.
    pub tried: bool,
}

/// The fields of a target form, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormField {
    /// The name.
    Name,
    /// The context; the arrow keys go through those that are known.
    Cluster,
    /// The namespace.
    Namespace,
    /// The address.
    Address,
    /// The local port.
    LocalPort,
    /// The TTL.
    Ttl,
    /// Tags, separated by commas or spaces.
    Tags,
}

impl FormField {
    /// All fields, in order.
    pub const ALL: [Self; 7] =
        [Self::Name, Self::Cluster, Self::Namespace, Self::Address, Self::LocalPort, Self::Ttl, Self::Tags];

    /// Its key in the text tables: `form.<key>` and `form-hint.<key>`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Cluster => "cluster",
            Self::Namespace => "namespace",
            Self::Address => "address",
            Self::LocalPort => "local-port",
            Self::Ttl => "ttl",
            Self::Tags => "tags",
        }
    }
}

impl Dialog {
    /// The fault that it shows, ready to be copied.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Fault(fault)
            | Self::Describe { text: Some(Err(fault)), .. }
            | Self::PodLog { ended: Some(Some(fault)), .. } => Some(fault),
            Self::TargetForm(_)
            | Self::Rename { .. }
            | Self::AskTtl { .. }
            | Self::Confirm { .. }
            | Self::Help { .. }
            | Self::Describe { .. }
            | Self::PodLog { .. } => None,
        }
    }
}

impl Model {
    /// Gives an action to the topmost dialog; it is taken off, works, and stays off where it is done with.
    pub(super) fn in_dialog(&mut self, action: Action, out: &mut Vec<Effect>) {
        let Some(dialog) = self.dialogs.pop() else {
            return;
        };
        self.unarranged = true;
        let at = self.dialogs.len();
        if let (Some(fault), Action::Do(Command::Copy)) = (dialog.fault(), &action) {
            out.push(Effect::CopyFault(Box::new(fault.clone())));
        }
        let kept = match dialog {
            Dialog::TargetForm(form) => self.in_form(form, action, out),
            Dialog::Rename { name, field } => self.in_rename(name, field, action, out),
            Dialog::AskTtl { targets, field } => self.in_ask_ttl(targets, field, action, out),
            Dialog::Confirm { question, button } => self.in_question(question, button, &action, out),
            Dialog::Help { scroll } => {
                scrolled(scroll, (self.page, self.reach), &action).map(|scroll| Dialog::Help { scroll })
            }
            Dialog::Describe { key, text, scroll } => {
                let scroll = scrolled(scroll, (self.page, self.reach), &action);
                scroll.map(|scroll| Dialog::Describe { key, text, scroll })
            }
            Dialog::PodLog { key, epoch, lines, ended, back } => {
                let kept = scrolled_back(back, self.page, &action);
                if kept.is_none() {
                    out.push(Effect::StopLog);
                }
                let most = self.reach.min(lines.len().saturating_sub(1));
                kept.map(|back| Dialog::PodLog { key, epoch, lines, ended, back: back.min(most) })
            }
            Dialog::Fault(fault) => match action {
                Action::Do(Command::Cancel | Command::Accept | Command::Quit) => None,
                Action::Do(_)
                | Action::Edit(_)
                | Action::Paste(_)
                | Action::Click { .. }
                | Action::ClickColumn { .. }
                | Action::ClickItem(_)
                | Action::Wheel { .. }
                | Action::Page { .. } => Some(Dialog::Fault(fault)),
            },
        };
        if let Some(dialog) = kept {
            // What the work itself opened lies above.
            self.dialogs.insert(at.min(self.dialogs.len()), dialog);
        }
    }

    fn in_form(&mut self, mut form: Box<TargetForm>, action: Action, out: &mut Vec<Effect>) -> Option<Dialog> {
        let last = FormField::ALL.len() - 1;
        match action {
            Action::Do(Command::Cancel) => return None,
            Action::Do(Command::Accept) => {
                form.tried = true;
                form.check(self);
                if let Some(target) = form.target(self) {
                    let was = form.editing.and(form.base);
                    self.save_target(was, &target, out);
                    return None;
                }
                form.active = form.fields.iter().position(|field| field.error.is_some()).unwrap_or(form.active);
            }
            Action::Do(Command::Up | Command::Down) if form.active() == FormField::Cluster => {
                let by = if action == Action::Do(Command::Up) { -1 } else { 1 };
                self.step_context(&mut form, by);
            }
            Action::Do(Command::Next | Command::Down) => {
                form.active = if form.active == last { 0 } else { form.active + 1 }
            }
            Action::Do(Command::Previous | Command::Up) => {
                form.active = form.active.checked_sub(1).unwrap_or(last);
            }
            Action::Do(Command::Top) => form.active = 0,
            Action::Do(Command::Bottom) => form.active = last,
            Action::ClickItem(at) => form.active = at.min(last),
            Action::Edit(_) | Action::Paste(_) => form.fields[form.active].edit(action),
            Action::Do(_)
            | Action::Click { .. }
            | Action::ClickColumn { .. }
            | Action::Wheel { .. }
            | Action::Page { .. } => {}
        }
        form.check(self);
        Some(Dialog::TargetForm(form))
    }

    /// Puts the next known context into the cluster field.
    fn step_context(&self, form: &mut TargetForm, by: isize) {
        if self.clusters.is_empty() {
            return;
        }
        let at = self.clusters.iter().position(|cluster| cluster.name == form.text(FormField::Cluster));
        let next = match at {
            Some(at) => (at.cast_signed() + by).rem_euclid(self.clusters.len().cast_signed()).unsigned_abs(),
            None => 0,
        };
        form.fields[form.active] = Field::new(self.clusters[next].name.clone());
    }

    fn in_rename(&mut self, name: String, mut field: Field, action: Action, out: &mut Vec<Effect>) -> Option<Dialog> {
        match action {
            Action::Do(Command::Cancel) => return None,
            Action::Do(Command::Accept) => {
                let new = field.text().to_owned();
                field.error = name_error(&new, Some(&name), self);
                if field.error.is_none() {
                    if new != name {
                        self.save_name(&name, &new, out);
                    }
                    return None;
                }
            }
            Action::Edit(_) | Action::Paste(_) => {
                field.edit(action);
                field.error = name_error(field.text(), Some(&name), self).filter(|error| *error != "required");
            }
            Action::Do(_)
            | Action::Click { .. }
            | Action::ClickColumn { .. }
            | Action::ClickItem(_)
            | Action::Wheel { .. }
            | Action::Page { .. } => {}
        }
        Some(Dialog::Rename { name, field })
    }

    fn in_ask_ttl(
        &mut self,
        targets: Vec<String>,
        mut field: Field,
        action: Action,
        out: &mut Vec<Effect>,
    ) -> Option<Dialog> {
        match action {
            Action::Do(Command::Cancel) => return None,
            Action::Do(Command::Accept) => {
                field.error = ttl_error(field.text(), self.settings.max_ttl);
                if let (None, Ok(ttl)) = (field.error, field.text().parse()) {
                    let targets: Vec<Target> = targets.iter().filter_map(|name| self.target(name)).cloned().collect();
                    self.create_pods(&targets, Some(ttl), out);
                    return None;
                }
            }
            Action::Edit(_) | Action::Paste(_) => {
                field.edit(action);
                field.error = ttl_error(field.text(), self.settings.max_ttl).filter(|error| *error != "required");
            }
            Action::Do(_)
            | Action::Click { .. }
            | Action::ClickColumn { .. }
            | Action::ClickItem(_)
            | Action::Wheel { .. }
            | Action::Page { .. } => {}
        }
        Some(Dialog::AskTtl { targets, field })
    }

    fn in_question(
        &mut self,
        question: Question,
        button: usize,
        action: &Action,
        out: &mut Vec<Effect>,
    ) -> Option<Dialog> {
        let count = question.buttons();
        let step = |by: isize| (button.cast_signed() + by).rem_euclid(count.cast_signed()).unsigned_abs();
        let button = match action {
            Action::Do(Command::Cancel) => {
                self.answer(question, 0, out);
                return None;
            }
            Action::Do(Command::Accept) => {
                self.answer(question, button, out);
                return None;
            }
            Action::ClickItem(at) if *at < count => {
                self.answer(question, *at, out);
                return None;
            }
            // Whoever presses the key of the question again means it.
            Action::Do(Command::Quit) if matches!(question, Question::Quit { .. }) => {
                self.answer(question, 1, out);
                return None;
            }
            Action::Do(Command::Right | Command::Next | Command::Down) => step(1),
            Action::Do(Command::Left | Command::Previous | Command::Up) => step(-1),
            Action::Do(_)
            | Action::Edit(_)
            | Action::Paste(_)
            | Action::Click { .. }
            | Action::ClickColumn { .. }
            | Action::ClickItem(_)
            | Action::Wheel { .. }
            | Action::Page { .. } => button,
        };
        Some(Dialog::Confirm { question, button })
    }

    fn answer(&mut self, question: Question, button: usize, out: &mut Vec<Effect>) {
        let yes = button > 0;
        match question {
            Question::DeleteTargets(names) if yes => self.delete_targets(&names, out),
            Question::KillPods(keys) if yes => {
                for key in keys {
                    self.kill(&key, out);
                }
                self.pod_list.marks.clear();
            }
            Question::CleanAll { .. } if yes => {
                self.clean(Whose::All, out);
            }
            Question::Quit { .. } if yes => self.leave(button == 2, out),
            Question::OtherPort { spec, port, .. } if yes => self.restart_forward(spec.id, Some(port), out),
            Question::Import { targets, .. } => {
                if yes {
                    self.import(targets, out);
                }
                out.push(Effect::LegacyOffered);
            }
            Question::DeleteTargets(_)
            | Question::KillPods(_)
            | Question::CleanAll { .. }
            | Question::Quit { .. }
            | Question::OtherPort { .. } => {}
        }
    }
}

impl Field {
    /// Takes an edit or a paste. Pasted line ends become spaces, as a field has one line; what cannot be seen is left
    /// out.
    pub(super) fn edit(&mut self, action: Action) {
        match action {
            Action::Edit(request) => {
                self.input.handle(request);
            }
            Action::Paste(text) => {
                let words = text.split(char::is_control).filter(|part| !part.is_empty());
                let line = words.collect::<Vec<_>>().join(" ");
                for c in line.chars().filter(|c| !is_unseen(*c)) {
                    self.input.handle(tui_input::InputRequest::InsertChar(c));
                }
            }
            Action::Do(_)
            | Action::Click { .. }
            | Action::ClickColumn { .. }
            | Action::ClickItem(_)
            | Action::Wheel { .. }
            | Action::Page { .. } => {}
        }
    }
}

/// Where a text that starts at its top is scrolled to; `None`: the dialog is left.
fn scrolled(scroll: usize, (page, reach): (usize, usize), action: &Action) -> Option<usize> {
    // Whoever went further than there is text comes back from its end.
    let scroll = scroll.min(reach);
    match action {
        Action::Do(Command::Cancel | Command::Accept | Command::Quit | Command::Help) => None,
        Action::Do(Command::Up) => Some(scroll.saturating_sub(1)),
        Action::Do(Command::Down) => Some(scroll.saturating_add(1)),
        Action::Do(Command::PageUp) => Some(scroll.saturating_sub(page)),
        Action::Do(Command::PageDown) => Some(scroll.saturating_add(page)),
        Action::Do(Command::Top) => Some(0),
        // The view stops at the last page.
        Action::Do(Command::Bottom) => Some(usize::from(u16::MAX)),
        Action::Wheel { by, .. } => Some(scroll.saturating_add_signed(*by)),
        Action::Do(_)
        | Action::Edit(_)
        | Action::Paste(_)
        | Action::Click { .. }
        | Action::ClickColumn { .. }
        | Action::ClickItem(_)
        | Action::Page { .. } => Some(scroll),
    }
}

/// Where a text that follows its end is scrolled back to; `None`: it is left.
pub(super) fn scrolled_back(back: usize, page: usize, action: &Action) -> Option<usize> {
    match action {
        Action::Do(Command::Cancel | Command::Accept | Command::Quit) => None,
        Action::Do(Command::Up) => Some(back.saturating_add(1)),
        Action::Do(Command::Down) => Some(back.saturating_sub(1)),
        Action::Do(Command::PageUp) => Some(back.saturating_add(page)),
        Action::Do(Command::PageDown) => Some(back.saturating_sub(page)),
        Action::Do(Command::Top) => Some(usize::from(u16::MAX)),
        Action::Do(Command::Bottom) => Some(0),
        Action::Wheel { by, .. } => Some(back.saturating_add_signed(-*by)),
        Action::Do(_)
        | Action::Edit(_)
        | Action::Paste(_)
        | Action::Click { .. }
        | Action::ClickColumn { .. }
        | Action::ClickItem(_)
        | Action::Page { .. } => Some(back),
    }
}
