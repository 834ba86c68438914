//! What all watches have in common: the client that they take and its successors, what comes of an error, and what that
//! means.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Clusters, Login, fault, grant};
use crate::model::cluster::Link;
use crate::model::fault::{Fault, What};

/// Between two tries to get a client, or to watch where that was refused, at first.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Clusters {
    /// The login to a cluster, waited for: one that cannot be had yet is the probe's to report.
    pub async fn login_in_time(&self, context: &str) -> Login {
        let mut pause = FIRST_PAUSE;
        loop {
            if let Ok(login) = self.login(context).await {
                return login;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// A watch on objects of one kind, for ever: what fails is tried again.
///
/// Where the server refuses it, it begins anew with a list: kube's watcher goes on from where it was without a word, and
/// nobody would learn that it is allowed again.
pub struct Watch<K> {
    api: Api<K>,
    config: watcher::Config,
    clusters: Clusters,
    context: String,
    generation: u64,
    stream: Option<BoxStream<'static, watcher::Result<watcher::Event<K>>>>,
    /// Nothing is asked before.
    rests: Option<Instant>,
    pause: Duration,
}

impl<K> Watch<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    /// A watch with a login to a context, whose client is the one in `api`.
    pub fn new(clusters: &Clusters, context: &str, login: &Login, api: Api<K>, config: watcher::Config) -> Self {
        Self {
            api,
            config,
            clusters: clusters.clone(),
            context: context.to_owned(),
            generation: login.generation,
            stream: None,
            rests: None,
            pause: FIRST_PAUSE,
        }
    }

    /// The next event. Dropping the future loses nothing.
    ///
    /// # Errors
    /// What went wrong, each time that it does; it is tried again.
    pub async fn next(&mut self) -> watcher::Result<watcher::Event<K>> {
        loop {
            if let Some(until) = self.rests {
                sleep_until(until).await;
                // A login that was refused may have to be had anew; whoever holds this watch is told of that.
                let _told = self.clusters.login(&self.context).await;
                self.rests = None;
            }
            let stream = self
                .stream
                .get_or_insert_with(|| watcher(self.api.clone(), self.config.clone()).default_backoff().boxed());
            match stream.next().await {
                Some(Ok(event)) => {
                    self.pause = FIRST_PAUSE;
                    return Ok(event);
                }
                Some(Err(error)) => {
                    let (link, _) = watch_fault(&self.context, &error, "", None);
                    if matches!(link, Link::Unauthorized | Link::Forbidden) {
                        self.refused(link);
                    }
                    return Err(error);
                }
                // Such a stream has no end.
                None => self.stream = None,
            }
        }
    }

    fn refused(&mut self, link: Link) {
        if link == Link::Unauthorized {
            self.clusters.refused(&self.context, self.generation);
        }
        self.stream = None;
        self.rests = Some(Instant::now() + self.pause.mul_f64(rand::random_range(0.8..1.2)));
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

/// What a watch's error means, and how the cluster stands for it. What is watched is a `resource` as rights name it
/// (`deployments.apps`), in a namespace or in all.
pub fn watch_fault(cluster: &str, error: &watcher::Error, resource: &str, namespace: Option<&str>) -> (Link, Fault) {
    let of = |error: &kube::Error, verb| fault(cluster, error, Some(grant(verb, resource, namespace)));
    match error {
        watcher::Error::InitialListFailed(error) => of(error, "list"),
        watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => of(error, "watch"),
        watcher::Error::WatchError(status) => of(&kube::Error::Api(status.clone()), "watch"),
        watcher::Error::NoResourceVersion => (Link::Ready, Fault::new(What::Server, cluster, error.to_string())),
    }
}
