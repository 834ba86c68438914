//! Detects the terminal's color depth and reduces colors to it.

use ratatui::style::Color;

use brow_model::settings::Colors;

/// The environment variables that tell a terminal's color depth.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColorEnv {
    /// `NO_COLOR`: any text but the empty one counts (no-color.org).
    pub no_color: Option<String>,
    pub colorterm: Option<String>,
    pub term: Option<String>,
}

impl ColorEnv {
    /// Returns the color depth to use: `wanted`, or for [`Colors::Auto`] the one that the variables tell.
    pub fn depth(&self, wanted: Colors) -> Colors {
        if wanted != Colors::Auto {
            return wanted;
        }
        let term = self.term.as_deref().unwrap_or_default();
        if self.no_color.as_ref().is_some_and(|value| !value.is_empty()) || term == "dumb" {
            Colors::None
        } else if matches!(self.colorterm.as_deref(), Some("truecolor" | "24bit")) || term.ends_with("-direct") {
            Colors::Truecolor
        } else if term.contains("256color") {
            Colors::Ansi256
        } else {
            Colors::Ansi16
        }
    }
}

/// The nearest of the palette's fixed colors 16 to 255: a 6×6×6 cube and 24 grays. The first 16 are left out because a
/// person may have set them to anything.
pub(super) fn nearest_256(red: u8, green: u8, blue: u8) -> Color {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let distance = |r: u8, g: u8, b: u8| {
        let square = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
        square(r, red) + square(g, green) + square(b, blue)
    };
    let nearest = |value: u8| (0..6u8).min_by_key(|i| STEPS[usize::from(*i)].abs_diff(value)).unwrap_or_default();
    let (r, g, b) = (nearest(red), nearest(green), nearest(blue));
    let step = |i: u8| STEPS[usize::from(i)];
    let in_cube = (distance(step(r), step(g), step(b)), 16 + 36 * r + 6 * g + b);
    let gray = |i: u8| 8 + 10 * i;
    let in_grays = (0..24u8).map(|i| (distance(gray(i), gray(i), gray(i)), 232 + i)).min();
    Color::Indexed(in_grays.map_or(in_cube, |grays| grays.min(in_cube)).1)
}

/// One of the terminal's own colors, by its name in a theme.
pub(super) fn named(name: &str) -> Option<Color> {
    Some(match name {
        "default" => Color::Reset,
        "black" => Color::Black,
        "red" => Color::Red,
        "green" => Color::Green,
        "yellow" => Color::Yellow,
        "blue" => Color::Blue,
        "magenta" => Color::Magenta,
        "cyan" => Color::Cyan,
        "gray" => Color::Gray,
        "dark-gray" => Color::DarkGray,
        "light-red" => Color::LightRed,
        "light-green" => Color::LightGreen,
        "light-yellow" => Color::LightYellow,
        "light-blue" => Color::LightBlue,
        "light-magenta" => Color::LightMagenta,
        "light-cyan" => Color::LightCyan,
        "white" => Color::White,
        _ => return None,
    })
}

/// Red, green and blue of `#rrggbb`.
pub(super) fn hex(text: &str) -> Option<(u8, u8, u8)> {
    let digits = text.strip_prefix('#').filter(|d| d.len() == 6 && d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let part = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).ok();
    Some((part(0)?, part(2)?, part(4)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_how_many_colors() {
        let said = |no: Option<&str>, colorterm: Option<&str>, term: Option<&str>| ColorEnv {
            no_color: no.map(str::to_owned),
            colorterm: colorterm.map(str::to_owned),
            term: term.map(str::to_owned),
        };
        let auto = |no, colorterm, term| said(no, colorterm, term).depth(Colors::Auto);
        assert_eq!(auto(None, Some("truecolor"), Some("xterm")), Colors::Truecolor);
        assert_eq!(auto(None, None, Some("xterm-direct")), Colors::Truecolor);
        assert_eq!(auto(Some(""), None, Some("tmux-256color")), Colors::Ansi256);
        assert_eq!(auto(Some("1"), Some("truecolor"), Some("xterm")), Colors::None);
        assert_eq!(auto(None, None, Some("dumb")), Colors::None);
        assert_eq!(auto(None, None, Some("linux")), Colors::Ansi16);
        assert_eq!(auto(None, None, None), Colors::Ansi16);
        assert_eq!(said(Some("1"), None, None).depth(Colors::Ansi256), Colors::Ansi256);
    }

    #[test]
    fn nearest_in_the_palette() {
        assert_eq!(nearest_256(0, 0, 0), Color::Indexed(16));
        assert_eq!(nearest_256(255, 255, 255), Color::Indexed(231));
        assert_eq!(nearest_256(255, 0, 0), Color::Indexed(196));
        assert_eq!(nearest_256(0x15, 0x17, 0x1e), Color::Indexed(234));
        assert_eq!(hex("#15171e"), Some((0x15, 0x17, 0x1e)));
        for wrong in ["15171e", "#15171", "#15171g", "#1é171", ""] {
            assert_eq!(hex(wrong), None, "{wrong}");
        }
    }
}
