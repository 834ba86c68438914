//! Targets of other tools: kftray's JSON, krelay's targets file, lines of `service:namespace:local:remote`, and
//! commands of `kubectl port-forward`. Each is told from the others by what it looks like.

mod kftray;
mod line;
mod parsed;
mod shell;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::exchange::{decoded, is_config};
use super::{config, guard, limited};
use brow_model::event::StoreEvent;
use brow_model::fault::{Fault, What};
use brow_model::offer::{LeftOutReason, Offer};
pub use parsed::Parsed;

/// No file of targets is larger, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// Looks for targets in a text or, where it names a file, in that. `cluster` is the context for what names none.
///
/// # Errors
/// [`What::FileUnreadable`] for what looks like a path and is no file that can be read.
pub fn read(text: &str, cluster: &str) -> Result<StoreEvent, Fault> {
    let one_line = !text.trim().contains('\n');
    let path = expanded(text.trim());
    let (from, text) = match contents(&path) {
        Ok(Some(inside)) if one_line => (path.display().to_string(), inside),
        Err(fault) if one_line && is_path(text) => return Err(fault),
        Ok(None) if one_line && is_path(text) => {
            return Err(Fault::new(What::FileUnreadable, path.display().to_string(), "there is no such file"));
        }
        Ok(_) | Err(_) => (String::new(), text.to_owned()),
    };
    let Parsed { offers, left_out } =
        if is_config(&text) { ours(Path::new(&from), &text)? } else { parse(&text, cluster) };
    Ok(StoreEvent::Offers { from, offers, left_out })
}

/// The text of a file; `None` where there is none of that name.
fn contents(path: &Path) -> Result<Option<String>, Fault> {
    let unreadable = |words: String| Fault::new(What::FileUnreadable, path.display().to_string(), words);
    match fs::metadata(path) {
        // Some are no files though they have names, and some of these have no end.
        Ok(file) if !file.is_file() => Err(unreadable("it is not a file".to_owned())),
        Ok(file) if file.len() > MAX_FILE => Err(unreadable(format!("it is larger than {} MB", MAX_FILE >> 20))),
        Ok(_) => {
            let bytes = limited::read(path).map_err(|error| unreadable(error.to_string()))?;
            decoded(path, bytes).map(Some)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

/// The targets in TOML as the config has them, without their guarded keys.
fn ours(path: &Path, text: &str) -> Result<Parsed, Fault> {
    let mut parsed = Parsed::default();
    let config = config::read(path, text)?;
    for (name, _) in config.urls {
        parsed.leave_out(name, LeftOutReason::Url);
    }
    for mut target in config.targets {
        for key in guard::guard(&mut target, None) {
            parsed.leave_out(format!("{}: {key}", target.name), LeftOutReason::Guarded);
        }
        parsed.offers.push(Offer::named(target));
    }
    Ok(parsed)
}

/// Reads a text in any of the forms.
pub fn parse(text: &str, cluster: &str) -> Parsed {
    // A byte order mark that came with a paste.
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with(['[', '{']) { kftray::read(text, cluster) } else { line::read(text, cluster) }
}

/// Returns true if a line can only be the name of a file: nothing else begins so, or is one word without a colon.
fn is_path(line: &str) -> bool {
    let line = line.trim();
    line.starts_with(['/', '~', '.']) || !line.contains([' ', ':', '{', '['])
}

/// A path whose `~` is the home.
fn expanded(path: &str) -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}
