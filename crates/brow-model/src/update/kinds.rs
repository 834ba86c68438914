//! The browser of kinds: its keys, and what comes of what it asked for.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::language::action::Command;
use crate::language::effect::{Clip, ClusterEffect, Effect};
use crate::language::event::KindEvent;
use crate::language::fault::{Fault, What};
use crate::language::log::{Level, Message};
use crate::screen::dialog::Dialog;
use crate::screen::kinds::{KindBrowser, KindTable};
use crate::screen::text_field::Field;
use crate::state::Model;
use crate::types::epoch::Epoch;
use crate::types::index::{ObjectRef, ServedKind};
use crate::types::kinds::{self, TableRow};
use crate::update::dialog::Input;

/// The most rows of a table that are kept.
const MAX_ROWS: usize = 20_000;

impl Model {
    /// Opens the browser of kinds over the cluster in view, which is connected where it is not.
    pub(crate) fn open_kinds(&mut self, out: &mut Vec<Effect>) {
        let cluster = self.cluster_in_view();
        if cluster.is_empty() {
            return match self.clusters.fault().cloned() {
                Some(fault) => self.fail(fault),
                None => self.note(Level::Info, Message::NothingSelected, "", ""),
            };
        }
        if !self.ensure_connected(&cluster, out) {
            return;
        }
        let epoch = Epoch(self.next_number());
        out.push(Effect::Cluster(ClusterEffect::ListKinds { cluster: cluster.clone(), epoch }));
        self.screen.dialogs.push(Dialog::Kinds(Box::new(KindBrowser {
            epoch,
            cluster,
            kinds: None,
            fault: None,
            field: Field::default(),
            order: Vec::new(),
            cursor: 0,
            table: None,
            stale: true,
        })));
    }

    pub(crate) fn in_kinds(
        &mut self,
        mut browser: Box<KindBrowser>,
        input: Input,
        out: &mut Vec<Effect>,
    ) -> Option<Dialog> {
        browser.step(input.moves(self.screen.page).unwrap_or(0));
        match input {
            Input::Do(Command::Cancel) if !browser.field().input.value().is_empty() => {
                browser.field_mut().input.reset();
                browser.stale = true;
            }
            Input::Do(Command::Cancel) => {
                out.push(Effect::Cluster(ClusterEffect::HideKind));
                browser.table.take()?;
                browser.stale = true;
            }
            Input::Do(Command::Accept | Command::ShowPage) => self.enter_kind(&mut browser, out),
            Input::Item(row) => {
                browser.select(row);
                self.enter_kind(&mut browser, out);
            }
            Input::Do(Command::Wide) => {
                if let Some(table) = &mut browser.table {
                    table.wide = !table.wide;
                }
            }
            Input::Do(Command::OneNamespace) => self.narrow_kind(&mut browser, out),
            Input::Do(Command::Forward) => return self.forward_row(browser, out),
            Input::Do(command @ (Command::Edit | Command::PodLog | Command::Why)) => {
                self.do_with_object(command, &browser, out);
            }
            Input::Do(Command::New) => self.create_of_kind(&browser, out),
            Input::Do(Command::Delete) => match object(&browser).zip(selected_uid(&browser)) {
                Some((object, uid)) => self.ask_delete_object(object, uid),
                None => self.nothing_selected(),
            },
            Input::Do(Command::Copy) => {
                if let Some(name) = copied(&browser) {
                    Self::copy(Clip::Text(name), out);
                }
            }
            Input::Do(Command::Strings) => {
                if let Some(object) = object(&browser) {
                    Self::copy(Clip::Text(object.kubectl()), out);
                }
            }
            Input::Do(Command::Describe) => {
                let of_cluster = self.cluster(&browser.cluster).and_then(|at| at.fault.clone());
                let own = browser.table.as_ref().map_or(&browser.fault, |table| &table.fault);
                match own.clone().or(of_cluster) {
                    Some(fault) => self.screen.dialogs.push(Dialog::Fault(fault)),
                    None => self.note(Level::Info, Message::NothingMissing, "", ""),
                }
            }
            Input::Do(Command::Help) => self.screen.dialogs.push(Dialog::help()),
            Input::Type(typed) => {
                browser.field_mut().edit(typed);
                browser.stale = true;
            }
            Input::Do(_) | Input::Wheel(_) => {}
        }
        Some(Dialog::Kinds(browser))
    }

