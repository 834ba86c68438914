//! Colors that carry a meaning.

use chrono::TimeDelta;
use ratatui::style::{Modifier, Style};

use super::fixture::{ago, busy, drawn, focused};
use crate::model::Model;
use crate::model::focus::Pane;
use crate::model::settings::Colors;
use crate::view::Theme;

fn dark() -> Theme {
    Theme::named("dark", Colors::Truecolor).unwrap()
}

/// The style of the first cell of the first place where a text stands.
fn style_of(model: &Model, theme: &Theme, text: &str) -> Style {
    let (terminal, _) = drawn(model, 200, 50, theme);
    let buffer = terminal.backend().buffer();
    let at =
        |y: u16| (0..200u16).find(|x| (*x..200).map(|x| buffer[(x, y)].symbol()).collect::<String>().starts_with(text));
    let (x, y) = (0..50).find_map(|y| Some((at(y)?, y))).unwrap_or_else(|| panic!("no {text:?} on the screen"));
    buffer[(x, y)].style()
}

#[test]
fn the_countdown_turns_yellow_then_red() {
    let theme = dark();
    // Of half an hour 20 % are six minutes.
    for (left, shown, wanted) in [
        (TimeDelta::minutes(29), "29:00", theme.good),
        (TimeDelta::seconds(361), "06:01", theme.good),
        (TimeDelta::seconds(360), "06:00", theme.warn),
        (TimeDelta::seconds(61), "01:01", theme.warn),
        (TimeDelta::seconds(60), "01:00", theme.bad),
        (TimeDelta::seconds(1), "00:01", theme.bad),
    ] {
        let mut model = focused(busy(), Pane::Targets);
        let key = model.pod_list.order[0].clone();
        model.pods.get_mut(&key).unwrap().started = Some(ago(30 * 60) + left);
        assert_eq!(style_of(&model, &theme, shown).fg, wanted.fg, "{shown}");
    }
}

#[test]
fn the_clusters_clock_counts() {
    let mut model = busy();
    model.clusters[0].skew = TimeDelta::minutes(2);
    // 20:02 by our clock.
    assert_eq!(style_of(&model, &dark(), "18:02").fg, dark().good.fg);
}

#[test]
fn a_port_open_to_others_is_red() {
    assert_eq!(style_of(&busy(), &dark(), "! 0.0.0.0:5432").fg, dark().bad.fg);
    assert_eq!(style_of(&busy(), &dark(), "127.0.0.1:3306").fg, dark().text.fg);
}

#[test]
fn the_focused_pane_shows_with_and_without_colors() {
    let model = focused(busy(), Pane::Pods);
    assert_eq!(style_of(&model, &dark(), "3 Proxy").fg, dark().accent.fg);
    assert_eq!(style_of(&model, &dark(), "4 Forwards").fg, dark().dim.fg);
    let (terminal, _) = drawn(&model, 200, 50, &Theme::plain());
    let corners = |symbol: &str| terminal.backend().buffer().content.iter().filter(|c| c.symbol() == symbol).count();
    assert_eq!((corners("┏"), corners("╭")), (1, 5));
    let selected = style_of(&model, &Theme::plain(), "brow-mysql-dev-4k2x9d");
    assert!(selected.add_modifier.contains(Modifier::REVERSED));
}

#[test]
fn without_colors_there_are_none() {
    use ratatui::style::Color;
    let (terminal, _) = drawn(&busy(), 200, 50, &Theme::plain());
    assert!(terminal.backend().buffer().content.iter().all(|cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset)));
}
