//! The model and the look, from which every part of the screen is drawn.

use chrono::FixedOffset;
use ratatui::style::Style;
use ratatui::text::Span;

use super::theme::Theme;
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

/// The model and the look, passed to every part of the screen.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub model: &'a Model,
    pub inputs: &'a FrameInputs<'a>,
}

impl<'a> Scene<'a> {
    pub(super) fn theme(self) -> &'a Theme {
        self.inputs.theme
    }

    pub(super) fn text(self) -> &'a Text {
        self.inputs.text
    }

    pub(super) fn get(self, key: &str) -> &'a str {
        self.inputs.text.get(key)
    }

    /// A column's head.
    pub(super) fn head(self, key: &str) -> &'a str {
        self.get(&format!("column.{key}"))
    }

    /// A cluster's name to show and its style: red in production, in its own color, else in `style`.
    pub(super) fn cluster(self, name: &'a str, style: Style) -> Span<'a> {
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
    pub(super) fn has_dialog(self) -> bool {
        !self.model.screen.dialogs.is_empty()
    }

    /// Returns true if the pane receives keys.
    pub(super) fn has_keys(self, pane: Pane) -> bool {
        self.model.screen.focus.pane == pane && !self.model.screen.focus.in_log
    }
}
