//! Who may have connections through a pod, so that it is known when nobody has any more.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::mpsc;

use super::Pointing;
use brow_model::route::Via;

/// A hold on a pod: of the forward while it is pointed there, and of each connection that goes through it. When the
/// last one lets go that is told.
#[derive(Debug)]
pub(super) struct Hold {
    /// The way that first led there.
    via: Via,
    out: mpsc::UnboundedSender<Via>,
}

impl PartialEq for Hold {
    fn eq(&self, other: &Self) -> bool {
        self.via.pod == other.via.pod
    }
}

impl Eq for Hold {}

impl Drop for Hold {
    fn drop(&mut self) {
        // A forward that is closed has no use for it.
        let _ = self.out.send(self.via.clone());
    }
}

/// The holds of one forward.
#[derive(Debug)]
pub(super) struct Holds {
    out: mpsc::UnboundedSender<Via>,
    /// A pod that is pointed at again while connections still go through it is held once: it is left once.
    known: Mutex<Vec<Weak<Hold>>>,
}

impl Holds {
    pub(super) fn new(out: mpsc::UnboundedSender<Via>) -> Self {
        Self { out, known: Mutex::default() }
    }

    /// New connections go this way from now on.
    pub(super) fn through(&self, via: Via) -> Pointing {
        let hold = self.on(via.clone());
        Pointing::Through(via, hold)
    }

    /// A hold on a pod.
    fn on(&self, via: Via) -> Arc<Hold> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|hold| hold.strong_count() > 0);
        if let Some(hold) = known.iter().filter_map(Weak::upgrade).find(|hold| hold.via.pod == via.pod) {
            return hold;
        }
        let hold = Arc::new(Hold { via, out: self.out.clone() });
        known.push(Arc::downgrade(&hold));
        hold
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brow_model::proxy::PodKey;

    #[test]
    fn a_pod_is_left_once_when_nobody_holds_it_any_more() {
        let (out, mut left) = mpsc::unbounded_channel();
        let holds = Holds::new(out);
        let via = |name: &str| Via {
            pod: PodKey { cluster: "dev".into(), namespace: "default".into(), name: name.into() },
            uid: name.into(),
            port: 1080,
            to: None,
        };
        let (first, other) = (holds.on(via("a")), holds.on(via("b")));
        let again = holds.on(via("a"));
        assert!(Arc::ptr_eq(&first, &again));
        drop(first);
        assert!(left.try_recv().is_err(), "still held");
        drop(again);
        assert_eq!(left.try_recv(), Ok(via("a")));
        assert!(left.try_recv().is_err());
        drop(holds.on(via("a")));
        assert_eq!(left.try_recv(), Ok(via("a")), "also where nothing went through it");
        drop(other);
    }
}
