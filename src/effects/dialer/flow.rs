//! Flows of datagrams: through our own relay, or through socat where that does not run.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use super::ForwardDialer;
use crate::effects::pod_lease::PodLease;
use crate::forward::{Deliver, Flow, Incoming, ReachError};
use crate::proxy::relay::{self, Dump, Dumped, RelayRequest};
use brow_model::fault::{Fault, What};
use brow_model::route::{Relayed, Via};
use brow_model::settings::Relay;
use kube_tunnel::{Error, Stream};

/// The most datagrams of a flow that wait for socat's stream; further ones are dropped.
const MAX_WAITING: usize = 32;

/// A flow through socat, on a stream of its own.
struct SocatFlow {
    frames: mpsc::Sender<Vec<u8>>,
    ended: watch::Receiver<Option<ReachError>>,
    _carrying: AbortOnDropHandle<()>,
}

impl Flow for SocatFlow {
    fn send(&self, datagram: &[u8]) -> bool {
        relay::frame(datagram).is_some_and(|frame| self.frames.try_send(frame).is_ok())
    }

    fn ended(&self) -> BoxFuture<'_, ReachError> {
        let mut ended = self.ended.clone();
        Box::pin(async move {
            let error = ended.wait_for(Option::is_some).await.ok().and_then(|error| error.clone());
            error.unwrap_or(ReachError::Tunnel(Error::Closed))
        })
    }
}

impl ForwardDialer {
    /// Opens a flow to the address of `via`. What comes back is given to `deliver`.
    pub(super) async fn begin_flow(
        &self,
        lease: &PodLease,
        via: &Via,
        deliver: Deliver,
    ) -> Result<Arc<dyn Flow>, ReachError> {
        let Some(address) = via.to.as_ref().and_then(Relayed::address).filter(|address| address.is_udp()) else {
            return Err(ReachError::Target(Fault::new(What::NoUdp, &via.pod.name, "")));
        };
        if let Some(relay) = lease.relay().await {
            return PodLease::flow_through(&relay, address, deliver);
        }
        if self.relay == Relay::Auto && self.why_without(via).is_empty() {
            return Err(self.being_started_again(via).await);
        }
        let request = RelayRequest::Datagrams(address);
        let stream = self.request(&lease.tunnels, via, request).await.map_err(ReachError::Tunnel)?;
        let ((frames, waiting), (end, ended)) = (mpsc::channel(MAX_WAITING), watch::channel(None));
        let (address, pod) = (address.to_string(), via.pod.name.clone());
        let carrying = tokio::spawn(async move {
            let error = carry(stream, waiting, &deliver, &address, &pod).await;
            end.send_replace(Some(error));
        });
        Ok(Arc::new(SocatFlow { frames, ended, _carrying: AbortOnDropHandle::new(carrying) }))
    }

    /// Returns the error while a relay that was lost is being started again, if its pod is still there.
    pub(super) async fn being_started_again(&self, via: &Via) -> ReachError {
        let text = "the pod's relay is being started again".to_owned();
        ReachError::Tunnel(self.confirm_uid(via).await.err().unwrap_or(Error::TunnelLost { text }))
    }
}

/// Moves datagrams both ways until the flow is over, and returns the reason.
async fn carry(
    stream: Stream,
    mut waiting: mpsc::Receiver<Vec<u8>>,
    deliver: &Deliver,
    address: &str,
    pod: &str,
) -> ReachError {
    let (mut from, mut to) = tokio::io::split(stream);
    let up = async {
        while let Some(frame) = waiting.recv().await {
            if let Err(error) = async {
                to.write_all(&frame).await?;
                to.flush().await
            }
            .await
            {
                return ReachError::Tunnel(Error::from_io(error));
            }
        }
        ReachError::Tunnel(Error::Closed)
    };
    let down = async {
        let (mut dump, mut space, mut failed) = (Dump::default(), vec![0; 1 << 16], None);
        loop {
            let count = match from.read(&mut space).await {
                Ok(0) => return ReachError::Tunnel(Error::Pod { text: "the pod's socat ended".to_owned() }),
                Ok(count) => count,
                Err(error) => return ReachError::Tunnel(Error::from_io(error)),
            };
            let read = dump.take(&space[..count], |dumped| match dumped {
                Dumped::Datagram(datagram) => deliver(Incoming::Datagram(&datagram)),
                Dumped::Failed(What::Relay, words) => failed = Some(Fault::new(What::NoUdp, pod, words)),
                Dumped::Failed(what, words) => failed = Some(Fault::new(what, address, words)),
            });
            if let Err(text) = read {
                return ReachError::Tunnel(Error::Protocol { text: text.to_owned() });
            }
            if let Some(fault) = failed {
                return ReachError::Target(fault);
            }
        }
    };
    tokio::select! {
        error = up => error,
        error = down => error,
    }
}
