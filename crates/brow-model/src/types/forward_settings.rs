//! Settings of forwards: on demand or not, timeouts, renewal, probes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::types::allow::AllowList;
use crate::types::health::Probe;
use crate::types::ttl::Ttl;

/// The users of this machine who may connect to a forward's listener.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LocalUsers {
    /// The user who runs the program, and nobody else.
    #[default]
    Me,
    /// Root too, as which `sudo` and containers in the host's network connect.
    MeAndRoot,
    /// Everybody.
    All,
}

impl LocalUsers {
    /// All values, with their names in the config.
    pub const ALL: [(&'static str, Self); 3] = [("me", Self::Me), ("me+root", Self::MeAndRoot), ("all", Self::All)];

    /// Returns its name in the config.
    pub fn name(self) -> &'static str {
        match self {
            Self::Me => "me",
            Self::MeAndRoot => "me+root",
            Self::All => "all",
        }
    }

    /// Returns true if the user with an id may connect where `me` runs the program. `None`: it is not known whose
    /// connection it is.
    pub fn admits(self, uid: Option<u32>, me: u32) -> bool {
        match self {
            Self::Me => uid == Some(me),
            Self::MeAndRoot => uid == Some(me) || uid == Some(0),
            Self::All => true,
        }
    }
}

/// The access of agents to a target, the least strict first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AgentAccess {
    /// Agents may connect to it.
    Allowed,
    /// They may once a person has agreed.
    Ask,
    /// It is not offered to them.
    Denied,
}

impl AgentAccess {
    /// Returns its name in the config and the form.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allowed => "true",
            Self::Ask => "ask",
            Self::Denied => "false",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        [Self::Allowed, Self::Ask, Self::Denied].into_iter().find(|access| access.name() == name)
    }
}

/// The settings of coding agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSettings {
    /// The access to targets that have a tag and say nothing themselves.
    pub tags: BTreeMap<String, AgentAccess>,
    /// The time after which a question that nobody has answered counts as refused: a minute at most.
    pub answer_timeout: Ttl,
}

impl Default for AgentSettings {
    fn default() -> Self {
        Self { tags: BTreeMap::new(), answer_timeout: Ttl::MINUTE }
    }
}

impl AgentSettings {
    /// Returns the access of agents to a target that is offered to them: its own, else the strictest of its tags.
    pub fn access(&self, own: Option<AgentAccess>, tags: &[String]) -> Option<AgentAccess> {
        let of_tags = || tags.iter().filter_map(|tag| self.tags.get(tag)).max().copied();
        own.or_else(of_tags).filter(|access| *access != AgentAccess::Denied)
    }
}

/// The settings of forwards at one level of the config. Absent ones come from the next level (target, cluster,
/// defaults, built in).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForwardSettings {
    /// True if pod and tunnel exist only while the forward is used.
    pub on_demand: Option<bool>,
    /// For how long one on demand stays unused before its pod and tunnel go.
    pub idle_timeout: Option<Ttl>,
    /// The longest wait for the pod of a forward on demand to become ready.
    pub create_timeout: Option<Ttl>,
    /// True if a pod in use is replaced before its TTL is up.
    pub auto_renew: Option<bool>,
    /// For how long pods are replaced by themselves, from the first one on.
    pub max_lifetime: Option<Ttl>,
    /// True if the next connection creates another pod after one expired or was deleted by others.
    pub recreate: Option<bool>,
    pub probe_interval: Option<Ttl>,
    /// The users of this machine who may connect.
    pub local_users: Option<LocalUsers>,
    /// The probe. Only targets have it.
    pub probe: Option<Probe>,
    /// True if the dashboard opens the forward at start. Only targets have it.
    pub autostart: bool,
    /// The local address, if not loopback. Only targets have it.
    pub local_address: Option<IpAddr>,
    /// The path of a Unix socket to listen on. Only targets have it.
    pub local_socket: Option<String>,
    /// The access of agents; `None`: that which its tags have. Only targets have it.
    pub agent: Option<AgentAccess>,
    /// The destinations that clients of a proxy target may name. Only those have it.
    pub allow: AllowList,
    /// True if ports of nodes are to be reached when this program has ended, by a gateway. Only targets have it.
    pub persist: bool,
}

