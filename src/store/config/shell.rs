//! The section `shell`: sessions in containers.

use super::section::Section;
use brow_model::shell::{ShellOpen, ShellSettings};
use brow_model::ttl::Ttl;

pub(super) fn read(mut section: Section<'_, '_>) -> ShellSettings {
    let base = ShellSettings::default();
    let is_escape = |text: &str| text.len() <= 1 && text.chars().all(|c| c.is_ascii_punctuation());
    let escape =
        super::target::checked(&mut section, "escape", is_escape, "write one of ~ ^ % and the like, or \"\" for none");
    let settings = ShellSettings {
        open: section.one_of("open", &[("here", ShellOpen::Here), ("pane", ShellOpen::Pane)]).unwrap_or(base.open),
        program: section.word("program").map(|found| found.value),
        node_namespace: section.namespace("node_namespace").map(|found| found.value),
        node_idle: section.parsed::<Ttl>("node_idle").map_or(base.node_idle, |found| found.value),
        debug_image: section.word("debug_image").map(|found| found.value),
        escape: escape.map_or(base.escape, |text| text.chars().next()),
    };
    section.finish();
    settings
}
