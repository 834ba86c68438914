//! Sessions in containers: opened from a row, listed and ended. Each is an instance of its own.

use chrono::{DateTime, TimeDelta, Utc};

use crate::language::action::Command;
use crate::language::effect::{Effect, ForwardEffect, TerminalEffect};
use crate::language::log::{Entry, Level, Message};
use crate::screen::dialog::Dialog;
use crate::screen::find::{Finder, Hit};
use crate::screen::focus::Pane;
use crate::state::Model;
use crate::types::attention::Attention;
use crate::types::forward::ForwardId;
use crate::types::index::ObjectRef;
use crate::types::proxy::PodKey;
use crate::types::shell::{RemoteShell, ShellEnd, ShellEvent, ShellPlace, ShellReport};
use crate::types::ttl::Ttl;
use crate::types::workload::{Destination, Kind};
use crate::update::command::{Enabled, enabled};
use crate::update::dialog::Input;

impl Model {
    /// Opens a session in the pod behind the selected row, or on its node.
    pub(crate) fn open_shell(&mut self, on_node: bool, out: &mut Vec<Effect>) {
        let place = match self.screen.focus.pane {
            Pane::Clusters => None,
            Pane::Pods => self.screen.pods.selected().map(ShellPlace::pod),
            Pane::Targets => self.screen.targets.selected().and_then(|name| self.shell_of_target(name)),
            Pane::Forwards => self.screen.forwards.selected().and_then(|id| self.shell_of_forward(*id)),
        };
        match place {
            Some(place) => out.push(Effect::Terminal(TerminalEffect::Shell(ShellPlace { on_node, ..place }))),
            None => self.note_chosen(Message::NoPodBehind),
        }
    }

    /// Opens a session in a result of the search: in the pod behind it, or on a node. Returns true if the search stays
    /// open.
    pub(crate) fn open_shell_of(&mut self, finder: &Finder, out: &mut Vec<Effect>) -> bool {
        let Some(hit) = finder.selected() else { return true };
        let place = match hit {
            Hit::Target(name) => self.shell_of_target(name),
            Hit::Forward(id) => self.shell_of_forward(*id),
            Hit::Pod(key) => Some(ShellPlace::pod(key)),
            Hit::Object(object) => ShellPlace::object(object),
            Hit::Command(_) => None,
        };
        let Some(place) = place else {
            let name = finder.results.rows.get(finder.cursor).map(|row| row.name.clone()).unwrap_or_default();
            self.note(Level::Info, Message::NoPodBehind, name, "");
            return true;
        };
        self.index.remember(hit);
        out.push(Effect::Terminal(TerminalEffect::Shell(place)));
        false
    }

    /// Returns the pod that a target's forward goes through, else its workload or its proxy pod.
    fn shell_of_target(&self, name: &str) -> Option<ShellPlace> {
        let through = self.all_forwards_of(name).into_iter().find_map(|id| self.pod_of_forward(id));
        let target = self.target(name)?;
        through
            .or_else(|| self.ready_pod(&self.selector_of(target)).map(|pod| ShellPlace::pod(&pod.key)))
            .or_else(|| ShellPlace::workload(&target.cluster, self.namespace_of(target), &target.address))
    }

    fn shell_of_forward(&self, id: ForwardId) -> Option<ShellPlace> {
        self.pod_of_forward(id).or_else(|| {
            let spec = &self.forwards.all().get(&id)?.spec;
            ShellPlace::workload(&spec.selector.cluster, spec.selector.namespace.clone(), &spec.address)
        })
    }

    /// Returns the pod that a forward goes through, here or in another instance.
    fn pod_of_forward(&self, id: ForwardId) -> Option<ShellPlace> {
        if let Some(forward) = self.forwards.all().get(&id) {
            return forward.via().filter(|via| via.node.is_none()).map(|via| ShellPlace::pod(&via.pod));
        }
        let other = &self.instances.forwards().get(&id)?.forward;
        let key =
            PodKey { cluster: other.cluster.clone(), namespace: other.namespace.clone(), name: other.pod.clone()? };
        Some(ShellPlace::pod(&key))
    }

    pub(crate) fn on_shell(&mut self, event: ShellEvent) {
        match event {
            ShellEvent::Ended { thing, end: ShellEnd::Code(0) } => {
                self.note(Level::Info, Message::ShellEnded, thing, "");
            }
            ShellEvent::Ended { thing, end: ShellEnd::Code(code) } => {
                self.note(Level::Info, Message::ShellEndedWith, thing, code.to_string());
            }
            ShellEvent::Ended { thing, end: ShellEnd::Signal(number) } => {
                self.note(Level::Info, Message::ShellKilled, thing, number.to_string());
            }
            ShellEvent::NoPane { thing, end: ShellEnd::Code(number) | ShellEnd::Signal(number) } => {
                self.note(Level::Error, Message::ShellNoPane, thing, number.to_string());
            }
            ShellEvent::InPane { thing } => self.note(Level::Info, Message::ShellInPane, thing, ""),
            ShellEvent::Failed { thing, why } => self.note(Level::Error, Message::ShellFailed, thing, why),
        }
    }

