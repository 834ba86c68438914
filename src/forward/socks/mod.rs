//! Serves the clients of a proxy target: they name their destinations by SOCKS or HTTP, and the relay in the pod
//! resolves the names and connects.

mod associate;
mod http;
mod local;
mod response;
pub(super) mod rules;
mod wire;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::connections::OpenConnection;
use super::dialer::{Dialer, Lease};
use super::reach::{self, End};
use super::state::Forward;
use brow_model::address::Address;
use brow_model::fault::{Fault, What};
use kube_tunnel::Error;
use local::{answer, read, write};
use rules::Rules;
use wire::{Conversation, Protocol, Refusal, Request, Step};

/// The longest time that a client takes to say what it wants. Browsers open connections ahead, and open another where
/// one has ended.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest wait for the cluster's domain, and for a pod that knows it, before the usual one is told.
const DOMAIN_TIMEOUT: Duration = Duration::from_secs(15);

/// The domain of most clusters.
const USUAL_DOMAIN: &str = "cluster.local";

/// A connection that a client asked for.
struct Wanted {
    to: Address,
    /// The protocol of a refusal.
    protocol: Protocol,
    /// The answer once connected.
    answer: Vec<u8>,
    /// The first bytes for the destination.
    first: Vec<u8>,
    /// True for a request of HTTP for a whole URL, whose response is the proxy's to pass on.
    plain: bool,
}

/// Carries one connection: hears what the client wants, and does it.
pub(super) async fn carry<D: Dialer>(
    forward: &Arc<Forward<D>>,
    rules: &Rules,
    local: &Arc<TcpStream>,
    listed: &OpenConnection,
) -> Result<(), End> {
    // A client that has gone, or takes too long, is not answered.
    let Ok(Ok(Some((request, rest)))) = timeout(REQUEST_TIMEOUT, hear(local)).await else { return Ok(()) };
    let wanted = match request {
        Request::Connect { to, protocol } => {
            Wanted { to, protocol, answer: protocol.connected(), first: rest, plain: false }
        }
        Request::Pass { to, head } => {
            Wanted { to, protocol: Protocol::Http, answer: Vec::new(), first: [head, rest].concat(), plain: true }
        }
        Request::Associate { from } => return associate::serve(forward, rules, local, listed, from).await,
        Request::Pac => {
            let at = local.local_addr().map_err(|_| End::Aborted)?;
            return answer(local, &http::pac(at, &rules.allow, &domain(forward, rules).await)).await;
        }
    };
    connect(forward, rules, local, listed, wanted).await
}

/// Hears what a client wants, and answers what it waits for. `None` for what is no request.
async fn hear(local: &TcpStream) -> io::Result<Option<(Request, Vec<u8>)>> {
    let mut conversation = Conversation::default();
    let mut space = [0; 4_096];
    loop {
        match conversation.step() {
            Step::More => match read(local, &mut space).await? {
                0 => return Ok(None),
                count => conversation.take(&space[..count]),
            },
            Step::Answer(bytes) => write(local, &bytes).await?,
            Step::Asked(request) => return Ok(Some((request, conversation.rest()))),
            Step::Refused(bytes) => {
                write(local, &bytes).await?;
                kube_tunnel::end_in_order(local).await;
                return Ok(None);
            }
        }
    }
}

/// Returns the domain of the cluster's names, if need be after there is a pod that knows it.
async fn domain<D: Dialer>(forward: &Arc<Forward<D>>, rules: &Rules) -> String {
    if let Some(known) = rules.domain.get() {
        return known.clone();
    }
    let asked =
        reach::through(forward, |upstream| async move { Ok(forward.dialer.cluster_domain(&upstream.lease).await) });
    match timeout(DOMAIN_TIMEOUT, asked).await {
        Ok(Ok((_, Some(domain)))) => rules.domain.get_or_init(|| domain).clone(),
        Ok(Ok((_, None)) | Err(_)) | Err(_) => USUAL_DOMAIN.to_owned(),
    }
}

/// Connects a client to what it named, or answers why not.
async fn connect<D: Dialer>(
    forward: &Arc<Forward<D>>,
    rules: &Rules,
    local: &Arc<TcpStream>,
    listed: &OpenConnection,
    wanted: Wanted,
) -> Result<(), End> {
    let Wanted { to, protocol, answer: connected, first, plain } = wanted;
    if !forward.allows(rules, &to).await {
        let words = format!("{to} is not among what this proxy target allows");
        return answer(local, &protocol.refused(Refusal::NotAllowed, &words)).await;
    }
    let place = listed.go_to(&forward.connections, &to, &forward.meter);
    let target = &to;
    let opened = reach::through(forward, |upstream| async move {
        // After the wait for a pod: that says nothing of the destination.
        let began = Instant::now();
        let stream = forward.dialer.connect(&upstream.lease, &upstream.via, target).await?;
        Ok((stream, began.elapsed()))
    });
    let (upstream, (mut stream, took)) = match opened.await {
        Ok(opened) => opened,
        Err(End::Failed(fault)) => {
            let words = if fault.detail.is_empty() { to.to_string() } else { format!("{to}: {}", fault.detail) };
            let refused = protocol.refused(refusal(&fault), &words);
            reach::report(forward, reach::place_failure(&place, fault));
            return answer(local, &refused).await;
        }
        // Somebody else was told the reason.
        Err(End::FailedQuietly) => {
            place.fail();
            answer(local, &protocol.refused(Refusal::Failed, &to.to_string())).await?;
            return Err(End::FailedQuietly);
        }
        Err(end) => return Err(end),
    };
    place.connected(took);
    listed.opened();
    write(local, &connected).await.map_err(|_| End::Aborted)?;
    let reported = upstream.lease.target_failure(&stream).unwrap_or_default();
    let sent = stream.write_all(&first).await;
    place.counters.add_up(first.len());
    let sent = if plain && sent.is_ok() { response::begin(local, &mut stream, &place.counters).await } else { sent };
    let result = match sent {
        Ok(()) => upstream.lease.splice(Arc::clone(local), stream, None, &place.counters).await.1,
        Err(error) => Err(Error::from_io(error)),
    };
    match result {
        Ok(()) => {
            kube_tunnel::end_in_order(local).await;
            Ok(())
        }
        Err(error) => {
            Err(match reach::reported_failure(forward, &upstream, &to.to_string(), &error, &reported).await {
                End::Failed(fault) => reach::place_failure(&place, fault),
                end => end,
            })
        }
    }
}

/// Returns the reason of a fault for a client.
fn refusal(fault: &Fault) -> Refusal {
    match fault.what {
        What::TargetRefused => Refusal::Refused,
        What::TargetTimedOut => Refusal::TimedOut,
        What::TargetUnresolved => Refusal::Unresolved,
        // The relay passes the system's words on (strerror(3)).
        What::TargetUnreachable if fault.detail.starts_with("Network") => Refusal::NetworkUnreachable,
        What::TargetUnreachable => Refusal::HostUnreachable,
        _ => Refusal::Failed,
    }
}
