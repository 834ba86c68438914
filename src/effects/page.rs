//! An object's page: its tasks, of which each kind has one, and the answers that they share.

use std::sync::Arc;

use tokio::task::AbortHandle;

use super::{Effects, internal};
use crate::cluster::{self, PageCache};
use crate::events::EventSender;
use crate::proxy;
use brow_model::effect::PageEffect;
use brow_model::epoch::Epoch;
use brow_model::event::{Event, PageEvent, PodEvent};
use brow_model::index::ObjectRef;
use kube_tunnel::contain::contain;

fn replace(task: &mut Option<AbortHandle>, by: AbortHandle) {
    if let Some(old) = task.replace(by) {
        old.abort();
    }
}

impl Effects {
    /// Carries out an order about a page.
    pub(super) fn on_page(&mut self, effect: PageEffect) {
        match effect {
            PageEffect::Show { object, epoch } => {
                self.page.stop();
                let (cache, events) = (self.page_cache(&object.cluster, false), self.page_events(epoch));
                let context = object.cluster.clone();
                let showing = cluster::show_object(self.clusters.clone(), cache, object, events.clone());
                let handle = self.spawn(async move { events.contain(&context, showing, PageEvent::Failed).await });
                replace(&mut self.page.object, handle);
            }
            PageEffect::Events { object, uid, epoch } => {
                let (context, events) = (object.cluster.clone(), self.page_events(epoch));
                let cache = self.page_cache(&context, false);
                let showing = cluster::show_events(self.clusters.clone(), cache, object, uid, events.clone());
                let handle =
                    self.spawn(async move { events.contain(&context, showing, PageEvent::EventsFailed).await });
                replace(&mut self.page.events, handle);
            }
            PageEffect::Relate { object, epoch, depth, fresh } => {
                let (cache, events) = (self.page_cache(&object.cluster, fresh), self.page_events(epoch));
                let context = object.cluster.clone();
                let relating = cluster::relate(cache, object, depth, events.clone());
                let handle = self.spawn(async move { events.contain(&context, relating, PageEvent::Failed).await });
                replace(&mut self.page.relations, handle);
            }
            PageEffect::Reveal { object, epoch } => self.reveal(object, epoch),
            PageEffect::FindPods { object, epoch } => self.find_pods(object, epoch),
            PageEffect::FollowLog { key, container, previous, epoch } => {
                self.stop_log();
                let context = key.cluster.clone();
                let (clusters, events) = (self.clusters.clone(), self.events.clone());
                let source = proxy::LogSource { key: key.clone(), container: Some(container), previous };
                let following = proxy::follow_log(clusters, source, epoch, events);
                let broken = move |fault| Event::Pod(PodEvent::LogEnded { key, epoch, fault: Some(fault) });
                self.log = Some(self.spawn_for(context, following, broken));
            }
            PageEffect::Hide => {
                self.page.stop();
                self.page.cache = None;
            }
        }
    }

    fn page_events(&self, epoch: Epoch) -> EventSender<PageEvent> {
        self.events.about(move |event| Event::Page { epoch, event })
    }

    /// Returns the answers so far for a cluster, or `fresh` ones.
    fn page_cache(&mut self, cluster: &str, fresh: bool) -> Arc<PageCache> {
        let known = self.page.cache.take().filter(|cache| !fresh && cache.is_of(cluster));
        let new = || Arc::new(PageCache::new(self.clusters.clone(), cluster.to_owned()));
        Arc::clone(self.page.cache.insert(known.unwrap_or_else(new)))
    }

    fn reveal(&mut self, object: ObjectRef, epoch: Epoch) {
        let (clusters, events) = (self.clusters.clone(), self.page_events(epoch));
        let handle = self.spawn(async move {
            let asking = contain(cluster::reveal(&clusters, &object)).await;
            let result = asking.unwrap_or_else(|words| Err(internal(&object.cluster, words)));
            events.send(PageEvent::Revealed(result)).await;
        });
        replace(&mut self.page.lookup, handle);
    }

    fn find_pods(&mut self, object: ObjectRef, epoch: Epoch) {
        let (clusters, events) = (self.clusters.clone(), self.page_events(epoch));
        let cache = self.page_cache(&object.cluster, false);
        let handle = self.spawn(async move {
            let asking = contain(cluster::find_pods(&clusters, cache, &object)).await;
            let result = asking.unwrap_or_else(|words| Err(internal(&object.cluster, words)));
            events.send(PageEvent::Pods(result)).await;
        });
        replace(&mut self.page.lookup, handle);
    }
}
