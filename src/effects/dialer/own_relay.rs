//! Our own relay in a pod, by port-forward: started, kept, and started again with a new login.

use tokio::time::timeout;

use super::ForwardDialer;
use crate::effects::pod_lease::{PodLease, RELAY_START_TIMEOUT};
use crate::forward::LaneEnd;
use crate::proxy::relay::{self, Mux, RelayError, RelayRequest};
use brow_model::event::ForwardEvent;
use brow_model::route::{Relayed, Via};
use brow_model::sanitize;

impl ForwardDialer {
    /// Routes connections through our own relay until it ends. `None` means that the pod does not run it.
    pub(super) async fn keep_relay(&self, lease: &PodLease, via: &Via) -> Option<LaneEnd> {
        let refusal = match self.start_relay(lease, via).await {
            Ok(relay) => {
                self.follow_logins(lease, via, relay).await;
                return Some(LaneEnd::Closed);
            }
            Err(refusal) => refusal,
        };
        lease.go_without();
        match refusal {
            // Once for all forwards through the pod.
            RelayError::Unable(words) => {
                let words = sanitize::line(&words).into_owned();
                let known = self.tunnels.without.lock().insert(via.uid.clone(), words.clone()).is_some();
                match &via.to {
                    Some(Relayed::Named) => self.serves_no_proxy(via, words).await,
                    Some(Relayed::To(_)) if !known => {
                        self.events.send(ForwardEvent::WithoutRelay(via.clone(), words)).await;
                    }
                    Some(Relayed::To(_)) | None => {}
                }
                None
            }
            // Another setting made the pod.
            RelayError::Off | RelayError::Silent => {
                let why = || "the pod was made for another relay".to_owned();
                self.tunnels.without.lock().entry(via.uid.clone()).or_insert_with(why);
                None
            }
            RelayError::WrongSecret | RelayError::Full | RelayError::Unconfirmed(_) | RelayError::Io(_) => {
                Some(LaneEnd::Unavailable)
            }
        }
    }

    /// Routes connections through our own relay until it is lost. New connections get one of the newest login, as soon
    /// as there is one; open ones keep theirs.
    async fn follow_logins(&self, lease: &PodLease, via: &Via, (relay, mut generation): (Mux, Option<u64>)) {
        let mut relay = lease.go_relayed(relay);
        loop {
            // A start that hangs must not hide that the relay is lost.
            let started = tokio::select! {
                () = relay.ended() => break,
                started = async {
                    lease.tunnels.renewed(generation).await;
                    self.start_relay(lease, via).await
                } => started,
            };
            match started {
                Ok((next, of)) => (relay, generation) = (lease.go_relayed(next), of),
                // The one before has to do until the next login.
                Err(error) => {
                    tracing::debug!(pod = via.pod.name, %error, "no relay with a new login");
                    generation = lease.tunnels.generation().or(generation);
                }
            }
        }
        lease.lost_relay();
    }

    /// Starts our own relay in the pod, on one stream that carries all connections. Returns the generation of the login
    /// with it.
    async fn start_relay(
        &self,
        lease: &PodLease,
        via: &Via,
    ) -> Result<(Mux, Option<u64>), RelayError<kube_tunnel::Error>> {
        let secret = self.secret(via);
        // A later one that comes in between is dialed for once more.
        let before = lease.tunnels.generation();
        let mut stream = lease.tunnels.open().await.map_err(RelayError::Unconfirmed)?;
        let start = timeout(RELAY_START_TIMEOUT, async {
            relay::request(&mut stream, &secret, RelayRequest::Start, Box::pin(self.confirm_uid(via))).await?;
            relay::load(&mut stream).await?;
            Mux::start(stream, &secret.key()).await
        });
        let generation = before.or_else(|| lease.tunnels.generation());
        let late = |_| RelayError::Unable(format!("not started within {} s", RELAY_START_TIMEOUT.as_secs()));
        start.await.map_err(late)?.map(|mux| (mux, generation))
    }
}
