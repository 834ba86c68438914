//! How the forwards of a target are kept, as the config says it: on demand, for how long, renewed or not.

use std::net::IpAddr;
use std::time::Duration;

use crate::types::health::Probe;
use crate::types::ttl::Ttl;

/// What the config says of forwards; what is absent comes from the wider level (target over cluster over defaults over
/// built in).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeepSettings {
    /// Whether there is a pod and a tunnel only while it is used.
    pub on_demand: Option<bool>,
    /// For how long one on demand stays unused before its pod and tunnel go.
    pub idle_timeout: Option<Ttl>,
    /// How long the pod of one on demand may take until it is ready.
    pub create_timeout: Option<Ttl>,
    /// Whether a pod whose time is nearly up is replaced while it is used.
    pub auto_renew: Option<bool>,
    /// For how long pods are replaced by themselves, from the first one on.
    pub max_lifetime: Option<Ttl>,
    /// How often a target is probed.
    pub probe_interval: Option<Ttl>,
    /// How it is probed. Of a target only.
    pub probe: Option<Probe>,
    /// Whether it is opened with the dashboard. Of a target only.
    pub autostart: bool,
    /// Where it listens instead of on loopback. Of a target only.
    pub local_address: Option<IpAddr>,
}

/// The same with every level merged and nothing absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Whether there is a pod and a tunnel only while it is used.
    pub on_demand: bool,
    /// For how long one on demand stays unused before its pod and tunnel go.
    pub idle: Duration,
    /// How long the pod of one on demand may take until it is ready.
    pub create: Duration,
    /// Whether a pod whose time is nearly up is replaced while it is used.
    pub auto_renew: bool,
    /// For how long pods are replaced by themselves, from the first one on.
    pub max_lifetime: Duration,
    /// How often a target is probed.
    pub probe_interval: Duration,
}

impl Keep {
    /// What holds where the config says nothing.
    pub const BUILT_IN: Self = Self {
        on_demand: false,
        idle: Duration::from_mins(10),
        create: Duration::from_secs(30),
        auto_renew: false,
        max_lifetime: Duration::from_hours(8),
        probe_interval: Duration::from_secs(30),
    };
}

impl KeepSettings {
    /// What holds where the config says nothing.
    pub fn built_in() -> Self {
        let time = |time: Duration| Ttl::from_secs(time.as_secs());
        let Keep { on_demand, idle, create, auto_renew, max_lifetime, probe_interval } = Keep::BUILT_IN;
        Self {
            on_demand: Some(on_demand),
            idle_timeout: time(idle),
            create_timeout: time(create),
            auto_renew: Some(auto_renew),
            max_lifetime: time(max_lifetime),
            probe_interval: time(probe_interval),
            probe: None,
            autostart: false,
            local_address: None,
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
            probe_interval: self.probe_interval.or(base.probe_interval),
            probe: self.probe.clone(),
            autostart: self.autostart,
            local_address: self.local_address,
        }
    }

    /// Whether it listens where others than this machine can reach it.
    pub fn is_open_to_others(&self) -> bool {
        self.local_address.is_some_and(|ip| !ip.is_loopback())
    }
}
