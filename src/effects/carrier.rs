//! The pod proxy as carrier of our own relay: trying it beside port-forward, and remembering what came of that.

use std::collections::BTreeMap;
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::dialer::{ClusterTunnels, ask_relay};
use super::pod_lease::{RELAY_START_TIMEOUT, Relays};
use crate::events::EventSender;
use crate::proxy::relay::{self, Mux, RelayError, RelayRequest, Secret};
use brow_model::event::ForwardEvent;
use brow_model::route::Via;
use brow_model::sanitize;
use kube_tunnel::{Backoff, Error, Lease, Login, Tunnels};

/// The timeout of an attempt, once there is a login: where something swallows it, port-forward is as good as ever.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest wait for our relay by port-forward: it may listen already while its node is stuck.
const START_TIMEOUT: Duration = Duration::from_secs(5);

/// The time within which the API server knows of a pod's end.
const POD_NEWS_TIME: Duration = Duration::from_secs(2);

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
        read(self.0.lock().entry(key).or_insert_with(unknown))
    }

    /// A connection lasted: the next failure is news.
    fn lasted(&self, via: &Via) {
        self.at(via, |known| {
            known.backoff.reset();
            known.told = None;
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

/// The reason why there is no connection to one pod's relay through the pod proxy.
enum Failure {
    /// It holds for the namespace.
    Proxy(Error),
    /// It is of this pod or of its node, as far as is known.
    Pod(Error),
}

/// Keeps a connection to one pod's relay through the pod proxy.
pub(super) struct Keeper {
    pub clusters: Arc<ClusterTunnels>,
    pub tunnels: Tunnels,
    pub lease: Arc<Lease>,
    pub relays: Arc<Relays>,
    pub via: Via,
    pub secret: Secret,
    /// The newest login, seen when the pod proxy was last dialed.
    pub logins: watch::Receiver<Login>,
    /// True if the pod proxy worked in an earlier run.
    pub worked: bool,
    pub events: EventSender<ForwardEvent>,
}

impl Keeper {
    /// Tries to connect until it is dropped, and connects again when the connection is lost. Before the first attempt
    /// in a namespace where it is not known to work, connections get the time to be served by port-forward.
    pub(super) async fn keep(mut self) {
        let clusters = Arc::clone(&self.clusters);
        let proxies = &clusters.pod_proxies;
        let mut backoff = RETRY_BACKOFF;
        loop {
            let (rests_until, told) = proxies.at(&self.via, |known| (known.rests_until, known.told.clone()));
            if let Some((_, why)) = told.filter(|_| rests_until > Instant::now()) {
                self.goes_without(why, false).await;
                self.clusters.pause(&self.via, rests_until.saturating_duration_since(Instant::now())).await;
            }
            if !proxies.at(&self.via, |known| known.works) && !std::mem::take(&mut self.worked) {
                self.has_started().await;
            }
            let failure = match self.connect().await {
                Ok(mux) => {
                    proxies.at(&self.via, |known| known.works = true);
                    let mux = self.relays.go_proxied(mux);
                    self.events.send(ForwardEvent::ByPodProxy(self.via.clone())).await;
                    let since = Instant::now();
                    self.follow_logins(mux).await;
                    self.relays.not_proxied();
                    if since.elapsed() >= SHORT {
                        proxies.lasted(&self.via);
                        backoff.reset();
                        continue;
                    }
                    self.judge(Error::TunnelLost { text: "the connection ended at once".to_owned() }).await
                }
                Err(failure) => failure,
            };
            match failure {
                Failure::Proxy(error) => {
                    let (why, news) = proxies.failed(&self.via, &error);
                    self.goes_without(why, news).await;
                }
                Failure::Pod(error) => {
                    self.goes_without(sanitize::line(&error.to_string()).into_owned(), false).await;
                    self.clusters.pause(&self.via, backoff.next_pause()).await;
                }
            }
        }
    }

    /// Waits until the connection is lost. New connections get one of the newest login, as soon as there is one; open
    /// ones keep theirs.
    async fn follow_logins(&mut self, mut mux: Arc<Mux>) {
        let mut backoff = RETRY_BACKOFF;
        let mut retry = None;
        loop {
            let later = async {
                match retry {
                    Some(pause) => self.clusters.pause(&self.via, pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = mux.ended() => return,
                Ok(()) = self.logins.changed() => {}
                () = later => {}
            }
            let dialed = tokio::select! {
                () = mux.ended() => return,
                dialed = self.attempt() => dialed,
            };
            let failed = dialed.as_ref().err();
            tracing::debug!(pod = self.via.pod.name, ?failed, "the pod proxy was dialed with a new login");
            retry = match dialed {
                Ok(next) => {
                    mux = self.relays.go_proxied(next);
                    None
                }
                Err(_) => Some(backoff.next_pause()),
            };
        }
    }

    /// Switches to port-forward and reports the reason.
    async fn goes_without(&self, why: String, news: bool) {
        self.relays.not_proxied();
        self.events.send(ForwardEvent::NotByPodProxy { via: self.via.clone(), why, news }).await;
    }

    /// Waits a while until our relay runs and connections are served by port-forward. Returns whether they are.
    async fn has_started(&self) -> bool {
        timeout(START_TIMEOUT, self.relays.started()).await.is_ok()
    }

    /// Connects, after the relay was asked to listen if nobody does.
    async fn connect(&mut self) -> Result<Mux, Failure> {
        let nobody = match self.attempt().await {
            Ok(mux) => return Ok(mux),
            Err(error @ Error::NoUpgrade { status: 500.., .. }) => error,
            Err(error) => return Err(self.judge(error).await),
        };
        if !self.has_started().await {
            return Err(Failure::Pod(nobody));
        }
        let listening = async {
            let mut stream = ask_relay(&self.lease, &self.secret, RelayRequest::Listen, not_ours()).await?;
            relay::listen(&mut stream).await.map_err(refusal)
        };
        let late = |_| Error::Pod { text: "the pod's program does not listen".to_owned() };
        timeout(RELAY_START_TIMEOUT, listening).await.map_err(late).flatten().map_err(Failure::Pod)?;
        match self.attempt().await {
            Ok(mux) => Ok(mux),
            Err(error) => Err(self.judge(error).await),
        }
    }

    async fn attempt(&mut self) -> Result<Mux, Error> {
        self.clusters.renew_login(&self.via).await;
        self.logins.mark_unchanged();
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

    /// Finds out whether the pod is to blame for an error: pods expire, are evicted and deleted.
    async fn judge(&self, error: Error) -> Failure {
        let of_proxy = match &error {
            Error::Forbidden { .. } => true,
            Error::NoUpgrade { status, .. } if *status < 500 => *status != 404,
            _ => {
                // Connections wait for nothing meanwhile.
                self.relays.not_proxied();
                sleep(POD_NEWS_TIME).await;
                self.clusters.runs(&self.via).await
            }
        };
        if of_proxy { Failure::Proxy(error) } else { Failure::Pod(error) }
    }
}

/// Refuses to send a secret: our relay was given it when it was started, so one that is new is another pod's.
fn not_ours() -> impl Future<Output = Result<(), Error>> {
    std::future::ready(Err(Error::PodGone { text: "another pod has its name now".to_owned() }))
}

fn refusal(refusal: RelayError<Error>) -> Error {
    match refusal {
        RelayError::Unconfirmed(error) => error,
        other => Error::Pod { text: other.to_string() },
    }
}

#[cfg(test)]
mod tests;
