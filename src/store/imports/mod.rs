//! Targets of other tools: kftray's JSON, krelay's targets file, lines of `service:namespace:local:remote`, and
//! commands of `kubectl port-forward`. Each is told from the others by what it looks like.

mod kftray;
mod line;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::disk;
use crate::model::event::StoreEvent;
use crate::model::fault::{Fault, What};
use crate::model::offer::{LeftOut, Offer, Why};
use crate::plain;

/// No file of targets is larger, in bytes.
const LARGEST: u64 = 16 << 20;

/// What a text holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Holds {
    /// Targets.
    pub offers: Vec<Offer>,
    /// What cannot be taken over.
    pub left_out: Vec<LeftOut>,
}

impl Holds {
    fn leave_out(&mut self, what: impl Into<String>, why: Why) {
        self.left_out.push(LeftOut { what: plain::line(&what.into()).into_owned(), why });
    }
}

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
    let Holds { offers, left_out } = holds(&text, cluster);
    Ok(StoreEvent::Offers { from, offers, left_out })
}

/// The text of a file; `None` where there is none of that name.
fn contents(path: &Path) -> Result<Option<String>, Fault> {
    let unreadable = |words: String| Fault::new(What::FileUnreadable, path.display().to_string(), words);
    match fs::metadata(path) {
        // Some are no files though they have names, and some of these have no end.
        Ok(file) if !file.is_file() => Err(unreadable("it is no file".to_owned())),
        Ok(file) if file.len() > LARGEST => Err(unreadable(format!("it is larger than {} MB", LARGEST >> 20))),
        Ok(_) => disk::read(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

/// What a text holds, whatever its form.
pub fn holds(text: &str, cluster: &str) -> Holds {
    if text.trim_start().starts_with(['[', '{']) { kftray::read(text, cluster) } else { line::read(text, cluster) }
}

/// Whether a line can only be a file's name: nothing else begins so, or is one word without a colon.
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

/// Whether an address to listen on is this machine alone, as far as its words say.
fn is_loopback(address: &str) -> bool {
    let ip = address.trim().parse::<std::net::IpAddr>();
    address.trim().is_empty() || address.trim() == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}
