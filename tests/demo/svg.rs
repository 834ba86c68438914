//! Screens as pictures: a still one, or several as an animation.

use std::collections::HashMap;
use std::fmt::Write as _;

/// The size of a cell and of the title bar, in pixels.
const CELL: (f64, f64) = (8.4, 16.0);
const BAR: f64 = 30.0;
const FONT: &str = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Noto Sans Mono CJK SC',monospace";
/// The colors of a terminal that the program does not set.
const FRONT: &str = "#d8dee9";
const BACK: &str = "#14161b";
const SIXTEEN: [&str; 16] = [
    "#2b2f38", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#abb2bf", "#5c6370", "#ef7b85",
    "#a9d38b", "#f0cf8b", "#7fc0ff", "#d68aec", "#6bd0dc", "#ffffff",
];

/// A screen that stands for some seconds.
pub struct Frame {
    pub caption: String,
    pub rows: Vec<String>,
    pub seconds: f64,
}

impl Frame {
    pub fn of(screen: &vt100::Screen, caption: &str) -> Self {
        let (rows, columns) = screen.size();
        let rows = (0..rows).map(|row| drawn(screen, row, columns)).collect();
        Self { caption: caption.to_owned(), rows, seconds: 0.0 }
    }
}

/// The look of a run of characters.
#[derive(PartialEq, Clone)]
struct Look {
    front: String,
    back: String,
    bold: bool,
    dim: bool,
    line: bool,
}

fn color(color: vt100::Color, default: &str) -> String {
    match color {
        vt100::Color::Default => default.to_owned(),
        vt100::Color::Idx(index) if index < 16 => SIXTEEN[usize::from(index)].to_owned(),
        vt100::Color::Idx(index) if index < 232 => {
            let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let at = index - 16;
            format!("#{:02x}{:02x}{:02x}", level(at / 36), level(at / 6 % 6), level(at % 6))
        }
        vt100::Color::Idx(index) => {
            let level = 8 + 10 * (index - 232);
            format!("#{level:02x}{level:02x}{level:02x}")
        }
        vt100::Color::Rgb(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
    }
}

fn look(cell: &vt100::Cell) -> Look {
    let (mut front, mut back) = (color(cell.fgcolor(), FRONT), color(cell.bgcolor(), BACK));
    if cell.inverse() {
        std::mem::swap(&mut front, &mut back);
    }
    Look { front, back, bold: cell.bold(), dim: cell.dim(), line: cell.underline() }
}

/// Returns a row as elements of SVG, at the top left.
fn drawn(screen: &vt100::Screen, row: u16, columns: u16) -> String {
    let mut runs: Vec<(u16, u16, String, Look)> = Vec::new();
    for column in 0..columns {
        let Some(cell) = screen.cell(row, column).filter(|cell| !cell.is_wide_continuation()) else { continue };
        let (look, wide) = (look(cell), cell.is_wide());
        let text = if cell.has_contents() { cell.contents() } else { " " };
        match runs.last_mut() {
            Some((_, width, run, last)) if *last == look && !wide && !run.chars().any(|c| c > '\u{2fff}') => {
                run.push_str(text);
                *width += 1;
            }
            _ => runs.push((column, 1 + u16::from(wide), text.to_owned(), look)),
        }
    }
    let mut drawn = String::new();
    for (column, width, text, look) in &runs {
        let (x, wide) = (f64::from(*column) * CELL.0, f64::from(*width) * CELL.0);
        if look.back != BACK {
            let back = &look.back;
            write!(drawn, r#"<rect x="{x:.1}" width="{wide:.1}" height="{}" fill="{back}"/>"#, CELL.1).unwrap();
        }
        if text.trim().is_empty() {
            continue;
        }
        let more = [(look.bold, " font-weight=\"bold\""), (look.dim, " opacity=\"0.6\"")];
        let more: String = more.iter().filter(|(has, _)| *has).map(|(_, more)| *more).collect();
        let line = if look.line { " text-decoration=\"underline\"" } else { "" };
        let (front, text) = (&look.front, escaped(text));
        write!(
            drawn,
            r#"<text x="{x:.1}" y="12" textLength="{wide:.1}" lengthAdjust="spacingAndGlyphs" fill="{front}"{more}{line}>{text}</text>"#
        )
        .unwrap();
    }
    drawn
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Returns a picture of the frames, which bears a mark; a single frame stands still.
pub fn picture(frames: &[Frame], columns: u16, mark: &str) -> String {
    let rows = frames.iter().map(|frame| frame.rows.len()).max().unwrap_or_default();
    let (width, height) = (f64::from(columns) * CELL.0 + 16.0, f64::from(u32::try_from(rows).unwrap()) * CELL.1);
    let (mut defs, mut film) = (String::new(), String::new());
    let mut known: HashMap<&str, usize> = HashMap::new();
    let (mut steps, mut at) = (String::new(), 0.0);
    let total: f64 = frames.iter().map(|frame| frame.seconds).sum();
    for (number, frame) in frames.iter().enumerate() {
        let top = (height + BAR) * f64::from(u32::try_from(number).unwrap());
        write!(steps, "{:.3}%{{transform:translateY(-{top:.1}px)}}", 100.0 * at / total.max(0.1)).unwrap();
        at += frame.seconds;
        let caption = escaped(&frame.caption);
        write!(film, r#"<text class="c" x="{:.1}" y="{:.1}">{caption}</text>"#, width / 2.0, top + 20.0).unwrap();
        for (row, line) in frame.rows.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
            let next = known.len();
            let id = *known.entry(line).or_insert_with(|| {
                write!(defs, r#"<g id="l{next}">{line}</g>"#).unwrap();
                next
            });
            let y = top + BAR + CELL.1 * f64::from(u32::try_from(row).unwrap());
            write!(film, r##"<use href="#l{id}" x="8" y="{y:.1}"/>"##).unwrap();
        }
    }
    let last = (height + BAR) * f64::from(u32::try_from(frames.len().saturating_sub(1)).unwrap());
    let play = if frames.len() > 1 {
        format!(
            "@keyframes play{{{steps}}}.f{{animation:play {total:.1}s steps(1,end) infinite}}\
             @media(prefers-reduced-motion:reduce){{.f{{animation:none;transform:translateY(-{last:.1}px)}}}}"
        )
    } else {
        String::new()
    };
    let full = height + BAR + 8.0;
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" xml:space="preserve" viewBox="0 0 {width:.0} {full:.0}" width="{width:.0}" height="{full:.0}">
<!-- made by assets/demo/record; script {mark} -->
<style>text{{font:14px {FONT};white-space:pre}}.c{{fill:#9aa5b5;text-anchor:middle}}{play}</style>
<rect width="{width:.0}" height="{full:.0}" rx="8" fill="{BACK}"/>
<defs>{defs}</defs><svg width="{width:.0}" height="{:.0}"><g class="f">{film}</g></svg>
<circle cx="16" cy="15" r="5" fill="#e06c75"/><circle cx="34" cy="15" r="5" fill="#e5c07b"/><circle cx="52" cy="15" r="5" fill="#98c379"/>
</svg>
"##,
        height + BAR
    )
}
