//! A menu of texts, one of which goes to the clipboard.

use crate::types::target::Target;

/// The dialog.
#[derive(Debug, Clone)]
pub struct Menu {
    /// What it is about.
    pub of: MenuOf,
    /// What can be chosen; never empty.
    pub items: Vec<MenuItem>,
    /// The one that Enter takes.
    pub cursor: usize,
}

/// What a menu is about.
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
    /// What it is called.
    pub label: Label,
    /// What is shown of it.
    pub shown: String,
    /// What is copied.
    pub give: Give,
}

/// What an item of a menu is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Label {
    /// A name: of a tool, of a kind of URL.
    Name(String),
    /// The plain address.
    Address,
    /// The config's own form.
    Toml,
    /// Commands for kubectl.
    Kubectl,
}

/// What is copied.
#[derive(Debug, Clone, PartialEq)]
pub enum Give {
    /// This text.
    Text(String),
    /// These targets, as the config has them.
    Toml(Vec<Target>),
}
