//! The tasks of open forwards.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Effects;
use super::route::Path;
use crate::cluster::workload;
use crate::events::EventSender;
use crate::forward;
use brow_model::event::{Event, ForwardEvent};
use brow_model::forward::{ForwardId, ForwardSpec};
use brow_model::route::Via;

/// An open forward.
pub(super) struct Open {
    pub handle: forward::Handle,
    /// Whether its workload's pods are watched: not while it rests.
    seeking: watch::Sender<Seeking>,
    /// Closes it.
    pub token: CancellationToken,
    /// Cancelled once nothing of it is left.
    pub ended: CancellationToken,
}

/// Whether a workload's pods are watched, and how often that has ended. A watch that ends and begins again before its
/// task has run still begins anew, and tells all that it finds once more: the forward has forgotten it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seeking {
    on: bool,
    ends: u64,
}

impl Seeking {
    fn set(&mut self, on: bool) {
        self.ends += u64::from(self.on && !on);
        self.on = on;
    }
}

impl Effects {
    /// Opens a forward; an older opening of it ends first, so that the port is free again.
    pub(super) fn open(&mut self, spec: ForwardSpec, via: Option<Via>) {
        let before = self.forwards.remove(&spec.id).map(|open| {
            open.token.cancel();
            open.ended
        });
        let (id, token, ended) = (spec.id, self.token.child_token(), CancellationToken::new());
        let route = Path::new(Arc::clone(&self.routes), &spec);
        let (seeking, wanted) = watch::channel(Seeking { on: !spec.on_demand, ends: 0 });
        let finding = self.finding(&spec, wanted);
        let (cluster, events) = (spec.selector.cluster.clone(), self.about_forward(&spec));
        let (handle, forwarding) = forward::start(spec, via, route, self.events.clone(), &token);
        self.forwards.insert(id, Open { handle, seeking, token, ended: ended.clone() });
        self.tasks.spawn(async move {
            // Whatever becomes of the task, its end is known.
            let _ended = ended.drop_guard();
            if let Some(before) = before {
                before.cancelled().await;
            }
            let working = async {
                tokio::select! {
                    () = forwarding => {}
                    () = finding => {}
                }
            };
            events.contain(&cluster, working, ForwardEvent::NotBound).await;
        });
    }

    fn about_forward(&self, spec: &ForwardSpec) -> EventSender<ForwardEvent> {
        let (id, epoch) = (spec.id, spec.epoch);
        self.events.about(move |event| Event::Forward { id, epoch, event })
    }

    /// Tells a forward where to go; whether its workload's pods are watched for that.
    pub(super) fn aim(&self, id: ForwardId, seeking: bool, tell: impl FnOnce(&forward::Handle)) {
        if let Some(open) = self.forwards.get(&id) {
            open.seeking.send_modify(|state| state.set(seeking));
            tell(&open.handle);
        }
    }

    /// The watch on a workload's pods while they are `wanted`, which never ends; of an address there is nothing to find
    /// out.
    fn finding(
        &self,
        spec: &ForwardSpec,
        mut wanted: watch::Receiver<Seeking>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let query = spec.address.workload().map(|workload| workload::Query {
            cluster: spec.selector.cluster.clone(),
            namespace: spec.selector.namespace.clone(),
            workload: workload.clone(),
        });
        let (clusters, events) = (self.clusters.clone(), self.about_forward(spec));
        async move {
            let Some(query) = query else {
                return std::future::pending().await;
            };
            loop {
                let now = *wanted.borrow_and_update();
                if !now.on {
                    if wanted.changed().await.is_err() {
                        return std::future::pending().await;
                    }
                    continue;
                }
                let following = async {
                    let watching = workload::follow(clusters.clone(), query.clone(), events.clone());
                    events.contain(&query.cluster, watching, ForwardEvent::LookupFailed).await;
                    // It has said all that there is to say.
                    std::future::pending::<()>().await;
                };
                tokio::select! {
                    () = following => {}
                    () = until_ended(&mut wanted, now) => {}
                }
            }
        }
    }
}

/// Waits until the watch of `since` is no longer wanted; for ever, where nobody is left to say so.
async fn until_ended(wanted: &mut watch::Receiver<Seeking>, since: Seeking) {
    if wanted.wait_for(|now| now.ends != since.ends).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn a_watch_that_is_ended_and_wanted_again_at_once_begins_anew() {
        let (seeking, mut wanted) = watch::channel(Seeking { on: true, ends: 0 });
        let since = *wanted.borrow();
        seeking.send_modify(|state| state.set(true));
        assert_eq!(until_ended(&mut wanted, since).now_or_never(), None, "it goes on");
        seeking.send_modify(|state| state.set(false));
        seeking.send_modify(|state| state.set(true));
        assert_eq!(until_ended(&mut wanted, since).now_or_never(), Some(()));
        assert!(wanted.borrow().on);
    }
}
