//! The limits of a copy, and what is left out of one.

/// The prefix of the folders in which things are unpacked.
pub(super) const STAGING: &str = ".brow-cp-";
/// The most files, folders and links of a copy: their names and sums are kept in memory.
pub(super) const MAX_ENTRIES: usize = 500_000;
/// The most links and special files that are named.
const MAX_NAMED: usize = 10;

/// The links and special files that were not copied: their number, and the names of the first.
#[derive(Debug, Default, Clone)]
pub struct LeftOut {
    pub names: Vec<String>,
    pub count: usize,
}

impl LeftOut {
    pub(super) fn add(&mut self, name: String) {
        self.count += 1;
        if self.names.len() < MAX_NAMED {
            self.names.push(name);
        }
    }
}