    /// Edits the selected object, shows its logs, or takes the steps to it.
    fn do_with_object(&mut self, command: Command, browser: &KindBrowser, out: &mut Vec<Effect>) {
        match object(browser) {
            None => self.nothing_selected(),
            Some(object) if command == Command::Edit => self.edit_object(object, out),
            Some(object) if command == Command::PodLog => self.open_logs(object, out),
            Some(object) => self.why_object(&object, out),
        }
    }

    /// Opens the table of the selected kind, or the selected object.
    fn enter_kind(&mut self, browser: &mut KindBrowser, out: &mut Vec<Effect>) {
        if browser.table.is_none() {
            if let Some(kind) = browser.selected().cloned() {
                self.show_kind(browser, kind, None, out);
            }
        } else if let Some(object) = object(browser) {
            self.open_page(object, out);
        }
    }

    /// Creates an object of the kind that is open or selected, in the namespace of the row.
    fn create_of_kind(&mut self, browser: &KindBrowser, out: &mut Vec<Effect>) {
        let (kind, namespace) = match &browser.table {
            Some(table) => {
                let of_row = table.selected().map(|row| row.namespace.clone());
                (Some(&table.kind), table.namespace.clone().or(of_row))
            }
            None => (browser.selected(), None),
        };
        match kind.cloned() {
            Some(kind) => self.create_object((browser.cluster.clone(), kind), namespace.as_deref(), out),
            None => self.nothing_selected(),
        }
    }

    /// Shows the namespace of the selected row alone, or all again.
    fn narrow_kind(&mut self, browser: &mut KindBrowser, out: &mut Vec<Effect>) {
        let Some(table) = browser.table.as_ref().filter(|table| table.kind.namespaced) else { return };
        let namespace = match (&table.namespace, table.selected()) {
            (None, Some(row)) => Some(row.namespace.clone()),
            (None, None) => return self.nothing_selected(),
            (Some(_), _) => None,
        };
        let (kind, wide, field) = (Arc::clone(&table.kind), table.wide, table.field.clone());
        self.show_kind(browser, kind, namespace, out);
        if let Some(table) = &mut browser.table {
            (table.wide, table.field) = (wide, field);
        }
    }

    fn show_kind(
        &mut self,
        browser: &mut KindBrowser,
        kind: Arc<ServedKind>,
        namespace: Option<String>,
        out: &mut Vec<Effect>,
    ) {
        browser.epoch = Epoch(self.next_number());
        browser.stale = true;
        let namespaces = namespace
            .as_ref()
            .map_or_else(|| self.namespaces(&browser.cluster), |namespace| BTreeSet::from([namespace.clone()]));
        let (cluster, epoch) = (browser.cluster.clone(), browser.epoch);
        let only = namespace.is_some();
        browser.table = Some(KindTable::new(Arc::clone(&kind), namespace));
        out.push(Effect::Cluster(ClusterEffect::ShowKind { cluster, epoch, kind, namespaces, only }));
    }

    /// Forwards the selected row: of a route, the first Service behind it.
    fn forward_row(&mut self, browser: Box<KindBrowser>, out: &mut Vec<Effect>) -> Option<Dialog> {
        let Some((row, mut object)) = browser.table.as_ref().and_then(KindTable::selected).zip(object(&browser)) else {
            return Some(Dialog::Kinds(browser));
        };
        let mut port = None;
        if let Some(service) = row.services.first().filter(|_| object.kind.kind == "IngressRouteUDP").cloned() {
            out.push(Effect::Cluster(ClusterEffect::HideKind));
            if !self.forward_datagrams(&browser.cluster, &service, out) {
                self.note(Level::Warning, Message::NoPorts, service.name, "");
            }
            return None;
        }
        if let Some(service) = row.services.first() {
            port.clone_from(&service.port);
            object = ObjectRef {
                kind: Arc::new(ServedKind::service()),
                namespace: service.namespace.clone(),
                name: service.name.clone(),
                ..object
            };
        } else if !object.kind.namespaced {
            self.note(Level::Info, Message::NotForwardable, "", "");
            return Some(Dialog::Kinds(browser));
        }
        out.push(Effect::Cluster(ClusterEffect::HideKind));
        out.push(Effect::Cluster(match port {
            Some(port) => ClusterEffect::ReadPort { object, port },
            None => ClusterEffect::ReadPorts(object),
        }));
        None
    }

