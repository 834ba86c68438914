//! Colors that carry a meaning.

use chrono::TimeDelta;
use ratatui::style::{Color, Modifier, Style};

use super::fixture::{ago, busy, drawn, focused};
use crate::view::Theme;
use brow_model::Model;
use brow_model::focus::Pane;
use brow_model::settings::Colors;

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
    for (left, shown, wanted) in [
        (TimeDelta::minutes(29), "29:00", theme.good),
        (TimeDelta::seconds(301), "05:01", theme.good),
        (TimeDelta::seconds(300), "05:00", theme.warn),
        (TimeDelta::seconds(61), "01:01", theme.warn),
        (TimeDelta::seconds(60), "01:00", theme.bad),
        (TimeDelta::seconds(1), "00:01", theme.bad),
    ] {
        let mut model = focused(busy(), Pane::Targets);
        let key = model.screen.pods.rows()[0].clone();
        model.pods.all_mut().get_mut(&key).unwrap().started = Some(ago(30 * 60) + left);
        assert_eq!(style_of(&model, &theme, shown).fg, wanted.fg, "{shown}");
    }
}

#[test]
fn the_clusters_clock_counts() {
    let mut model = busy();
    model.clusters.all_mut()[0].skew = TimeDelta::minutes(2);
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
    let (terminal, _) = drawn(&busy(), 200, 50, &Theme::plain());
    assert!(terminal.backend().buffer().content.iter().all(|cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset)));
}

/// Red, green and blue of a color that is not the terminal's own.
fn rgb(color: Color) -> [u8; 3] {
    /// The steps of the palette's cube (xterm's `256colres.pl`).
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    match color {
        Color::Rgb(red, green, blue) => [red, green, blue],
        Color::Indexed(at @ 232..) => [8 + 10 * (at - 232); 3],
        Color::Indexed(at @ 16..) => [36, 6, 1].map(|step| STEPS[usize::from((at - 16) / step % 6)]),
        own => panic!("nobody knows what {own:?} looks like"),
    }
}

/// WCAG 2.2, “contrast ratio” and “relative luminance”.
fn contrast(one: Color, other: Color) -> f64 {
    let luminance = |color| {
        let linear = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = rgb(color).map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// Text has a contrast of 4.5:1 (WCAG level AA), also on the selected row; frames and empty cells have 3:1. The
/// high-contrast theme has 7:1 (level AAA). The palette of 256 colors is coarser, most of all on the selected row.
#[test]
fn every_color_stands_out_from_what_is_behind_it() {
    for name in ["dark", "light", "high-contrast"] {
        for colors in [Colors::Truecolor, Colors::Ansi256] {
            let theme = Theme::named(name, colors).unwrap();
            let (ground, selected) = (theme.base.bg.unwrap(), theme.selection.bg.unwrap());
            let coarse = colors == Colors::Ansi256;
            let most = name == "high-contrast";
            let read = [
                theme.base,
                theme.text,
                theme.dim,
                theme.accent,
                theme.good,
                theme.info,
                theme.warn,
                theme.bad,
                theme.mark,
            ];
            for style in read {
                let color = style.fg.unwrap();
                let (on, over) = (contrast(color, ground), contrast(color, selected));
                assert!(on >= if most { 7.0 } else { 4.5 }, "{name} {colors:?}: {color:?} {on:.1}");
                assert!(over >= if coarse { 3.5 } else { 4.5 }, "{name} {colors:?}: {color:?} selected {over:.1}");
            }
            let faint = contrast(theme.faint.fg.unwrap(), ground);
            let least = if most {
                7.0
            } else if coarse {
                2.8
            } else {
                3.0
            };
            assert!(faint >= least, "{name} {colors:?}: faint {faint:.2}");
            // Good, warning and bad are told apart on any of them.
            let told = [theme.good, theme.info, theme.warn, theme.bad].map(|style| style.fg.unwrap());
            assert!((0..4).all(|a| (0..a).all(|b| told[a] != told[b])), "{name} {colors:?}: {told:?}");
        }
    }
}
