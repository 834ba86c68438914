//! The settings of a target's forwards, merged from all levels.

use crate::state::Model;
use crate::types::health::ProbePlan;
use crate::types::keep::Keep;
use crate::types::target::Target;
use crate::types::ttl::Ttl;

impl Model {
    /// The probe of a target, if it has one.
    pub(crate) fn probe_of(&self, target: &Target) -> Option<ProbePlan> {
        let probe = target.keep.probe.clone()?;
        Some(ProbePlan { probe, every: self.keep(&target.name).probe_interval })
    }

    /// The settings of a target's forwards; the defaults for a deleted target.
    pub fn keep(&self, target: &str) -> Keep {
        let target = self.target(target);
        let cluster = target.and_then(|target| self.config.settings.clusters.get(&target.cluster));
        let wide =
            cluster.map_or_else(|| self.config.settings.keep.clone(), |at| at.keep.over(&self.config.settings.keep));
        let keep = target.map_or_else(|| wide.clone(), |target| target.keep.over(&wide));
        let time = |time: Option<Ttl>, base| time.map_or(base, Ttl::duration);
        let base = Keep::BUILT_IN;
        Keep {
            on_demand: keep.on_demand.unwrap_or(base.on_demand),
            idle: time(keep.idle_timeout, base.idle),
            create: time(keep.create_timeout, base.create),
            auto_renew: keep.auto_renew.unwrap_or(base.auto_renew),
            max_lifetime: time(keep.max_lifetime, base.max_lifetime),
            probe_interval: time(keep.probe_interval, base.probe_interval),
        }
    }
}
