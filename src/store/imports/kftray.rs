//! kftray's JSON: one object or a list of them, as its export writes it. `workload_type` is `service`, `pod` (`target`
//! is a label selector) or `proxy` (`remote_address` is what only the cluster reaches).

use serde::Deserialize;
use serde_json::Value;

use super::parsed::{Local, Parsed, udp_service};
use brow_model::address::{Address, Host, Transport};
use brow_model::forward_settings::ForwardSettings;
use brow_model::offer::{LeftOutReason, Offer, check};
use brow_model::settings::PodSettings;
use brow_model::target::Target;
use brow_model::workload::{Destination, Workload};

/// One entry; other keys are about kftray itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    alias: Option<String>,
    context: Option<String>,
    namespace: Option<String>,
    service: Option<String>,
    target: Option<String>,
    workload_type: Option<String>,
    protocol: Option<String>,
    remote_address: Option<String>,
    local_address: Option<String>,
    local_port: Option<i64>,
    remote_port: Option<i64>,
}

pub fn read(text: &str, cluster: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let entries = match serde_json::from_str(text) {
        Ok(Value::Array(entries)) => entries,
        Ok(entry) => vec![entry],
        Err(error) => {
            parsed.leave_out(format!("{}:{}", error.line(), error.column()), LeftOutReason::Json);
            return parsed;
        }
    };
    for (at, entry) in entries.into_iter().enumerate() {
        let Ok(entry) = serde_json::from_value::<Entry>(entry) else {
            parsed.leave_out(format!("#{}", at + 1), LeftOutReason::Form);
            continue;
        };
        let name = entry.name().unwrap_or_else(|| format!("#{}", at + 1));
        let target = entry.target(&name, cluster).and_then(|target| check(&target).map(|()| target));
        match target {
            Ok(target) => {
                entry.local().tell(&name, &mut parsed);
                parsed.offers.push(Offer::named(target));
            }
            Err(why) => parsed.leave_out(name, why),
        }
    }
    parsed
}

/// A text with something in it.
fn some(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).map(str::trim).filter(|text| !text.is_empty())
}

impl Entry {
    /// The alias, else the name of the workload or address.
    fn name(&self) -> Option<String> {
        let place = some(self.service.as_ref()).or(some(self.target.as_ref())).or(some(self.remote_address.as_ref()));
        some(self.alias.as_ref()).map(str::to_owned).or_else(|| match (place, some(self.namespace.as_ref())) {
            (Some(place), Some(namespace)) => Some(format!("{place}.{namespace}")),
            (place, _) => place.map(str::to_owned),
        })
    }

    /// The local address and port.
    fn local(&self) -> Local {
        Local::of(self.local_address.as_deref().unwrap_or_default())
    }

    fn target(&self, name: &str, cluster: &str) -> Result<Target, LeftOutReason> {
        let udp = some(self.protocol.as_ref()).is_some_and(|protocol| protocol.eq_ignore_ascii_case("udp"));
        let port = |port: Option<i64>| u16::try_from(port.unwrap_or_default()).map_err(|_| LeftOutReason::Port);
        let (local_port, remote) = (port(self.local_port)?, port(self.remote_port)?);
        if remote == 0 {
            return Err(LeftOutReason::Port);
        }
        let address = match some(self.workload_type.as_ref()).unwrap_or("service") {
            "service" if udp => {
                let service = some(self.service.as_ref()).ok_or(LeftOutReason::Name)?;
                udp_service("service", service, some(self.namespace.as_ref()), &remote.to_string())?
            }
            "pod" if udp => return Err(LeftOutReason::Udp),
            "service" => workload("service", some(self.service.as_ref()).ok_or(LeftOutReason::Name)?, remote)?,
            "pod" => workload("selector", some(self.target.as_ref()).ok_or(LeftOutReason::Name)?, remote)?,
            "proxy" => {
                let host =
                    some(self.remote_address.as_ref()).or(some(self.service.as_ref())).ok_or(LeftOutReason::Name)?;
                // JSON writes an IPv6 address bare.
                let host = host.parse().map(Host::V6).or_else(|_| host.parse()).map_err(|_| LeftOutReason::Name)?;
                let transport = if udp { Transport::Udp } else { Transport::Tcp };
                Destination::Address(Address { host, port: remote, transport })
            }
            _ => return Err(LeftOutReason::Kind),
        };
        Ok(Target {
            name: name.to_owned(),
            cluster: some(self.context.as_ref())
                .or(Some(cluster).filter(|name| !name.is_empty()))
                .ok_or(LeftOutReason::Context)?
                .to_owned(),
            namespace: some(self.namespace.as_ref()).map(str::to_owned),
            address,
            local_port,
            ttl: None,
            tags: Vec::new(),
            pod: PodSettings::default(),
            forward: ForwardSettings { local_address: self.local().kept, ..ForwardSettings::default() },
        })
    }
}

fn workload(kind: &str, name: &str, port: u16) -> Result<Destination, LeftOutReason> {
    let workload: Workload = format!("{kind}/{name}:{port}").parse().map_err(|_| LeftOutReason::Name)?;
    Ok(Destination::Workload(workload))
}
