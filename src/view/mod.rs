//! Draws the model. Reads it and nothing else: no clock, no files, no waiting, no pruning or sorting.
//!
//! [`draw`] is one frame. [`ViewState`] is what has to be remembered between frames: scroll offsets, and what is where
//! for the mouse.
#![deny(clippy::disallowed_methods)]

mod bottom;
mod cell;
mod chrome;
mod color;
mod columns;
mod details;
mod dialogs;
mod layout;
mod panes;
mod scene;
mod screen;
mod state;
mod strip;
mod table;
mod theme;
mod typeset;
mod welcome;

#[cfg(test)]
mod tests;

pub use color::ColorEnv;
pub use scene::FrameInputs;
pub use state::{Hit, ViewState};
pub use theme::Theme;

use ratatui::Frame;

use brow_model::Model;
use scene::Scene;

pub fn draw(frame: &mut Frame<'_>, model: &Model, inputs: &FrameInputs<'_>, state: &mut ViewState) {
    screen::draw(frame, Scene { model, inputs }, state);
}
