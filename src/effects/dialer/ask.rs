//! Requests to relays, and their answers.

use std::time::Duration;

use tokio::time::timeout;

use crate::forward::ReachError;
use crate::proxy::relay::{self, RelayError, RelayRequest, RelayStream, Secret};
use brow_model::address::Address;
use brow_model::fault::Fault;
use kube_tunnel::{Lease, Stream};

/// The timeout of a relay's answer, including the API server's if the relay is new.
const RELAY_ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Waits until our own relay has connected a stream to an address, and returns the time that this took.
pub(super) async fn connected(stream: &mut RelayStream, to: &Address) -> Result<Duration, ReachError> {
    stream.connected().await.map_err(|error| match stream.failure().get() {
        Some((what, words)) => ReachError::Target(Fault::new(*what, to.to_string(), words)),
        None => ReachError::Tunnel(error),
    })
}

/// Opens a stream to a relay and sends it a request. A new relay is given its secret, if `confirm` agrees.
///
/// # Errors
/// The tunnel's error, or that the relay does not know the secret.
pub async fn ask_relay(
    lease: &Lease,
    secret: &Secret,
    request: RelayRequest<'_>,
    confirm: impl Future<Output = Result<(), kube_tunnel::Error>>,
) -> Result<Stream, kube_tunnel::Error> {
    let mut stream = lease.open().await?;
    answered(relay::request(&mut stream, secret, request, confirm)).await?;
    Ok(stream)
}

/// Waits for a relay's answer, and translates its refusal.
pub(super) async fn answered(
    asked: impl Future<Output = Result<(), RelayError<kube_tunnel::Error>>>,
) -> Result<(), kube_tunnel::Error> {
    use kube_tunnel::Error;
    match timeout(RELAY_ANSWER_TIMEOUT, asked).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(RelayError::Io(error))) => Err(Error::from_io(error)),
        Ok(Err(RelayError::Unconfirmed(error))) => Err(error),
        Ok(Err(
            refusal @ (RelayError::WrongSecret
            | RelayError::Full
            | RelayError::Silent
            | RelayError::Off
            | RelayError::Unable(_)),
        )) => Err(Error::Pod { text: refusal.to_string() }),
        // It may be busy: that says nothing of its version.
        Err(_) => Err(Error::TunnelLost {
            text: format!("no answer of the relay within {} s", RELAY_ANSWER_TIMEOUT.as_secs()),
        }),
    }
}
