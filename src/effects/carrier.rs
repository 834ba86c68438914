//! The pod proxy as carrier of our own relay: trying it beside port-forward, and remembering what came of that.

use std::collections::BTreeMap;
use std::mem::{Discriminant, discriminant};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::dialer::{ClusterTunnels, ask_relay, lock};
use super::pod_lease::{RELAY_START_TIMEOUT, Relays};
use crate::events::EventSender;
use crate::proxy::relay::{self, Mux, RelayError, RelayRequest, Secret};
use brow_model::event::ForwardEvent;
use brow_model::route::Via;
use brow_model::sanitize;
use kube_tunnel::{Backoff, Error, Lease, Tunnels};

/// The timeout of an attempt: where something swallows it, port-forward is as good as ever.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that ends sooner counts as a failure.
const SHORT: Duration = Duration::from_secs(10);

/// The pauses before the pod proxy is tried again.
const RETRY_BACKOFF: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_mins(10));

/// Knowledge of the pod proxy by cluster and namespace: rights and network policies belong to a namespace.
#[derive(Default)]
pub(super) struct PodProxies(Mutex<BTreeMap<(String, String), Known>>);

struct Known {
    works: bool,
    /// The time before which it is not tried again.
    rests_until: Instant,
    backoff: Backoff,
    /// The reason that was told last, and its words.
    told: Option<(Discriminant<Error>, String)>,
}

impl PodProxies {
    fn at<T>(&self, via: &Via, read: impl FnOnce(&mut Known) -> T) -> T {
        let key = (via.pod.cluster.clone(), via.pod.namespace.clone());
        let unknown = || Known { works: false, rests_until: Instant::now(), backoff: RETRY_BACKOFF, told: None };
        read(lock(&self.0).entry(key).or_insert_with(unknown))
    }

    fn worked(&self, via: &Via) {
        self.at(via, |known| {
            known.works = true;
            known.backoff.reset();
        });
    }

    /// Returns the words for the reason, and whether it is news. Several forwards that fail together count once.
    fn failed(&self, via: &Via, error: &Error) -> (String, bool) {
        let (kind, words) = (discriminant(error), sanitize::line(&error.to_string()).into_owned());
        self.at(via, |known| {
            known.works = false;
            if known.rests_until <= Instant::now() {
                known.rests_until = Instant::now() + known.backoff.next_pause();
            }
            let before = known.told.replace((kind, words.clone()));
            (words, before.is_none_or(|(before, _)| before != kind))
        })
    }
}

/// Keeps a connection to one pod's relay through the pod proxy.
pub(super) struct Keeper {
    pub clusters: Arc<ClusterTunnels>,
    pub tunnels: Tunnels,
    pub lease: Arc<Lease>,
    pub relays: Arc<Relays>,
    pub via: Via,
    pub secret: Secret,
    pub events: EventSender<ForwardEvent>,
}

impl Keeper {
    /// Tries to connect until it is dropped, and connects again when the connection is lost. The first attempt in a
    /// namespace waits until connections are served by port-forward.
    pub(super) async fn keep(self) {
        let proxies = &self.clusters.pod_proxies;
        loop {
            let (rests_until, told) = proxies.at(&self.via, |known| (known.rests_until, known.told.clone()));
            if let Some((_, why)) = told.filter(|_| rests_until > Instant::now()) {
                self.relays.not_proxied();
                self.events.send(ForwardEvent::NotByPodProxy { via: self.via.clone(), why, news: false }).await;
                sleep_until(rests_until).await;
            }
            if !proxies.at(&self.via, |known| known.works) {
                self.relays.started().await;
            }
            let error = match self.connect().await {
                Ok(mux) => {
                    proxies.worked(&self.via);
                    self.events.send(ForwardEvent::ByPodProxy(self.via.clone())).await;
                    let since = Instant::now();
                    self.relays.keep_proxied(mux).await;
                    if since.elapsed() >= SHORT {
                        continue;
                    }
                    Error::TunnelLost { text: "the connection ended at once".to_owned() }
                }
                Err(error) => error,
            };
            let (why, news) = proxies.failed(&self.via, &error);
            self.relays.not_proxied();
            self.events.send(ForwardEvent::NotByPodProxy { via: self.via.clone(), why, news }).await;
        }
    }

    /// Connects, after the relay was asked to listen if nobody does.
    async fn connect(&self) -> Result<Mux, Error> {
        match self.attempt().await {
            Err(Error::NoUpgrade { status: 500.., .. }) => {}
            other => return other,
        }
        self.relays.started().await;
        let listening = async {
            // It was given the secret when it was started.
            let mut stream = ask_relay(&self.lease, &self.secret, RelayRequest::Listen, async { Ok(()) }).await?;
            relay::listen(&mut stream).await.map_err(refusal)
        };
        let late = |_| Error::Pod { text: "the pod's program does not listen".to_owned() };
        timeout(RELAY_START_TIMEOUT, listening).await.map_err(late)??;
        self.attempt().await
    }

    async fn attempt(&self) -> Result<Mux, Error> {
        let route = kube_tunnel::Route {
            namespace: self.via.pod.namespace.clone(),
            pod: self.via.pod.name.clone(),
            port: relay::POD_PROXY_PORT,
        };
        let connecting = async {
            let stream = self.tunnels.pod_proxy(&route, relay::UPGRADE).await?;
            Mux::start(stream, &self.secret.key()).await.map_err(refusal)
        };
        let late = |_| Error::Unreachable { text: format!("no answer within {} s", ATTEMPT_TIMEOUT.as_secs()) };
        timeout(ATTEMPT_TIMEOUT, connecting).await.map_err(late)?
    }
}

fn refusal(refusal: RelayError<Error>) -> Error {
    match refusal {
        RelayError::Unconfirmed(error) => error,
        other => Error::Pod { text: other.to_string() },
    }
}
