//! The state of the screen: panes, lists, dialogs, forms and menus.

pub mod batch;
pub mod browser;
pub mod dialog;
pub mod edit;
pub mod filter;
pub mod find;
pub mod first_run;
pub mod focus;
pub mod form;
pub mod kinds;
mod letters;
pub mod list;
pub mod log;
pub mod menu;
pub mod page;
pub mod palette;
pub mod text_field;
