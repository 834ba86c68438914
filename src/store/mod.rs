//! Config, state, audit log, imports; one writer.
#![expect(clippy::disallowed_methods, reason = "files and the environment are what this room is for")]

mod audit;
mod config;
mod disk;
mod exchange;
mod guard;
mod imports;
mod installation;
mod ledger;
mod legacy;
pub mod limited;
mod paths;
mod prometheus;
mod state;
#[cfg(test)]
mod tests;
mod watch;
mod worker;
mod writer;

pub use audit::AuditLog;
pub use disk::make_dir;
pub use exchange::{Contents, Offer, targets_as_json, targets_as_toml, targets_in, text_in};
pub use guard::guard;
pub use imports::Parsed;
pub use installation::{installation, throwaway};
pub use ledger::PodLedger;
pub use paths::Paths;
pub use watch::Watch;
pub use writer::{Store, start};

use std::collections::BTreeMap;

use brow_model::address::UrlPart;
use brow_model::event::Loaded;
use brow_model::fault::{Fault, What};
use brow_model::settings::Settings;
use brow_model::ttl::{Ttl, TtlError};

/// The environment variable with the TTL that comes before the config's default.
const TTL_VARIABLE: &str = "BROW_DEFAULT_TTL";

/// Reads the config and what is remembered: for the first frame, before [`start`]. A missing config is an empty one.
///
/// # Errors
/// [`What::ConfigBroken`] with file, line, column and key; [`What::FileUnreadable`].
pub fn load(paths: &Paths) -> Result<Loaded, Fault> {
    interpret(paths, disk::read(&paths.config)?.as_deref())
}

/// The config that `text` is, with what is remembered; `None`: there is no file.
fn interpret(paths: &Paths, text: Option<&str>) -> Result<Loaded, Fault> {
    let mut config = config::read(&paths.config, text.unwrap_or_default())?;
    let wanted = std::env::var_os(TTL_VARIABLE).map(|value| value.to_string_lossy().into_owned());
    let ignored = apply_ttl(&mut config.settings, wanted.as_deref()).err();
    // Forgotten ports are no reason not to start; a state that cannot be written is told when it is written.
    let state = state::load(&paths.state_dir).unwrap_or_default();
    if let Some(chosen) = state.theme.filter(|chosen| chosen.instead_of == config.settings.theme) {
        config.settings.theme = chosen.name;
    }
    let renamed = state.renamed.into_iter().map(|earlier| ((earlier.cluster, earlier.label), earlier.name)).collect();
    let of = |(cluster, spaces): (String, BTreeMap<String, _>)| {
        spaces.into_iter().map(move |(namespace, result)| ((cluster.clone(), namespace), result))
    };
    let is_login = |parts: &[UrlPart]| parts.contains(&UrlPart::User) || parts.contains(&UrlPart::Password);
    let logins = config.urls.into_iter().filter(|(_, parts)| is_login(parts)).map(|(name, _)| name);
    Ok(Loaded {
        logins: logins.collect(),
        settings: config.settings,
        targets: config.targets,
        ports: state.ports.into_iter().collect(),
        renamed,
        pods_until: state.pods_until,
        pod_proxies: state.pod_proxies.into_iter().flat_map(of).collect(),
        own: state.pods.into_values().filter_map(|made| made.uid).collect(),
        prometheus: state.prometheus.into_iter().filter_map(|(cluster, kept)| Some((cluster, kept.found()?))).collect(),
        learned: state.learned,
        path: paths.config.display().to_string(),
        exists: text.is_some(),
        ignored,
    })
}

/// Puts the variable's TTL before the config's. One that makes no sense changes nothing: a slip in the environment
/// must not take the targets away.
fn apply_ttl(settings: &mut Settings, wanted: Option<&str>) -> Result<(), Fault> {
    let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else { return Ok(()) };
    let broken =
        |why: String| Fault::new(What::VariableBroken, TTL_VARIABLE, format!("\"{}\": {why}", wanted.escape_debug()));
    let ttl: Ttl = wanted.parse().map_err(|error: TtlError| broken(error.to_string()))?;
    if ttl > settings.max_ttl {
        return Err(broken(format!("above max_ttl, which is {}", settings.max_ttl)));
    }
    settings.ttl = ttl;
    Ok(())
}
