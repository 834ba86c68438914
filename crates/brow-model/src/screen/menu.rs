//! A menu of texts, one of which goes to the clipboard.

use crate::types::target::Target;

/// The dialog.
#[derive(Debug, Clone)]
pub struct Menu {
    /// The subject.
    pub of: MenuOf,
    /// The items; never empty.
    pub items: Vec<MenuItem>,
    /// The one that Enter takes.
    pub cursor: usize,
}

/// The subject of a menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MenuOf {
    /// Connection strings of a target's forwards.
    Strings(String),
    /// Forms in which so many targets can be exported.
    Export(usize),
}

/// One thing that can be chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct MenuItem {
    pub label: MenuLabel,
    /// The text that is shown.
    pub shown: String,
    /// The text that is copied.
    pub content: MenuContent,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MenuLabel {
    /// A name: of a tool, of a kind of URL.
    Name(String),
    /// The plain address.
    Address,
    /// The config's own form.
    Toml,
    /// Commands for kubectl.
    Kubectl,
}

/// The text that an item copies.
#[derive(Debug, Clone, PartialEq)]
pub enum MenuContent {
    Text(String),
    /// These targets, as the config has them.
    Toml(Vec<Target>),
}
