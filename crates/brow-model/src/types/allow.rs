//! The destinations that a proxy target lets its clients reach.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::types::address::{Address, Host};

/// Rules of which one has to match; without any, clients reach all that the pod reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList(pub Vec<AllowRule>);

/// One rule: hosts, and perhaps a port of theirs. It holds for TCP and UDP alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowRule {
    pub hosts: Hosts,
    /// `None`: every port.
    pub port: Option<u16>,
}

/// The hosts of a rule. A name is compared as the client writes it: what it resolves to is not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    All,
    Name(String),
    /// Every name that ends with a dot and this.
    Under(String),
    /// The addresses whose first bits are those of this one.
    Network(IpAddr, u8),
}

/// The error of a text that is no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "write a name, *.name, an IP address or 10.0.0.0/8, perhaps with a port, such as *.svc:443; IPv6 as [fd00::]/8"
)]
pub struct AllowError;

impl AllowList {
    /// Returns true if clients may reach an address.
    pub fn allows(&self, address: &Address) -> bool {
        self.0.is_empty() || self.0.iter().any(|rule| rule.matches(address))
    }
}

impl AllowRule {
    fn matches(&self, address: &Address) -> bool {
        self.port.is_none_or(|port| port == address.port) && self.hosts.contain(&address.host)
    }
}

impl Hosts {
    fn contain(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::All, _) => true,
            (Self::Network(network, bits), Host::V4(_) | Host::V6(_)) => {
                // An IPv4 address can be written as one of IPv6, and leads to the same host.
                host.ip().is_some_and(|ip| is_within(ip.to_canonical(), *network, *bits))
            }
            (Self::Name(name), Host::Name(other)) => bare(other) == name,
            (Self::Under(suffix), Host::Name(other)) => {
                bare(other).strip_suffix(suffix.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            (Self::Network(..), Host::Name(_)) | (Self::Name(_) | Self::Under(_), Host::V4(_) | Host::V6(_)) => false,
        }
    }
}

