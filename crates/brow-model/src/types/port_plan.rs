//! The port plan: the ranges from which targets get local ports, by kind of service.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::types::service::Group;
use crate::types::target::fnv1a;

/// Ports from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// The first; never 0.
    pub first: u16,
    /// The last; never before the first.
    pub last: u16,
}

/// The error of a text that is no range of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write the first and the last port, from 1024 on, with a dash between them, such as 30000-30099")]
pub struct PortRangeError;

/// The ranges that local ports come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortPlan {
    /// For what a browser or curl opens.
    pub http: PortRange,
    pub database: PortRange,
    /// For everything else.
    pub tcp: PortRange,
}

impl Default for PortPlan {
    fn default() -> Self {
        Self {
            http: PortRange { first: 30_000, last: 30_099 },
            database: PortRange { first: 30_300, last: 30_399 },
            tcp: PortRange { first: 30_900, last: 30_999 },
        }
    }
}

impl FromStr for PortRange {
    type Err = PortRangeError;

    fn from_str(text: &str) -> Result<Self, PortRangeError> {
        let (first, last) = text.split_once('-').ok_or(PortRangeError)?;
        let port = |text: &str| text.trim().parse::<u16>().map_err(|_| PortRangeError);
        let range = Self { first: port(first)?, last: port(last)? };
        // Below 1024 a listener needs privileges.
        if range.first >= 1_024 && range.first <= range.last { Ok(range) } else { Err(PortRangeError) }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl PortPlan {
    /// The range of a group; what is not recognised is TCP.
    pub fn range(&self, group: Option<Group>) -> PortRange {
        match group {
            Some(Group::Http) => self.http,
            Some(Group::Database) => self.database,
            Some(Group::Tcp) | None => self.tcp,
        }
    }

    /// A port for what `key` names: the same one each time, unless that is `taken`; then the next that is not. `None`
    /// where the whole range is.
    pub fn port(&self, group: Option<Group>, key: &str, taken: &BTreeSet<u16>) -> Option<u16> {
        let PortRange { first, last } = self.range(group);
        let count = u32::from(last - first) + 1;
        let start = u32::try_from(fnv1a(key) % u64::from(count)).unwrap_or_default();
        let ports = (0..count).map(|step| u32::from(first) + (start + step) % count);
        ports.filter_map(|port| u16::try_from(port).ok()).find(|port| !taken.contains(port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_target_gets_the_same_port() {
        let plan = PortPlan::default();
        let none = BTreeSet::new();
        let port = |group, key: &str| plan.port(group, key, &none).unwrap();
        for (group, range) in [
            (Some(Group::Http), 30_000..=30_099),
            (Some(Group::Database), 30_300..=30_399),
            (Some(Group::Tcp), 30_900..=30_999),
            (None, 30_900..=30_999),
        ] {
            for key in ["dev/shop/mysql:3306", "dev/shop/web:80", "数据库", ""] {
                assert!(range.contains(&port(group, key)), "{key}");
                assert_eq!(port(group, key), port(group, key));
            }
        }
        let different: BTreeSet<u16> = (0..40).map(|n| port(None, &format!("dev/shop/svc-{n}:80"))).collect();
        assert!(different.len() > 25, "they are spread: {different:?}");
    }

    #[test]
    fn what_is_taken_is_left_alone_until_nothing_is_left() {
        let plan = PortPlan { tcp: "2000-2002".parse().unwrap(), ..PortPlan::default() };
        let mut taken = BTreeSet::new();
        for _ in 0..3 {
            let port = plan.port(None, "x", &taken).unwrap();
            assert!((2_000..=2_002).contains(&port) && taken.insert(port));
        }
        assert_eq!(plan.port(None, "x", &taken), None);
        let to_the_end = PortPlan { tcp: "65535-65535".parse().unwrap(), ..plan };
        assert_eq!(to_the_end.port(None, "x", &taken), Some(65_535));
    }

    #[test]
    fn ranges_are_read_as_they_are_written() {
        let range: PortRange = " 30000 - 30099".parse().unwrap();
        assert_eq!(range.to_string(), "30000-30099");
        for wrong in ["", "30000", "30099-30000", "80-90", "1024-70000", "a-b", "-1"] {
            assert_eq!(wrong.parse::<PortRange>(), Err(PortRangeError), "{wrong}");
        }
    }
}
