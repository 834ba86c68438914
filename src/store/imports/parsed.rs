//! The targets that are found in a text, whatever its form.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use brow_model::offer::{LeftOut, LeftOutReason, Offer};
use brow_model::sanitize;
use brow_model::workload::Destination;

/// The targets in a text of another tool.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parsed {
    /// Targets.
    pub offers: Vec<Offer>,
    /// Entries that cannot be imported, with the reasons.
    pub left_out: Vec<LeftOut>,
}

impl Parsed {
    pub(super) fn leave_out(&mut self, what: impl Into<String>, reason: LeftOutReason) {
        self.left_out.push(LeftOut { what: sanitize::line(&what.into()).into_owned(), reason });
    }
}

/// Returns a service's port of UDP: its name, which a proxy pod resolves. Pods themselves are not reached by UDP.
///
/// # Errors
/// [`LeftOutReason::Udp`] if it is no service of a known namespace, or its port is no number.
pub(super) fn udp_service(
    kind: &str,
    name: &str,
    namespace: Option<&str>,
    port: &str,
) -> Result<Destination, LeftOutReason> {
    let namespace = namespace.filter(|_| ["service", "services", "svc"].contains(&kind)).ok_or(LeftOutReason::Udp)?;
    format!("{name}.{namespace}.svc:{port}/udp").parse().map(Destination::Address).map_err(|_| LeftOutReason::Udp)
}

/// The local address and port of an entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Local {
    /// An address of this machine alone, other than the one that is taken anyway.
    pub kept: Option<IpAddr>,
    /// The reason why the address is not taken over.
    pub left: Option<LeftOutReason>,
}

impl Local {
    /// Reads a list of addresses, separated by commas. The first on loopback is kept.
    pub(super) fn of(list: &str) -> Self {
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
    pub(super) fn tell(&self, name: &str, parsed: &mut Parsed) {
        if let Some(why) = self.left {
            parsed.leave_out(name, why);
        }
        if let Some(order) = self.alias(cfg!(target_os = "macos")) {
            parsed.leave_out(format!("{name}: {order}"), LeftOutReason::Alias);
        }
    }

    /// The order that gives a Mac an address: it has 127.0.0.1 alone, where Linux has all of 127.0.0.0/8.
    pub(super) fn alias(&self, mac: bool) -> Option<String> {
        self.kept.filter(|ip| mac && ip.is_ipv4()).map(|ip| format!("sudo ifconfig lo0 alias {ip}"))
    }
}