/// A name without the dot at its end, which only keeps the resolver from trying its own domains.
fn bare(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

fn is_within(ip: IpAddr, network: IpAddr, bits: u8) -> bool {
    let bits = u32::from(bits);
    match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            ip.to_bits() & mask == network.to_bits() & mask
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            ip.to_bits() & mask == network.to_bits() & mask
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

impl FromStr for AllowList {
    type Err = AllowError;

    fn from_str(text: &str) -> Result<Self, AllowError> {
        let rules = text.split([',', '，', ' ', '\t']).filter(|word| !word.is_empty());
        rules.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for AllowRule {
    type Err = AllowError;

    fn from_str(text: &str) -> Result<Self, AllowError> {
        // The last colon comes before a port, unless it is one of an IPv6 address.
        let (hosts, port) = match text.rsplit_once(':') {
            Some((hosts, port)) if !port.contains([']', '/']) => {
                let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
                let port = port.parse().ok().filter(|port| digits && *port != 0).ok_or(AllowError)?;
                (hosts, Some(port))
            }
            Some(_) | None => (text, None),
        };
        Ok(Self { hosts: hosts.parse()?, port })
    }
}

impl FromStr for Hosts {
    type Err = AllowError;

    fn from_str(text: &str) -> Result<Self, AllowError> {
        if text == "*" {
            return Ok(Self::All);
        }
        if let Some((ip, bits)) = text.split_once('/') {
            let ip = ip.parse::<Host>().ok().and_then(|host| host.ip()).ok_or(AllowError)?;
            let most = if ip.is_ipv4() { 32 } else { 128 };
            let digits = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
            let bits = bits.parse().ok().filter(|bits| digits && *bits <= most).ok_or(AllowError)?;
            // Addresses are compared as IPv4 where they are such, so that a network of them is one of IPv4, too.
            return Ok(match (ip.to_canonical(), bits) {
                (IpAddr::V4(inner), 96..) if ip.is_ipv6() => Self::Network(inner.into(), bits - 96),
                (_, _) => Self::Network(ip, bits),
            });
        }
        let (text, under) = text.strip_prefix("*.").map_or((text, false), |suffix| (suffix, true));
        match text.parse::<Host>().map_err(|_| AllowError)? {
            Host::Name(name) if under => Ok(Self::Under(bare(&name).to_owned())),
            Host::Name(name) => Ok(Self::Name(bare(&name).to_owned())),
            Host::V4(_) | Host::V6(_) if under => Err(AllowError),
            Host::V4(ip) => Ok(Self::Network(ip.into(), 32)),
            Host::V6(ip) => Ok(match ip.to_canonical() {
                IpAddr::V4(inner) => Self::Network(inner.into(), 32),
                IpAddr::V6(_) => Self::Network(ip.into(), 128),
            }),
        }
    }
}

impl fmt::Display for AllowList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&rules.join(", "))
    }
}

impl fmt::Display for AllowRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hosts {
            Hosts::All => f.write_str("*")?,
            Hosts::Name(name) => f.write_str(name)?,
            Hosts::Under(suffix) => write!(f, "*.{suffix}")?,
            Hosts::Network(IpAddr::V4(ip), 32) => ip.fmt(f)?,
            Hosts::Network(IpAddr::V4(ip), bits) => write!(f, "{ip}/{bits}")?,
            Hosts::Network(IpAddr::V6(ip), 128) => write!(f, "[{ip}]")?,
            Hosts::Network(IpAddr::V6(ip), bits) => write!(f, "[{ip}]/{bits}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_they_are_shown() {
        for text in [
            "",
            "*",
            "*:443",
            "db.corp.internal",
            "*.svc, *.svc.cluster.local:80",
            "10.0.0.1, 10.0.0.0/8:3306, 0.0.0.0/0",
            "[fd00::1]:53, [fd00::]/8, [::]/0:443",
        ] {
            assert_eq!(text.parse::<AllowList>().map(|list| list.to_string()).as_deref(), Ok(text));
        }
        assert_eq!("*.SVC.".parse::<AllowRule>().map(|rule| rule.to_string()).as_deref(), Ok("*.svc"));
        for wrong in [
            "*svc",
            "a.*",
            "a:0",
            "a:x",
            "a:+1",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "a/8",
            "fd00::/8",
            "*.10.0.0.1",
            "a b:",
        ] {
            assert!(wrong.parse::<AllowList>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_rule_that_matches_is_enough() {
        let allows = |rules: &str, address: &str| rules.parse::<AllowList>().unwrap().allows(&address.parse().unwrap());
        for (rules, address, allowed) in [
            ("", "10.0.0.1:22", true),
            ("*.svc", "web.shop.svc:80", true),
            ("*.svc", "Web.shop.SVC.:80", true),
            ("*.svc", "svc:80", false),
            ("*.svc", "evilsvc:80", false),
            ("*.svc", "web.shop.svc.cluster.local:80", false),
            ("*.svc, *.cluster.local", "web.shop.svc.cluster.local:80", true),
            ("web.shop", "web.shop.:80", true),
            ("web.shop", "a.web.shop:80", false),
            ("10.0.0.0/8:3306", "10.9.9.9:3306", true),
            ("10.0.0.0/8:3306", "10.9.9.9:3306/udp", true),
            ("10.0.0.0/8:3306", "10.9.9.9:22", false),
            ("10.0.0.0/8", "11.0.0.1:1", false),
            ("10.0.0.0/8", "[::ffff:10.0.0.1]:1", true),
            ("10.0.0.0/8", "db.internal:1", false),
            ("[::ffff:10.0.0.0]/104", "[::ffff:10.0.0.1]:1", true),
            ("[::ffff:10.0.0.0]/104", "10.0.0.1:1", true),
            ("[::ffff:10.0.0.0]/104", "11.0.0.1:1", false),
            ("[::ffff:10.0.0.1]", "10.0.0.1:1", true),
            ("0.0.0.0/0", "1.2.3.4:1", true),
            ("0.0.0.0/0", "[fd00::1]:1", false),
            ("[fd00::]/8", "[fdff::1]:1", true),
            ("[::]/0", "[2001:db8::1]:1", true),
            ("10.0.0.1", "10.0.0.2:1", false),
            ("*:443", "a:443", true),
            ("*:443", "a:80", false),
        ] {
            assert_eq!(allows(rules, address), allowed, "{rules}: {address}");
        }
    }
}
