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
pub use state::{Hit, ViewState};
pub use theme::Theme;

use chrono::FixedOffset;
use ratatui::Frame;
use ratatui::style::Style;
use ratatui::text::Span;

use crate::text::{HelpSection, Hint, Text};
use brow_model::Model;
use brow_model::focus::Pane;
use brow_model::settings::ClusterColor;

/// The inputs of a frame beside the model: theme, texts, key hints, time zone.
#[derive(Debug, Clone, Copy)]
pub struct FrameInputs<'a> {
    /// Colors.
    pub theme: &'a Theme,
    /// Words.
    pub text: &'a Text,
    /// The keys that work here now, most useful first; where not all fit the last one stays (the help).
    pub hints: &'a [Hint],
    /// The key to teach now.
    pub tip: Option<&'a Hint>,
    /// The keys that the welcome offers, in order.
    pub welcome: &'a [Hint],
    /// The commands that the palette shows, with their keys.
    pub palette: &'a [Hint],
    /// All keys.
    pub help: &'a [HelpSection],
    /// The local offset from UTC, for the times of the log.
    pub zone: FixedOffset,
}

pub fn draw(frame: &mut Frame<'_>, model: &Model, inputs: &FrameInputs<'_>, state: &mut ViewState) {
    screen::draw(frame, Scene { model, inputs }, state);
}

/// The model and the look, passed to every part of the screen.
#[derive(Clone, Copy)]
struct Scene<'a> {
    model: &'a Model,
    inputs: &'a FrameInputs<'a>,
}

impl<'a> Scene<'a> {
    fn theme(self) -> &'a Theme {
        self.inputs.theme
    }

    fn text(self) -> &'a Text {
        self.inputs.text
    }

    fn get(self, key: &str) -> &'a str {
        self.inputs.text.get(key)
    }

    /// A column's head.
    fn head(self, key: &str) -> &'a str {
        self.get(&format!("column.{key}"))
    }

    /// A cluster's name to show and its style: red in production, in its own color, else in `style`.
    fn cluster(self, name: &'a str, style: Style) -> Span<'a> {
        let theme = self.theme();
        let color = self.model.config.settings().clusters.get(name).and_then(|at| at.color);
        let style = match color {
            _ if self.model.is_production(name) => theme.bad,
            Some(ClusterColor::Red) => theme.bad,
            Some(ClusterColor::Yellow) => theme.warn,
            Some(ClusterColor::Green) => theme.good,
            Some(ClusterColor::Blue) => theme.info,
            Some(ClusterColor::Purple) => theme.mark,
            None => style,
        };
        Span::styled(self.model.cluster_name(name), style)
    }

    /// Returns true if a dialog is open and receives keys.
    fn has_dialog(self) -> bool {
        !self.model.screen.dialogs.is_empty()
    }

    /// Returns true if the pane receives keys.
    fn has_keys(self, pane: Pane) -> bool {
        self.model.screen.focus.pane == pane && !self.model.screen.focus.in_log
    }
}
