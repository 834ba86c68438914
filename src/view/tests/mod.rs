//! Whole frames: every pane, dialog and state at 80×24 and 200×50, as snapshots; colors and sizes beside them.

mod agents;
mod colors;
mod day;
mod dialogs;
mod edit;
mod find;
mod fixture;
mod found;
mod gateways;
mod kinds;
mod metrics;
mod object;
mod panes;
mod sizes;
mod why;

use fixture::{lines, themed};

use crate::text::Text;
use crate::view::Theme;
use brow_model::Model;
use brow_model::settings::Colors;

/// The snapshots of a model at both sizes.
fn shots(name: &str, model: &Model) {
    let theme = Theme::named("dark", Colors::Truecolor).unwrap();
    shots_with(name, model, &theme, &fixture::english());
}

/// The same with a theme and a language.
fn shots_with(name: &str, model: &Model, theme: &Theme, text: &Text) {
    for (width, height) in [(80, 24), (200, 50)] {
        let (mut terminal, _) = themed(model, width, height, theme, text);
        insta::assert_snapshot!(format!("{name}-{width}x{height}"), lines(&mut terminal));
    }
}