    /// Takes in news of the kinds of a cluster, or of the objects of one.
    pub(crate) fn on_kinds(&mut self, epoch: Epoch, event: KindEvent) {
        let open = self.screen.dialogs.iter_mut().find_map(|dialog| match dialog {
            Dialog::Kinds(browser) if browser.epoch == epoch => Some(browser),
            _ => None,
        });
        let Some(browser) = open else { return };
        browser.stale = true;
        self.screen.unarranged = true;
        match event {
            KindEvent::Served(mut all) => {
                kinds::sort(&mut all);
                (browser.kinds, browser.fault) = (Some(all), None);
            }
            KindEvent::Unknown(fault) => browser.fault = Some(fault),
            KindEvent::Listed { .. } | KindEvent::Applied(_) | KindEvent::Gone { .. } | KindEvent::Missing { .. } => {
                if let Some(table) = &mut browser.table {
                    table.take(event);
                }
            }
        }
    }

    /// Arranges the rows of an open browser of kinds, where something changed.
    pub(crate) fn arrange_kinds(&mut self) {
        for dialog in &mut self.screen.dialogs {
            if let Dialog::Kinds(browser) = dialog {
                browser.arrange();
            }
        }
    }
}

impl KindTable {
    fn take(&mut self, event: KindEvent) {
        match event {
            KindEvent::Listed { namespace, columns, rows, first } => {
                if first {
                    self.more = false;
                    self.rows.retain(|(own, _), _| namespace.as_ref().is_some_and(|namespace| namespace != own));
                }
                // A list of one namespace does not clear the fault of all namespaces.
                if namespace == self.namespace {
                    self.fault = None;
                }
                (self.columns, self.done) = (columns, true);
                for row in rows {
                    self.keep(row);
                }
            }
            KindEvent::Applied(row) => self.keep(row),
            KindEvent::Gone { namespace, name } => {
                self.rows.remove(&(namespace, name));
            }
            KindEvent::Missing { fault } => {
                // One that passes does not hide a missing right.
                let is_right = |fault: &Fault| fault.what == What::Forbidden;
                if is_right(&fault) || !self.fault.as_ref().is_some_and(is_right) {
                    self.fault = Some(fault);
                }
                self.done = true;
            }
            KindEvent::Served(_) | KindEvent::Unknown(_) => {}
        }
    }

    fn keep(&mut self, row: TableRow) {
        let key = (row.namespace.clone(), row.name.clone());
        if self.rows.len() < MAX_ROWS || self.rows.contains_key(&key) {
            self.rows.insert(key, row);
        } else {
            self.more = true;
        }
    }
}

/// The selected object.
fn object(browser: &KindBrowser) -> Option<ObjectRef> {
    let table = browser.table.as_ref()?;
    let TableRow { namespace, name, .. } = table.selected()?.clone();
    Some(ObjectRef { cluster: browser.cluster.clone(), kind: Arc::clone(&table.kind), namespace, name })
}

/// The uid of the selected object.
fn selected_uid(browser: &KindBrowser) -> Option<String> {
    browser.table.as_ref()?.selected().map(|row| row.uid.clone())
}

/// The name that is copied: of the selected object or resource.
fn copied(browser: &KindBrowser) -> Option<String> {
    match &browser.table {
        Some(table) => table.selected().map(|row| row.name.clone()),
        None => browser.selected().map(|kind| kind.resource()),
    }
}
