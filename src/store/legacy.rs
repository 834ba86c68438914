//! The older `brow` tool's `config.json`: `{"name": {"env": context, "ip", "local_port", "remote_port",
//! "service_name", "ttl"}}`. It is only read.

use std::path::Path;

use serde_json::{Map, Value};

use brow_model::address::{Address, Host, Transport, is_url};
use brow_model::event::StoreEvent;
use brow_model::fault::{Fault, What};
use brow_model::forward_settings::ForwardSettings;
use brow_model::offer::check;
use brow_model::sanitize::is_line;
use brow_model::settings::PodSettings;
use brow_model::target::Target;
use brow_model::ttl::Ttl;
use brow_model::workload::Destination;

use super::disk;
use super::exchange::Offer;

/// The offer to take the older tool's targets over; `None` where it has none.
///
/// # Errors
/// [`What::FileUnreadable`]; [`What::ConfigBroken`] with line and column for a file that is no JSON object.
pub fn offer(path: &Path) -> Result<Option<StoreEvent>, Fault> {
    let Some(text) = disk::read(path)? else { return Ok(None) };
    let Offer { targets, left_out, .. } = read(path, &text)?;
    if targets.is_empty() && left_out.is_empty() {
        return Ok(None);
    }
    Ok(Some(StoreEvent::Legacy { path: path.display().to_string(), targets, left_out }))
}

/// The targets in a file of the older tool.
///
/// # Errors
/// [`What::ConfigBroken`] with line and column for a text that is no JSON object.
pub fn read(path: &Path, text: &str) -> Result<Offer, Fault> {
    let entries: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
        let place = format!("{}:{}:{}", path.display(), error.line(), error.column());
        Fault::new(What::ConfigBroken, place, error.to_string())
    })?;
    let mut offer = Offer::default();
    for (name, entry) in &entries {
        match target(name, entry) {
            Ok(target) => offer.targets.push(target),
            Err(why) => offer.left_out.push(format!("{}: {why}", name.escape_debug())),
        }
    }
    Ok(offer)
}

fn target(name: &str, entry: &Value) -> Result<Target, String> {
    let trimmed = name.trim();
    if trimmed.is_empty() || !is_line(trimmed) {
        return Err("the name is empty or contains invisible characters".to_owned());
    }
    let entry = entry.as_object().ok_or("not an object")?;
    let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let cluster = text("env").ok_or("`env` (the context) is missing")?;
    let ip = text("ip").ok_or("`ip` is missing")?;
    // JSON writes a bare IPv6 address; ours takes it in brackets.
    let host = ip
        .parse()
        .map(Host::V6)
        .or_else(|_| ip.parse())
        .map_err(|error| format!("`ip` {}: {error}", if is_url(ip) { "" } else { ip }))?;
    let port = port(entry, "remote_port")?.ok_or("`remote_port` is missing")?;
    // The service name is how people of the older tool know the thing: they find it by its tag.
    let tags = text("service_name").filter(|service| *service != trimmed).map(str::to_owned);
    let target = Target {
        name: trimmed.to_owned(),
        cluster: cluster.to_owned(),
        namespace: None,
        address: Destination::Address(Address { host, port, transport: Transport::Tcp }),
        local_port: self::port(entry, "local_port")?.unwrap_or_default(),
        ttl: ttl(entry)?,
        tags: tags.into_iter().collect(),
        pod: PodSettings::default(),
        forward: ForwardSettings::default(),
    };
    check(&target).map_err(|_| "the name or `env` (the context) is invalid".to_owned())?;
    Ok(target)
}

/// A number or the text of one; absent, `null`, empty and 0 all mean none.
fn number(value: Option<&Value>) -> Result<Option<u64>, ()> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => number.as_u64().map(Some).ok_or(()),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) => text.trim().parse().map(Some).map_err(|_| ()),
        Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => Err(()),
    }
}

fn port(entry: &Map<String, Value>, key: &str) -> Result<Option<u16>, String> {
    let wrong = || format!("`{key}` is not a port: {}", entry.get(key).unwrap_or(&Value::Null));
    let number = number(entry.get(key)).map_err(|()| wrong())?.filter(|number| *number != 0);
    number.map(|number| u16::try_from(number).map_err(|_| wrong())).transpose()
}

/// A TTL: text such as `30m`, or seconds.
fn ttl(entry: &Map<String, Value>) -> Result<Option<Ttl>, String> {
    let value = entry.get("ttl");
    let wrong = |why: &str| format!("`ttl` {}: {why}", value.unwrap_or(&Value::Null));
    match number(value) {
        Ok(None | Some(0)) => Ok(None),
        Ok(Some(secs)) => Ttl::from_secs(secs).map(Some).ok_or_else(|| wrong("too long")),
        Err(()) => {
            let text = value.and_then(Value::as_str).ok_or_else(|| wrong("not a time"))?;
            text.parse().map(Some).map_err(|error| wrong(&format!("{error}")))
        }
    }
}
