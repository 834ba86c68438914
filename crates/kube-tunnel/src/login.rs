//! Clients that are replaced while tunnels live: logins expire and are renewed.

use futures::future::BoxFuture;
use tokio::sync::watch;

/// A client with the generation of its login.
#[derive(Clone)]
pub struct Login {
    /// The client, as [`Tunnels::new`](crate::Tunnels::new) wants it.
    pub client: kube::Client,
    /// The generation: a later login has a higher number.
    pub generation: u64,
}

/// A source of logins to one cluster, of which the newest is used to open tunnels.
///
/// The example `examples/logins.rs` of the repository follows a kubeconfig this way. [`Logins::subscribe`] tells of a
/// login that others asked for; [`Logins::current`] may renew one first, and what it returns is the channel's newest.
pub trait Logins: Send + Sync + 'static {
    /// Returns the login to dial with, renewed if that is due. If it cannot be renewed, returns the previous one.
    ///
    /// # Cancel safety
    /// The future must be cancel safe: it is dropped when a connection is given up.
    fn current(&self) -> BoxFuture<'_, Login>;

    /// Notes that the server refused a login (401): the next [`Logins::current`] may return another. Must return at
    /// once; may be called several times for one generation.
    fn refused(&self, generation: u64);

    /// Returns a `tokio::sync::watch` channel with the newest login, which changes with each new one.
    fn subscribe(&self) -> watch::Receiver<Login>;

    /// Returns a channel that changes whenever the API server is known to answer again after it did not: pauses between
    /// attempts are then cut short. The number itself has no meaning. By default it never changes.
    fn recoveries(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
}

/// A login that never changes.
pub(crate) struct Fixed(watch::Sender<Login>);

impl Fixed {
    pub(crate) fn new(client: kube::Client) -> Self {
        Self(watch::Sender::new(Login { client, generation: 0 }))
    }
}

impl Logins for Fixed {
    fn current(&self) -> BoxFuture<'_, Login> {
        Box::pin(std::future::ready(self.0.borrow().clone()))
    }

    fn refused(&self, _: u64) {}

    fn subscribe(&self) -> watch::Receiver<Login> {
        self.0.subscribe()
    }
}