/// The same with every level merged and nothing absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardPolicy {
    /// True if pod and tunnel exist only while the forward is used.
    pub on_demand: bool,
    /// For how long one on demand stays unused before its pod and tunnel go.
    pub idle: Duration,
    /// The longest wait for the pod of a forward on demand to become ready.
    pub create: Duration,
    /// True if a pod in use is replaced before its TTL is up.
    pub auto_renew: bool,
    /// For how long pods are replaced by themselves, from the first one on.
    pub max_lifetime: Duration,
    /// True if the next connection creates another pod after one expired or was deleted by others.
    pub recreate: bool,
    pub probe_interval: Duration,
    /// The users of this machine who may connect.
    pub local_users: LocalUsers,
}

impl ForwardPolicy {
    /// The built-in values.
    pub const BUILT_IN: Self = Self {
        on_demand: false,
        idle: Duration::from_mins(10),
        create: Duration::from_secs(30),
        auto_renew: false,
        max_lifetime: Duration::from_hours(8),
        recreate: true,
        probe_interval: Duration::from_secs(30),
        local_users: LocalUsers::Me,
    };
}

impl ForwardSettings {
    /// The built-in values.
    pub fn built_in() -> Self {
        let time = |time: Duration| Ttl::from_secs(time.as_secs());
        let ForwardPolicy { on_demand, idle, create, auto_renew, max_lifetime, recreate, probe_interval, local_users } =
            ForwardPolicy::BUILT_IN;
        Self {
            on_demand: Some(on_demand),
            idle_timeout: time(idle),
            create_timeout: time(create),
            auto_renew: Some(auto_renew),
            max_lifetime: time(max_lifetime),
            recreate: Some(recreate),
            probe_interval: time(probe_interval),
            local_users: Some(local_users),
            probe: None,
            autostart: false,
            local_address: None,
            local_socket: None,
            agent: None,
            allow: AllowList::default(),
            persist: false,
        }
    }

    /// These settings where they say something, `base` where they don't; what is of a target only stays.
    #[must_use]
    pub fn over(&self, base: &Self) -> Self {
        Self {
            on_demand: self.on_demand.or(base.on_demand),
            idle_timeout: self.idle_timeout.or(base.idle_timeout),
            create_timeout: self.create_timeout.or(base.create_timeout),
            auto_renew: self.auto_renew.or(base.auto_renew),
            max_lifetime: self.max_lifetime.or(base.max_lifetime),
            recreate: self.recreate.or(base.recreate),
            probe_interval: self.probe_interval.or(base.probe_interval),
            local_users: self.local_users.or(base.local_users),
            probe: self.probe.clone(),
            autostart: self.autostart,
            local_address: self.local_address,
            local_socket: self.local_socket.clone(),
            agent: self.agent,
            allow: self.allow.clone(),
            persist: self.persist,
        }
    }

    /// Returns true if other machines can reach the local address.
    pub fn is_open_to_others(&self) -> bool {
        self.local_address.is_some_and(|ip| !ip.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_is_let_in_unless_the_setting_says_so() {
        use LocalUsers::{All, Me, MeAndRoot};
        for (users, uid, admitted) in [
            (Me, Some(1000), true),
            (Me, Some(1001), false),
            (Me, Some(0), false),
            (Me, None, false),
            (MeAndRoot, Some(1000), true),
            (MeAndRoot, Some(1001), false),
            (MeAndRoot, Some(0), true),
            (MeAndRoot, None, false),
            (All, Some(1001), true),
            (All, None, true),
        ] {
            assert_eq!(users.admits(uid, 1000), admitted, "{users:?} {uid:?}");
        }
    }
}
