//! Targets: saved destinations.

use crate::types::forward_settings::ForwardSettings;
use crate::types::installation::Installation;
use crate::types::settings::PodSettings;
use crate::types::ttl::Ttl;
use crate::types::workload::Destination;

/// A saved destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name, unique, in any script.
    pub name: String,
    /// The kubeconfig context it is reached through.
    pub cluster: String,
    /// The namespace of its proxy pods; `None`: the context's own.
    pub namespace: Option<String>,
    /// The destination as seen from the cluster: an address or a workload.
    pub address: Destination,
    /// The local port; 0: any free one, remembered.
    pub local_port: u16,
    /// The TTL of its proxy pods; `None`: the default.
    pub ttl: Option<Ttl>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Its own settings of proxy pods.
    pub pod: PodSettings,
    /// Its own settings of forwards.
    pub forward: ForwardSettings,
}

impl Target {
    /// The value of the `brow/target` label on this target's pods, and the middle of their names.
    pub fn label(&self, installation: &Installation) -> String {
        label(&self.name, &self.address, installation)
    }

    /// The label of earlier versions, which hashed names without a salt: their pods may still live.
    pub fn unsalted_label(&self) -> String {
        with_hash(&self.name, &self.address, fnv1a)
    }
}

/// The most bytes a label of ours has: `brow-` + label + `-` + 6 stays a DNS label of 63 (RFC 1123).
const LABEL_LEN: usize = 51;

/// Returns true if a name contains the address, so that it must not appear in the cluster's objects. The name of a
/// workload may.
pub fn hides(name: &str, address: &Destination) -> bool {
    match address {
        Destination::Address(address) => plain(name).contains(&plain(&address.host.to_string())),
        Destination::Workload(_) | Destination::Node(_) | Destination::Proxy => false,
    }
}

/// The letters and digits of a text, lower case, with single dashes between.
fn plain(text: &str) -> String {
    let dashed: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    dashed.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

/// A DNS label for a target's name, always the same for the same name and address in one installation.
///
/// Anything a DNS label cannot hold (other scripts, case, length) is replaced by a hash of the name, so that two names
/// never share a label by being alike. A name that spells the address is hashed whole: the address must not show in
/// the cluster's objects. The hash is made with the installation's key, since addresses are few enough to be tried.
pub fn label(name: &str, address: &Destination, installation: &Installation) -> String {
    with_hash(name, address, |name| {
        installation.derive("label", name).iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
    })
}

fn with_hash(name: &str, address: &Destination, hash: impl Fn(&str) -> u64) -> String {
    let slug = plain(name);
    if hides(name, address) {
        return format!("t-{:016x}", hash(name));
    }
    if slug == name && slug.len() <= LABEL_LEN {
        return slug;
    }
    let hash = format!("{:08x}", hash(name) & 0xffff_ffff);
    let room = LABEL_LEN - hash.len() - 1;
    let kept = slug.get(..room).unwrap_or(&slug).trim_end_matches('-');
    if kept.is_empty() { format!("t-{hash}") } else { format!("{kept}-{hash}") }
}

/// FNV-1a, 64 bits: stable between versions and machines, which the standard library's hasher does not promise.
pub(crate) fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(name: &str, address: &Destination) -> String {
        super::label(name, address, &Installation::new("0badcafe", [7; 32]))
    }

    #[test]
    fn any_name_becomes_a_dns_label() {
        let address: Destination = "10.0.0.1:3306".parse().unwrap();
        let long = "x".repeat(300);
        for name in ["mysql-dev", "MySQL dev", "数据库", "--", "a.b", "é", &long, "🤦🏼‍♂️", "-lead", "trail-"]
        {
            let label = label(name, &address);
            assert!((1..=LABEL_LEN).contains(&label.len()), "{name}: {label}");
            assert!(label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{label}");
            assert!(!label.starts_with('-') && !label.ends_with('-'), "{label}");
        }
        assert_eq!(label("mysql-dev", &address), "mysql-dev");
        assert_ne!(label("a.b", &address), label("a-b", &address));
        assert_ne!(label("数据库", &address), label("缓存", &address));
    }

    #[test]
    fn a_name_that_spells_the_address_is_hidden() {
        let address: Destination = "10.0.0.1:3306".parse().unwrap();
        for name in ["10.0.0.1", "mysql 10.0.0.1:3306", "db-10-0-0-1"] {
            let label = label(name, &address);
            assert!(label.starts_with("t-") && !label.contains("10-0-0-1"), "{name}: {label}");
        }
        let named: Destination = "db.corp.internal:5432".parse().unwrap();
        assert!(!label("DB.corp.internal", &named).contains("corp"));
    }

    #[test]
    fn a_hash_tells_nothing_to_whoever_has_not_the_key() {
        let address: Destination = "10.0.0.1:3306".parse().unwrap();
        let other = Installation::new("0badcafe", [8; 32]);
        for name in ["10.0.0.1", "数据库", "MySQL dev"] {
            let ours = label(name, &address);
            assert_eq!(label(name, &address), ours);
            assert_ne!(super::label(name, &address, &other), ours, "{name}");
            assert_ne!(with_hash(name, &address, fnv1a), ours, "{name}");
        }
    }
}
