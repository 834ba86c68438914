//! The client that tunnels are dialed with, and those that take its place: logins run out and are renewed while tunnels
//! live.

use futures::future::BoxFuture;
use tokio::sync::watch;

/// A client, and which login to its cluster it stands for: a later login has a higher number.
#[derive(Clone)]
pub struct Login {
    /// The client.
    pub client: kube::Client,
    /// Tells it from those before and after it.
    pub generation: u64,
}

/// The logins to one cluster, of which the newest is used for whatever is dialed.
pub trait Logins: Send + Sync + 'static {
    /// The login to dial with now, renewed first where that is due. Where it cannot be renewed, the one before.
    fn now(&self) -> BoxFuture<'_, Login>;

    /// Takes note that the server refused a login (401): the next [`Logins::now`] may bring another.
    fn refused(&self, generation: u64);

    /// Returns the newest login, and those that take its place.
    fn subscribe(&self) -> watch::Receiver<Login>;

    /// Changes whenever the API server is known to answer again after it did not: what waits to dial again need not
    /// wait. Never, where nobody finds that out.
    fn answers_again(&self) -> watch::Receiver<u64> {
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
    fn now(&self) -> BoxFuture<'_, Login> {
        Box::pin(std::future::ready(self.0.borrow().clone()))
    }

    fn refused(&self, _: u64) {}

    fn subscribe(&self) -> watch::Receiver<Login> {
        self.0.subscribe()
    }
}
