//! A pane's list: its visible rows in order, the selected one, the marked ones.

use std::collections::BTreeSet;
use tui_input::Input;

/// The status of a list: what a step back would undo, and whether there is anything to act on.
#[derive(Debug, Clone, Copy)]
pub struct ListStatus {
    /// Rows are marked.
    pub marked: bool,
    /// A filter is set.
    pub filtered: bool,
    /// There are visible rows.
    pub rows: bool,
}

/// The state of one pane's list; rows are named by keys of type `K`, columns by `C`.
#[derive(Debug, Clone)]
pub struct List<K, C> {
    /// Keys of the visible rows, in order.
    order: Vec<K>,
    /// The selected row, an index into `order`.
    cursor: usize,
    /// Marked rows.
    pub marks: BTreeSet<K>,
    /// The column the rows are sorted by.
    pub column: C,
    /// True for descending order.
    pub descending: bool,
    /// The filter's text.
    pub filter: Input,
    /// True while the filter's field has the keys.
    pub filtering: bool,
    /// True if the filter's text has just changed: the next arrangement selects the row that matches best.
    pub seeking: bool,
    /// The row to select at the next arrangement, where somebody wants it shown.
    pub wanted: Option<K>,
    /// The number of rows before filtering.
    total: usize,
}

impl<K, C: Default> Default for List<K, C> {
    fn default() -> Self {
        Self {
            order: Vec::new(),
            cursor: 0,
            marks: BTreeSet::new(),
            column: C::default(),
            descending: false,
            filter: Input::default(),
            filtering: false,
            seeking: false,
            wanted: None,
            total: 0,
        }
    }
}

impl<K, C> List<K, C> {
    /// The keys of the visible rows, in order.
    pub fn rows(&self) -> &[K] {
        &self.order
    }

    /// The index of the selected row in [`List::rows`].
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// The number of rows before filtering.
    pub fn total(&self) -> usize {
        self.total
    }
}

impl<K: Ord + Clone, C> List<K, C> {
    /// The selected row's key.
    pub fn selected(&self) -> Option<&K> {
        self.order.get(self.cursor)
    }

    /// The list's marks, filter and rows.
    pub fn status(&self) -> ListStatus {
        ListStatus {
            marked: !self.marks.is_empty(),
            filtered: !self.filter.value().is_empty(),
            rows: !self.order.is_empty(),
        }
    }

    /// The marked rows that are visible, else the selected one: what an action works on.
    pub fn chosen(&self) -> Vec<K> {
        let marked: Vec<K> = self.order.iter().filter(|key| self.marks.contains(key)).cloned().collect();
        if marked.is_empty() { self.selected().cloned().into_iter().collect() } else { marked }
    }

    /// Takes a new order; the selection stays on its row, or near it where that is gone. Marks of rows that `exists`
    /// denies are dropped.
    pub fn arrange(&mut self, order: Vec<K>, total: usize, exists: impl Fn(&K) -> bool) {
        let wanted = self.wanted.take();
        let find = |key: &K| order.iter().position(|other| other == key);
        let found = wanted.as_ref().and_then(find).or_else(|| self.selected().and_then(find));
        self.cursor = found.unwrap_or(self.cursor).min(order.len().saturating_sub(1));
        self.order = order;
        self.total = total;
        self.marks.retain(exists);
    }

    /// Selects a row at the next arrangement, and shows it whatever was filtered.
    pub fn show(&mut self, key: K) {
        self.filter.reset();
        self.wanted = Some(key);
    }

    /// Moves the selection `by` rows, stopping at the ends.
    pub fn step(&mut self, by: isize) {
        let last = self.order.len().saturating_sub(1);
        self.cursor = self.cursor.saturating_add_signed(by).min(last);
    }

    /// Selects the row at `index`, where there is one.
    pub fn select(&mut self, index: usize) {
        if index < self.order.len() {
            self.cursor = index;
        }
    }

    /// Marks or unmarks the selected row and goes on to the next.
    pub fn mark(&mut self) {
        if let Some(key) = self.selected().cloned() {
            if !self.marks.remove(&key) {
                self.marks.insert(key);
            }
            self.step(1);
        }
    }

    /// Marks all visible rows; where all are marked, none.
    pub fn mark_all(&mut self) {
        if self.order.iter().all(|key| self.marks.contains(key)) {
            self.marks.clear();
        } else {
            self.marks.extend(self.order.iter().cloned());
        }
    }
}

macro_rules! columns {
    ($(#[doc = $doc:literal])+ $name:ident { $($variant:ident = $key:literal),+ $(,)? } default $default:ident) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($variant),+ }

        impl $name {
            /// All columns, from left to right.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its key in the text tables: `column.<key>`.
            pub fn key(self) -> &'static str {
                match self { $(Self::$variant => $key),+ }
            }

            /// The column after this one, around.
            #[must_use]
            pub fn next(self) -> Self {
                let at = Self::ALL.iter().position(|c| *c == self).unwrap_or_default();
                Self::ALL[(at + 1) % Self::ALL.len()]
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::$default
            }
        }
    };
}

columns! {
    /// Columns of the clusters pane.
    ClusterColumn { Name = "name", Version = "version", State = "state", Rtt = "rtt", Pods = "pods", Forwards = "forwards" } default Name
}

columns! {
    /// Columns of the targets pane.
    TargetColumn { Attention = "attention", Name = "name", Port = "local", Address = "target", Cluster = "cluster", Namespace = "namespace", Tags = "tags", Left = "left", State = "state" } default Attention
}

columns! {
    /// Columns of the proxy pods pane.
    PodColumn { Attention = "attention", Name = "name", Target = "target", Place = "place", Phase = "phase", Owner = "owner", Age = "age", Left = "left" } default Attention
}

columns! {
    /// Columns of the forwards pane.
    ForwardColumn { Attention = "attention", Local = "local", Target = "target", Pod = "pod", State = "state", Connections = "connections", Up = "up", UpRate = "up-rate", Down = "down", DownRate = "down-rate", Activity = "activity", Fault = "fault" } default Attention
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(keys: &[&'static str]) -> List<&'static str, PodColumn> {
        let mut list = List::default();
        list.arrange(keys.to_vec(), keys.len(), |_| true);
        list
    }

    #[test]
    fn the_selection_follows_its_row() {
        let mut list = list(&["a", "b", "c"]);
        list.step(1);
        list.arrange(vec!["c", "b", "a", "d"], 4, |_| true);
        assert_eq!(list.selected(), Some(&"b"));
        list.step(1);
        list.arrange(vec!["c"], 1, |_| true);
        assert_eq!(list.selected(), Some(&"c"));
        list.arrange(vec![], 0, |_| false);
        assert_eq!(list.selected(), None);
        list.step(-1);
        list.step(1);
    }

    #[test]
    fn actions_work_on_the_marked_rows_that_can_be_seen() {
        let mut list = list(&["a", "b", "c"]);
        assert_eq!(list.chosen(), ["a"]);
        list.mark();
        list.mark();
        assert_eq!(list.chosen(), ["a", "b"]);
        list.arrange(vec!["b", "c"], 3, |_| true);
        assert_eq!(list.chosen(), ["b"]);
        list.mark_all();
        assert_eq!(list.marks.len(), 3);
        list.mark_all();
        assert!(list.marks.is_empty());
    }
}
