//! The running pods of a workload, and the choice among them.

use chrono::{DateTime, Utc};
use std::cmp::Reverse;

use crate::types::route::Via;

/// A running pod of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// The pod, and the port in it.
    pub via: Via,
    /// True if it is ready.
    pub ready: bool,
    /// The time at which it was created.
    pub created: DateTime<Utc>,
}

/// Puts the pods in the order in which they are taken: ready ones first, then the newest.
pub fn rank(backends: &mut [Backend]) {
    let key = |backend: &Backend| (!backend.ready, Reverse(backend.created), backend.via.pod.name.clone());
    backends.sort_by_key(key);
}

/// The pod that a forward goes through: the one it goes through now as long as that is as good as any, else the first.
/// `backends` are in the order of [`rank`].
pub fn pick<'a>(backends: &'a [Backend], now: Option<&Via>) -> Option<&'a Backend> {
    let first = backends.first()?;
    let same = backends.iter().find(|backend| now == Some(&backend.via));
    same.filter(|same| same.ready || !first.ready).or(Some(first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::proxy::PodKey;

    fn backend(name: &str, ready: bool, second: i64) -> Backend {
        let pod = PodKey { cluster: "dev".into(), namespace: "default".into(), name: name.into() };
        let created = DateTime::from_timestamp(second, 0).unwrap();
        Backend { via: Via { pod, uid: name.into(), port: 80, to: None, node: None }, ready, created }
    }

    #[test]
    fn ready_comes_before_new_and_a_good_pod_is_kept() {
        let mut all = [backend("old", true, 1), backend("new", true, 3), backend("newest", false, 9)];
        rank(&mut all);
        let names: Vec<&str> = all.iter().map(|backend| backend.via.pod.name.as_str()).collect();
        assert_eq!(names, ["new", "old", "newest"]);
        let through = |now: Option<&Backend>| pick(&all, now.map(|now| &now.via)).map(|picked| picked.via.uid.clone());
        assert_eq!(through(None).as_deref(), Some("new"));
        assert_eq!(through(Some(&all[1])).as_deref(), Some("old"), "kept");
        assert_eq!(through(Some(&all[2])).as_deref(), Some("new"), "not ready, and others are");
        assert_eq!(through(Some(&backend("gone", true, 5))).as_deref(), Some("new"));
        assert_eq!(pick(&[], Some(&all[0].via)), None);
        let unready = [backend("a", false, 2), backend("b", false, 1)];
        assert_eq!(pick(&unready, Some(&unready[1].via)).map(|b| b.via.uid.as_str()), Some("b"), "as good as any");
    }
}
