//! Opens tunnels, and chooses their protocol.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use http::Method;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;

use super::{
    liveness_check::LivenessCheck,
    transport::Transport,
    upgrade::{Failure, pod_proxy, upgrade},
};
use crate::{
    contain::lock,
    error::Error,
    login::{Login, Logins},
    protocol::Protocol,
};

/// The timeout of one attempt. A gateway that swallows an upgrade is noticed by this alone.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest wait of later attempts for the outcome of the first, which settles the protocol for all. They do not
/// wait longer: the network may be back before an attempt that began earlier times out.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(1);

/// The time for which a protocol that is not the best is used without trying better ones. A gateway that had a bad
/// moment, or was replaced, should not cost the speed of a whole day.
const PROTOCOL_TTL: Duration = Duration::from_mins(10);

/// The destination of a stream: a port of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Route {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The port inside the pod, on its loopback address.
    pub port: u16,
}

/// Dials the tunnels of one cluster and remembers which protocol worked.
pub(crate) struct Dialer {
    logins: Arc<dyn Logins>,
    pub newest: watch::Receiver<Login>,
    forced: Option<Protocol>,
    worked: Mutex<Option<(Protocol, Instant)>>,
    /// Namespaces in which SPDY was let through by GET and not by POST, and when.
    by_get: Mutex<HashMap<String, Instant>>,
    /// Held while it is not settled which protocol works.
    settling: tokio::sync::Mutex<()>,
}

/// A new tunnel's connection.
pub(crate) struct Dialed {
    pub protocol: Protocol,
    pub transport: Transport,
    /// The generation of the login that opened it.
    pub generation: u64,
}

impl Dialer {
    pub(crate) fn new(logins: Arc<dyn Logins>, forced: Option<Protocol>) -> Self {
        Self {
            newest: logins.subscribe(),
            logins,
            forced,
            worked: Mutex::default(),
            by_get: Mutex::default(),
            settling: tokio::sync::Mutex::default(),
        }
    }

    /// Returns the protocol in use, if it is settled.
    pub(crate) fn settled(&self) -> Option<Protocol> {
        self.forced.or(lock(&self.worked).map(|(protocol, _)| protocol))
    }

    fn settle(&self, protocol: Protocol) {
        let mut worked = lock(&self.worked);
        // What is confirmed again is not remembered for longer: the better ones are to be tried again.
        if worked.is_none_or(|(known, at)| known != protocol || at.elapsed() >= PROTOCOL_TTL) {
            *worked = Some((protocol, Instant::now()));
        }
    }

    /// See [`Logins::recoveries`].
    pub(crate) fn recoveries(&self) -> watch::Receiver<u64> {
        self.logins.recoveries()
    }

    /// Returns the checks of the connection between these addresses.
    pub(crate) fn liveness_check(&self, ends: Option<(SocketAddr, SocketAddr)>) -> LivenessCheck {
        LivenessCheck::new(Arc::clone(&self.logins), ends)
    }

    /// Returns the protocols to try, in order.
    fn order(&self) -> Vec<Protocol> {
        if let Some(forced) = self.forced {
            return vec![forced];
        }
        let mut order = Protocol::ALL.to_vec();
        if let Some((protocol, at)) = *lock(&self.worked)
            && at.elapsed() < PROTOCOL_TTL
        {
            order.retain(|other| *other != protocol);
            order.insert(0, protocol);
        }
        order
    }

    /// Waits while another attempt is finding out which protocol works.
    async fn settling(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        if self.settled().is_some() {
            return None;
        }
        let turn = tokio::time::timeout(SETTLE_TIMEOUT, self.settling.lock()).await.ok();
        if self.settled().is_some() { None } else { turn }
    }

    /// Opens a connection for `route` with the newest login, or with a renewed one if the server refuses that. With
    /// `ahead`, protocols whose connections reach the pod at once are not used; [`Error::Closed`] means that there was
    /// no other.
    pub(crate) async fn dial(&self, route: &Route, ahead: bool) -> Result<Dialed, Error> {
        check(&route.namespace, &route.pod)?;
        let login = self.logins.current().await;
        let refused = match self.dial_as(&login, route, ahead).await {
            Err(error @ Error::Unauthorized { .. }) => error,
            dialed => return dialed,
        };
        let Some(renewed) = self.renewed(&login).await else { return Err(refused) };
        self.dial_as(&renewed, route, ahead).await
    }

    /// Returns a later login than one that the server refused.
    async fn renewed(&self, refused: &Login) -> Option<Login> {
        self.logins.refused(refused.generation);
        let renewed = self.logins.current().await;
        (renewed.generation != refused.generation).then_some(renewed)
    }

