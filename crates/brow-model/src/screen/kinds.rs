//! The browser of kinds: a dialog over every kind that a cluster serves, and the table of one of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::language::fault::Fault;
use crate::screen::filter::Filter;
use crate::screen::text_field::Field;
use crate::types::epoch::Epoch;
use crate::types::index::ServedKind;
use crate::types::kinds::{System, TableColumn, TableRow};

/// Names a row of a table: namespace and name.
pub type RowKey = (String, String);

/// The dialog.
#[derive(Debug, Clone)]
pub struct KindBrowser {
    /// The epoch of the list or table that was asked for last: what an earlier one brings is dropped.
    pub epoch: Epoch,
    pub cluster: String,
    /// Every kind, in the order in which they are shown; `None` until they are known.
    pub kinds: Option<Vec<Arc<ServedKind>>>,
    /// The reason why they are not known.
    pub fault: Option<Fault>,
    pub field: Field,
    /// The kinds that pass the filter, by their numbers.
    pub order: Vec<usize>,
    pub cursor: usize,
    /// The table of the kind that is open.
    pub table: Option<KindTable>,
    /// True if the rows have to be arranged again.
    pub stale: bool,
}

/// The objects of a kind.
#[derive(Debug, Clone)]
pub struct KindTable {
    pub kind: Arc<ServedKind>,
    /// The namespace that is shown; `None`: all.
    pub namespace: Option<String>,
    pub columns: Vec<TableColumn>,
    pub rows: BTreeMap<RowKey, TableRow>,
    /// True once they were listed.
    pub done: bool,
    /// True if there are more than are kept.
    pub more: bool,
    /// The reason why there are none, or not all.
    pub fault: Option<Fault>,
    /// True if all columns are shown.
    pub wide: bool,
    pub field: Field,
    /// The rows that pass the filter.
    pub order: Vec<RowKey>,
    pub cursor: usize,
}

impl KindTable {
    pub(crate) fn new(kind: Arc<ServedKind>, namespace: Option<String>) -> Self {
        Self {
            kind,
            namespace,
            columns: Vec::new(),
            rows: BTreeMap::new(),
            done: false,
            more: false,
            fault: None,
            wide: false,
            field: Field::default(),
            order: Vec::new(),
            cursor: 0,
        }
    }

    pub fn selected(&self) -> Option<&TableRow> {
        self.rows.get(self.order.get(self.cursor)?)
    }

    /// Returns true for a column that is shown.
    pub fn shows(&self, column: &TableColumn) -> bool {
        self.wide || !column.wide
    }

    /// The rows that pass the filter, the selection staying on its row.
    fn arrange(&mut self) {
        let selected = self.order.get(self.cursor).cloned();
        let mut filter = Filter::new(self.field.text());
        let passes = |row: &TableRow, filter: &mut Filter| {
            let fields: Vec<&str> =
                [row.name.as_str(), &row.namespace].into_iter().chain(row.cells.iter().map(String::as_str)).collect();
            filter.score(&fields).is_some()
        };
        self.order = self.rows.iter().filter(|(_, row)| passes(row, &mut filter)).map(|(key, _)| key.clone()).collect();
        let at = selected.and_then(|key| self.order.iter().position(|own| *own == key));
        self.cursor = at.unwrap_or(self.cursor).min(self.order.len().saturating_sub(1));
    }
}

impl KindBrowser {
    /// Returns the selected kind, where the list of them is shown.
    pub fn selected(&self) -> Option<&Arc<ServedKind>> {
        self.kinds.as_ref()?.get(*self.order.get(self.cursor)?)
    }

    /// The text field of what is shown.
    pub fn field(&self) -> &Field {
        self.table.as_ref().map_or(&self.field, |table| &table.field)
    }

    pub(crate) fn field_mut(&mut self) -> &mut Field {
        match &mut self.table {
            Some(table) => &mut table.field,
            None => &mut self.field,
        }
    }

    /// The number of rows of what is shown.
    pub fn count(&self) -> usize {
        self.table.as_ref().map_or(self.order.len(), |table| table.order.len())
    }

    /// Moves the selection of what is shown to a row.
    pub(crate) fn select(&mut self, row: usize) {
        let last = self.count().saturating_sub(1);
        let cursor = self.table.as_mut().map_or(&mut self.cursor, |table| &mut table.cursor);
        *cursor = row.min(last);
    }

    pub(crate) fn step(&mut self, by: isize) {
        let cursor = self.table.as_ref().map_or(self.cursor, |table| table.cursor);
        self.select(cursor.saturating_add_signed(by));
    }

    /// Makes the visible rows.
    pub(crate) fn arrange(&mut self) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        if let Some(table) = &mut self.table {
            return table.arrange();
        }
        let selected = self.order.get(self.cursor).copied();
        let mut filter = Filter::new(self.field.text());
        let kinds = self.kinds.iter().flatten().enumerate();
        let passes = |kind: &ServedKind, filter: &mut Filter| {
            let system = System::of(&kind.group).map_or("", |system| system.name);
            let resource = kind.resource();
            let fields = [kind.kind.as_str(), &resource, system].into_iter();
            let fields: Vec<&str> = fields.chain(kind.shorts.iter().map(String::as_str)).collect();
            filter.score(&fields).is_some()
        };
        self.order = kinds.filter(|(_, kind)| passes(kind, &mut filter)).map(|(at, _)| at).collect();
        let at = selected.and_then(|kind| self.order.iter().position(|own| *own == kind));
        self.cursor = at.unwrap_or(self.cursor).min(self.order.len().saturating_sub(1));
    }
}
