//! Reference counts of pods: a pod that the forward and its connections no longer use is reported.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use brow_model::route::Via;

/// A reference to a pod, held by the forward while it is the destination and by each connection through it. Dropping
/// the last one reports the pod as left.
#[derive(Debug)]
pub(super) struct PodRef {
    /// The route that first used the pod.
    via: Via,
    out: mpsc::UnboundedSender<Via>,
}

impl PartialEq for PodRef {
    fn eq(&self, other: &Self) -> bool {
        self.via.pod == other.via.pod
    }
}

impl Eq for PodRef {}

impl Drop for PodRef {
    fn drop(&mut self) {
        // A forward that is closed has no use for it.
        let _ = self.out.send(self.via.clone());
    }
}

/// The referenced pods of one forward.
#[derive(Debug)]
pub(super) struct PodRefs {
    out: mpsc::UnboundedSender<Via>,
    /// Shared, so that a pod that becomes the destination again while it is in use is reported once.
    known: Mutex<Vec<Weak<PodRef>>>,
}

impl PodRefs {
    pub(super) fn new(out: mpsc::UnboundedSender<Via>) -> Self {
        Self { out, known: Mutex::default() }
    }

    /// Returns the reference to a pod.
    pub(super) fn on(&self, via: Via) -> Arc<PodRef> {
        let mut known = self.known.lock();
        known.retain(|pod_ref| pod_ref.strong_count() > 0);
        if let Some(pod_ref) = known.iter().filter_map(Weak::upgrade).find(|pod_ref| pod_ref.via.pod == via.pod) {
            return pod_ref;
        }
        let pod_ref = Arc::new(PodRef { via, out: self.out.clone() });
        known.push(Arc::downgrade(&pod_ref));
        pod_ref
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brow_model::proxy::PodKey;

    #[test]
    fn a_pod_is_left_once_when_nobody_holds_it_any_more() {
        let (out, mut left) = mpsc::unbounded_channel();
        let pod_refs = PodRefs::new(out);
        let via = |name: &str| Via {
            pod: PodKey { cluster: "dev".into(), namespace: "default".into(), name: name.into() },
            uid: name.into(),
            port: 1080,
            to: None,
            node: None,
        };
        let (first, other) = (pod_refs.on(via("a")), pod_refs.on(via("b")));
        let again = pod_refs.on(via("a"));
        assert!(Arc::ptr_eq(&first, &again));
        drop(first);
        assert!(left.try_recv().is_err(), "still held");
        drop(again);
        assert_eq!(left.try_recv(), Ok(via("a")));
        assert!(left.try_recv().is_err());
        drop(pod_refs.on(via("a")));
        assert_eq!(left.try_recv(), Ok(via("a")), "also where nothing went through it");
        drop(other);
    }
}