    /// Connects to a pod through `pods/proxy`, as [`Dialer::dial`] does: by GET, and by POST where that is forbidden.
    pub(crate) async fn pod_proxy(&self, route: &Route, token: &'static str) -> Result<TokioIo<Upgraded>, Error> {
        check(&route.namespace, &route.pod)?;
        let first = self.logins.current().await;
        let (mut login, mut forbidden) = (first.clone(), None);
        loop {
            let method = if forbidden.is_none() { &Method::GET } else { &Method::POST };
            match pod_proxy(&login.client, method, route, token).await {
                Err(error @ Error::Forbidden { .. }) => match forbidden {
                    // The right to get is the one that is named in the documents.
                    Some(first) => return Err(first),
                    None => forbidden = Some(error),
                },
                Err(refused @ Error::Unauthorized { .. }) if login.generation == first.generation => {
                    login = self.renewed(&login).await.ok_or(refused)?;
                }
                other => return other,
            }
        }
    }

    /// Opens a connection with one login, falling back from protocol to protocol.
    async fn dial_as(&self, login: &Login, route: &Route, ahead: bool) -> Result<Dialed, Error> {
        let _turn = self.settling().await;
        let mut worst: Option<Failure> = None;
        let mut passing = false;
        for protocol in self.order() {
            if ahead && protocol == Protocol::V4 {
                return match worst {
                    // Not a failure of the moment, such as a time-out, a node that is away or a missing right: those
                    // say nothing of protocols.
                    Some(Failure { error: Error::Upgrade { .. }, .. }) if !passing => {
                        self.settle(Protocol::V4);
                        Err(Error::Closed)
                    }
                    Some(failure) => Err(failure.error),
                    None => Err(Error::Closed),
                };
            }
            let attempt = tokio::time::timeout(DIAL_TIMEOUT, self.attempt(&login.client, protocol, route)).await;
            let failure = match attempt {
                Ok(Ok(transport)) => {
                    if !passing {
                        self.settle(protocol);
                    }
                    return Ok(Dialed { protocol, transport, generation: login.generation });
                }
                Ok(Err(failure)) => failure,
                Err(_) => Failure::new(
                    Error::Unreachable { text: format!("no answer within {} s", DIAL_TIMEOUT.as_secs()) },
                    true,
                ),
            };
            passing |= failure.passing;
            let go_on = failure.go_on;
            if worst.as_ref().is_none_or(|worst| !worst.is_status && failure.is_status) {
                worst = Some(failure);
            }
            if !go_on {
                break;
            }
        }
        Err(worst.map_or(Error::Closed, |failure| failure.error))
    }

    /// Opens a connection in one protocol. SPDY is asked for by POST, and by GET where that is forbidden: below
    /// Kubernetes 1.35, a user who may only `get pods/portforward` has that right.
    async fn attempt(&self, client: &kube::Client, protocol: Protocol, route: &Route) -> Result<Transport, Failure> {
        if protocol != Protocol::Spdy {
            return upgrade(client, protocol, &Method::GET, route).await;
        }
        let known = lock(&self.by_get).get(&route.namespace).is_some_and(|at| at.elapsed() < PROTOCOL_TTL);
        let methods = if known { [Method::GET, Method::POST] } else { [Method::POST, Method::GET] };
        let first = match upgrade(client, protocol, &methods[0], route).await {
            Err(failure) if failure.is_forbidden() => failure,
            other => return other,
        };
        let second = upgrade(client, protocol, &methods[1], route).await;
        match second {
            Ok(transport) => {
                let mut by_get = lock(&self.by_get);
                if methods[1] == Method::GET {
                    by_get.insert(route.namespace.clone(), Instant::now());
                } else {
                    by_get.remove(&route.namespace);
                }
                Ok(transport)
            }
            // `WebSockets` would ask for the right to get once more.
            Err(failure) if failure.is_forbidden() => {
                let go_on = !(first.is_status && failure.is_status);
                let told = if methods[0] == Method::POST { first } else { failure };
                Err(Failure { go_on, ..told })
            }
            Err(failure) => Err(failure),
        }
    }
}

/// Checks names that become part of a path: they must not change its structure.
pub(super) fn check(namespace: &str, pod: &str) -> Result<(), Error> {
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with('.')
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
    };
    if is_name(namespace) && is_name(pod) {
        Ok(())
    } else {
        Err(Error::NoSuchPod { text: format!("{namespace}/{pod} is no name of a pod") })
    }
}

#[cfg(test)]
mod tests;
