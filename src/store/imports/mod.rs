//! Targets of other tools: kftray's JSON, krelay's targets file, lines of `service:namespace:local:remote`, and
//! commands of `kubectl port-forward`. Each is told from the others by what it looks like.

mod kftray;
mod line;
mod shell;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use super::exchange::{decoded, is_config};
use super::{config, guard, limited};
use brow_model::event::StoreEvent;
use brow_model::fault::{Fault, What};
use brow_model::offer::{LeftOut, LeftOutReason, Offer};
use brow_model::sanitize;
use brow_model::workload::Destination;

/// No file of targets is larger, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// The targets in a text of another tool.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parsed {
    /// Targets.
    pub offers: Vec<Offer>,
    /// Entries that cannot be imported, with the reasons.
    pub left_out: Vec<LeftOut>,
}

/// Returns a service's port of UDP: its name, which a proxy pod resolves. Pods themselves are not reached by UDP.
///
/// # Errors
/// [`LeftOutReason::Udp`] if it is no service of a known namespace, or its port is no number.
fn udp_service(kind: &str, name: &str, namespace: Option<&str>, port: &str) -> Result<Destination, LeftOutReason> {
    let namespace = namespace.filter(|_| ["service", "services", "svc"].contains(&kind)).ok_or(LeftOutReason::Udp)?;
    format!("{name}.{namespace}.svc:{port}/udp").parse().map(Destination::Address).map_err(|_| LeftOutReason::Udp)
}

impl Parsed {
    fn leave_out(&mut self, what: impl Into<String>, reason: LeftOutReason) {
        self.left_out.push(LeftOut { what: sanitize::line(&what.into()).into_owned(), reason });
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

/// The local address and port of an entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Local {
    /// An address of this machine alone, other than the one that is taken anyway.
    kept: Option<IpAddr>,
    /// The reason why the address is not taken over.
    left: Option<LeftOutReason>,
}

impl Local {
    /// Reads a list of addresses, separated by commas. The first on loopback is kept.
    fn of(list: &str) -> Self {
        let mut local = Self::default();
        let mut some = false;
        for word in list.split(',').map(|word| word.trim().trim_matches(['[', ']'])).filter(|word| !word.is_empty()) {
            let ip = if word.eq_ignore_ascii_case("localhost") { Ok(Ipv4Addr::LOCALHOST.into()) } else { word.parse() };
            match ip {
                Ok(ip) if IpAddr::is_loopback(&ip) && !some => {
                    some = true;
                    local.kept = Some(ip).filter(|ip| *ip != Ipv4Addr::LOCALHOST);
                }
                // `localhost,::1` is what is listened on anyway.
                Ok(ip) if local.kept.is_none() && ip == Ipv6Addr::LOCALHOST => {}
                Ok(ip) if ip.is_loopback() => local.left = local.left.or(Some(LeftOutReason::Several)),
                Ok(_) | Err(_) => local.left = Some(LeftOutReason::Beyond),
            }
        }
        local
    }

    /// Tells what of it is not taken over, and what a Mac needs for the rest.
    fn tell(&self, name: &str, parsed: &mut Parsed) {
        if let Some(why) = self.left {
            parsed.leave_out(name, why);
        }
        if let Some(order) = self.alias(cfg!(target_os = "macos")) {
            parsed.leave_out(format!("{name}: {order}"), LeftOutReason::Alias);
        }
    }

    /// The order that gives a Mac an address: it has 127.0.0.1 alone, where Linux has all of 127.0.0.0/8.
    fn alias(&self, mac: bool) -> Option<String> {
        self.kept.filter(|ip| mac && ip.is_ipv4()).map(|ip| format!("sudo ifconfig lo0 alias {ip}"))
    }
}