    /// Warns, once each, of sessions on nodes whose pods Kubernetes ends soon.
    pub(crate) fn warn_of_shell_ends(&mut self, out: &mut Vec<Effect>) {
        if self.unattended() {
            return;
        }
        for RemoteShell { shell, .. } in self.instances.shells() {
            let Some(left) = shell.ends_soon(self.now) else { continue };
            if !self.instances.begin_warning(&shell.pod) {
                continue;
            }
            let thing = shell.node.map(|node| node.name).unwrap_or_default();
            let secs = u64::try_from(left.num_seconds()).unwrap_or_default();
            let detail = Ttl::from_secs(secs).map(|left| left.to_string()).unwrap_or_default();
            let (message, words) = (Message::ShellEnds, String::new());
            let entry = Entry { at: self.now, level: Level::Warning, message, thing, detail, words };
            out.push(Effect::Terminal(TerminalEffect::Notify(entry.clone())));
            self.note(Level::Warning, Message::ShellEnds, entry.thing, entry.detail);
        }
    }

    pub(crate) fn has_shells(&self) -> Enabled {
        enabled(!self.instances.shells().is_empty(), Message::NoShells)
    }

    /// Lists the sessions.
    pub(crate) fn show_shells(&mut self) {
        if self.instances.shells().is_empty() {
            return self.note(Level::Info, Message::NoShells, "", "");
        }
        self.screen.dialogs.push(Dialog::Shells { cursor: 0 });
    }

    /// Closes the list with the last session.
    pub(crate) fn close_empty_list(&mut self) {
        if self.has_shells().is_err() {
            self.screen.dialogs.retain(|dialog| !matches!(dialog, Dialog::Shells { .. }));
        }
    }

    pub(crate) fn in_shells(&mut self, cursor: usize, input: &Input, out: &mut Vec<Effect>) -> Option<Dialog> {
        let shells = self.instances.shells();
        if input.leaves() {
            return None;
        }
        let end = shells.len().saturating_sub(1);
        let cursor = match input {
            Input::Item(at) => *at,
            input => cursor.saturating_add_signed(input.moves(self.screen.page).unwrap_or(0)),
        };
        let cursor = cursor.min(end);
        if let (Input::Do(Command::NodeShell), Some(RemoteShell { shell, .. })) = (input, shells.get(cursor)) {
            out.push(Effect::Terminal(TerminalEffect::Shell(ShellPlace::node_of(shell))));
        }
        if let (Input::Do(Command::EndConnection), Some(RemoteShell { instance, pid, shell })) =
            (input, shells.get(cursor))
        {
            self.note(Level::Info, Message::ShellEnding, &shell.pod, pid.to_string());
            let (instance, id) = (instance.clone(), shell.id);
            out.push(Effect::Forward(ForwardEffect::StopElsewhere { instance, id }));
        }
        Some(Dialog::Shells { cursor })
    }
}

impl ShellReport {
    /// Returns the time that is left of a session on a node that is about to end; `None` for others.
    pub fn ends_soon(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        let left = self.node.as_ref()?.ends - now;
        (TimeDelta::zero() < left && left <= Attention::SOON).then_some(left)
    }
}

impl ShellPlace {
    fn pod(key: &PodKey) -> Self {
        let PodKey { cluster, namespace, name } = key;
        Self::new(cluster.clone(), namespace.clone(), format!("pod/{name}"))
    }

    /// Returns the node of a session: the one that it is on, else that of its pod.
    fn node_of(shell: &ShellReport) -> Self {
        let (cluster, namespace) = (shell.cluster.clone(), shell.namespace.clone());
        match &shell.node {
            Some(node) => Self::new(cluster, namespace, format!("node/{}", node.name)),
            None => Self { on_node: true, ..Self::new(cluster, namespace, format!("pod/{}", shell.pod)) },
        }
    }

    fn workload(cluster: &str, namespace: String, address: &Destination) -> Option<Self> {
        let workload = address.workload()?;
        Some(Self::new(cluster.to_owned(), namespace, format!("{}/{}", workload.kind, workload.name)))
    }

    /// Returns the place of an object that is a node, or of a kind that is known to have pods.
    pub(crate) fn object(object: &ObjectRef) -> Option<Self> {
        let kind = object.kind.resource();
        let is_node = kind == "nodes";
        let known = kind.parse::<Kind>().is_ok_and(|kind| !matches!(kind, Kind::Custom(_)));
        let short = if is_node { "node" } else { kind.as_str() };
        let place = || Self::new(object.cluster.clone(), object.namespace.clone(), format!("{short}/{}", object.name));
        (is_node || known).then(place)
    }

    fn new(cluster: String, namespace: String, thing: String) -> Self {
        Self { cluster, namespace, thing, on_node: false, copies: false }
    }
}
