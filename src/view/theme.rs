//! Colors by role. Panes and dialogs name roles, never colors.

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

use super::color::{hex, named, nearest_256};
use brow_model::fault::{Fault, What};
use brow_model::page::Tone;
use brow_model::settings::{Colors, THEMES};

/// The style of each role on this terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    /// The whole screen, before anything is drawn.
    pub base: Style,
    /// Primary text.
    pub text: Style,
    /// Secondary columns, labels.
    pub dim: Style,
    /// Borders and empty things.
    pub faint: Style,
    /// The focused pane's frame and title, keys.
    pub accent: Style,
    /// Something works.
    pub good: Style,
    /// Something is under way.
    pub info: Style,
    /// Needs attention.
    pub warn: Style,
    /// Something failed, or is about to end.
    pub bad: Style,
    /// Marked rows.
    pub mark: Style,
    /// The selected row of the focused pane, laid over its cells.
    pub selection: Style,
    /// The empty part of a bar.
    pub track: Style,
    /// False on terminals without colors, where shapes replace them.
    pub colored: bool,
}

/// A theme's file: the same roles, as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Palette {
    background: Paint,
    text: Paint,
    dim: Paint,
    faint: Paint,
    accent: Paint,
    good: Paint,
    info: Paint,
    warn: Paint,
    bad: Paint,
    mark: Paint,
    track: Paint,
    selection: Paint,
}

/// One role's color: one of the terminal's own, or 24 bits and the terminal's own to fall back to.
#[derive(Deserialize)]
#[serde(untagged)]
enum Paint {
    Own(String),
    Both([String; 2]),
}

impl Theme {
    /// The themes that come with the program.
    pub const NAMES: [&str; 4] = THEMES;

    /// A theme that comes with the program, for a terminal with so many colors. [`Colors::Auto`] stands for 16 here:
    /// what the environment says is found out [before](super::ColorEnv::depth).
    ///
    /// # Errors
    /// No theme has this name; the fault is about the config's key `theme`.
    pub fn named(name: &str, colors: Colors) -> Result<Self, Fault> {
        let source = match name {
            "dark" => include_str!("../../assets/themes/dark.toml"),
            "light" => include_str!("../../assets/themes/light.toml"),
            "high-contrast" => include_str!("../../assets/themes/high-contrast.toml"),
            "terminal" => include_str!("../../assets/themes/terminal.toml"),
            _ => {
                let words = format!("no theme {name:?}; there are {}", Self::NAMES.join(", "));
                return Err(Fault::new(What::ConfigBroken, "theme", words));
            }
        };
        let broken = |why: String| Fault::new(What::ConfigBroken, name, why);
        let palette: Palette = toml::from_str(source).map_err(|e| broken(e.to_string()))?;
        Self::made_of(&palette, colors).map_err(|color| broken(format!("no color {color:?}")))
    }

    fn made_of(palette: &Palette, colors: Colors) -> Result<Self, String> {
        if colors == Colors::None {
            return Ok(Self::plain());
        }
        let fg = |paint: &Paint| Ok::<_, String>(Style::new().fg(paint.on(colors)?));
        let background = palette.background.on(colors)?;
        let selection = palette.selection.on(colors)?;
        let track = palette.track.on(colors)?;
        Ok(Self {
            base: Style::new().fg(palette.text.on(colors)?).bg(background),
            text: fg(&palette.text)?,
            // A color that is the terminal's own default would be that of what matters.
            dim: match palette.dim.on(colors)? {
                Color::Reset => Style::new().add_modifier(Modifier::DIM),
                color => Style::new().fg(color),
            },
            faint: fg(&palette.faint)?,
            accent: fg(&palette.accent)?,
            good: fg(&palette.good)?,
            info: fg(&palette.info)?,
            warn: fg(&palette.warn)?,
            bad: fg(&palette.bad)?,
            mark: fg(&palette.mark)?,
            // A color that is the terminal's own default would not show: the row is turned round instead.
            selection: match selection {
                Color::Reset => Style::new().add_modifier(Modifier::REVERSED),
                color => Style::new().bg(color),
            },
            track: Style::new().fg(track),
            colored: true,
        })
    }

    /// No colors: bold, dim and reverse only.
    pub fn plain() -> Self {
        let plain = Style::new();
        let (bold, dim) = (plain.add_modifier(Modifier::BOLD), plain.add_modifier(Modifier::DIM));
        Self {
            base: plain,
            text: plain,
            dim,
            faint: dim,
            accent: bold,
            good: plain,
            info: plain,
            warn: bold,
            bad: bold,
            mark: bold,
            selection: plain.add_modifier(Modifier::REVERSED),
            track: dim,
            colored: false,
        }
    }

    /// The style of a tone.
    pub(super) fn tone(&self, tone: Tone) -> Style {
        match tone {
            Tone::Plain => self.text,
            Tone::Good => self.good,
            Tone::Warn => self.warn,
            Tone::Bad => self.bad,
            Tone::Dim => self.dim,
        }
    }
}

impl Paint {
    /// The color on a terminal with so many colors; the error is the text that is no color.
    fn on(&self, colors: Colors) -> Result<Color, String> {
        let own = |name: &String| named(name).ok_or_else(|| name.clone());
        match (self, colors) {
            (Self::Both([rgb, _]), Colors::Truecolor | Colors::Ansi256) => {
                let (red, green, blue) = hex(rgb).ok_or_else(|| rgb.clone())?;
                Ok(if colors == Colors::Truecolor {
                    Color::Rgb(red, green, blue)
                } else {
                    nearest_256(red, green, blue)
                })
            }
            (Self::Both([_, name]) | Self::Own(name), _) => own(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVELS: [Colors; 5] = [Colors::Auto, Colors::Truecolor, Colors::Ansi256, Colors::Ansi16, Colors::None];

    #[test]
    fn every_theme_works_on_every_terminal() {
        for name in Theme::NAMES {
            for colors in LEVELS {
                let theme = Theme::named(name, colors).unwrap();
                assert_eq!(theme.colored, colors != Colors::None, "{name}");
            }
        }
        let error = Theme::named("drak", Colors::Auto).unwrap_err();
        assert_eq!(error.detail, "no theme \"drak\"; there are dark, light, high-contrast, terminal");
    }

    #[test]
    fn fewer_colors_stay_within_their_palette() {
        let styles = |colors| {
            let t = Theme::named("dark", colors).unwrap();
            [t.base, t.text, t.dim, t.faint, t.accent, t.good, t.info, t.warn, t.bad, t.mark, t.selection, t.track]
        };
        let colors = |level| styles(level).into_iter().flat_map(|s| [s.fg, s.bg]).flatten();
        assert!(colors(Colors::Ansi256).all(|c| matches!(c, Color::Indexed(16..))));
        assert!(colors(Colors::Ansi16).all(|c| !matches!(c, Color::Indexed(_) | Color::Rgb(..))));
        assert_eq!(colors(Colors::None).count(), 0);
    }
}
