//! The state of the screen: panes, lists, dialogs, forms and menus.

pub mod browser;
pub mod dialog;
pub mod filter;
pub mod focus;
pub mod form;
pub mod list;
pub mod menu;
pub mod quit;
pub mod text_field;
pub mod tip;
pub mod welcome;
