//! Networks of addresses, and the blocks of them that a policy lets in.

use std::net::IpAddr;

use k8s_openapi::api::networking::v1::IPBlock;

use super::policy::Match;

/// A network, as CIDR has it: `10.244.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    bits: u128,
    /// The number of bits of an address: 32 or 128.
    width: u32,
    prefix: u32,
}

impl Network {
    /// Returns the network of all addresses of the family that one belongs to.
    pub(super) fn all_of(ip: IpAddr) -> Self {
        Self { prefix: 0, ..Self::of(ip) }
    }

    fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self { bits: ip.to_bits().into(), width: u32::BITS, prefix: u32::BITS },
            IpAddr::V6(ip) => Self { bits: ip.to_bits(), width: u128::BITS, prefix: u128::BITS },
        }
    }

    /// Reads what Kubernetes writes.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (ip, prefix) = text.split_once('/')?;
        let (ip, prefix) = (Self::of(ip.parse().ok()?), prefix.parse().ok()?);
        (prefix <= ip.width).then_some(Self { prefix, ..ip })
    }

    /// Returns true if an address belongs to it.
    pub(super) fn has(&self, ip: IpAddr) -> bool {
        self.covers(&Self::of(ip))
    }

    /// Returns true if all addresses of another belong to it.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let network = |bits: u128| bits.checked_shr(self.width - self.prefix).unwrap_or(0);
        self.width == other.width && self.prefix <= other.prefix && network(self.bits) == network(other.bits)
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }
}

/// Judges whether a block has a client that has some address of one of these networks.
pub(super) fn is_in(block: &IPBlock, networks: &[Network]) -> Match {
    let cidr = Network::read(&block.cidr)?;
    let mut except = Vec::new();
    for text in block.except.iter().flatten() {
        except.push(Network::read(text)?);
    }
    let inside = |network: &Network| cidr.covers(network) && !except.iter().any(|except| except.overlaps(network));
    let outside = |network: &Network| !cidr.overlaps(network) || except.iter().any(|except| except.covers(network));
    match networks {
        [] => None,
        all if all.iter().all(inside) => Some(true),
        all if all.iter().all(outside) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_what_its_exceptions_do_not() {
        let pods = ["10.244.0.0/24", "10.244.1.0/24"];
        for (cidr, except, networks, wanted) in [
            ("10.244.0.0/16", &[][..], &pods[..], Some(true)),
            ("10.244.0.0/24", &[], &pods, None),
            ("10.244.0.0/24", &[], &pods[..1], Some(true)),
            ("10.0.0.0/8", &["10.244.0.0/16"], &pods, Some(false)),
            ("10.0.0.0/8", &["10.244.1.0/24"], &pods, None),
            ("10.0.0.0/8", &["10.244.1.128/25"], &pods, None),
            ("10.0.0.0/8", &["10.96.0.0/12"], &pods, Some(true)),
            ("192.168.0.0/16", &[], &pods, Some(false)),
            ("0.0.0.0/0", &[], &pods, Some(true)),
            ("0.0.0.0/0", &["10.0.0.0/8"], &pods, Some(false)),
            ("::/0", &[], &pods, Some(false)),
            // Nothing is known of the client's address but its family.
            ("0.0.0.0/0", &[], &["0.0.0.0/0"], Some(true)),
            ("0.0.0.0/0", &["10.0.0.0/8"], &["0.0.0.0/0"], None),
            ("10.0.0.0/8", &[], &["0.0.0.0/0"], None),
            ("::/0", &[], &["0.0.0.0/0"], Some(false)),
            ("fd00::/8", &["fd00:1::/32"], &["fd00:1:2::/64"], Some(false)),
            ("fd00::/8", &["fd00:1::/32"], &["fd00:2::/64"], Some(true)),
            // An invalid CIDR, or a client whose networks are unknown, leaves the answer open.
            ("10.0.0.0/33", &[], &pods, None),
            ("10.0.0.0/8", &["10.0.0.0"], &pods, None),
            ("10.0.0.0/8", &[], &[], None),
        ] {
            let networks: Vec<Network> = networks.iter().map(|text| Network::read(text).unwrap()).collect();
            let except: Vec<String> = except.iter().map(|text| (*text).to_owned()).collect();
            let block = IPBlock { cidr: cidr.to_owned(), except: Some(except.clone()) };
            assert_eq!(is_in(&block, &networks), wanted, "{cidr} {except:?} {networks:?}");
        }
    }

    #[test]
    fn an_address_has_its_network_and_its_family() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let network = Network::read("10.244.1.0/24").unwrap();
        assert!(network.has(ip("10.244.1.9")) && !network.has(ip("10.244.2.9")) && !network.has(ip("fd00::1")));
        assert!(Network::all_of(ip("10.244.1.9")).has(ip("1.2.3.4")));
        assert!(!Network::all_of(ip("fd00::1")).has(ip("1.2.3.4")));
        assert_eq!(["10.0.0.0", "x/8", "10.0.0.0/x", "::/129"].map(Network::read), [None; 4]);
    }
}
