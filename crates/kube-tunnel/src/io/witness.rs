//! A second opinion on whether a connection lives, where its own silence says nothing: the kernel's view of it, and
//! whether the API server answers anybody at all.

use std::{net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use http::Request;
use kube::client::Body;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::peer::{self, Wire};
use crate::{contain::contain, login::Logins};

/// The time that the API server may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The seconds after which it is asked again meanwhile: a connection that the client held ready may be a dead one, too.
const AGAIN: [u64; 3] = [0, 1, 2];

/// Ends with the reason why the connection is lost, or with nothing where it lives as far as anybody can tell.
pub(crate) type Inquiry = Pin<Box<dyn Future<Output = Option<String>> + Send>>;

/// Asks about one connection.
#[derive(Clone)]
pub(crate) struct Witness(Arc<dyn Fn() -> Inquiry + Send + Sync>);

impl Witness {
    /// Asks the kernel about the connection between `ends`, and the API server for any answer.
    pub(crate) fn new(logins: Arc<dyn Logins>, ends: Option<(SocketAddr, SocketAddr)>) -> Self {
        Self(Arc::new(move || {
            let logins = Arc::clone(&logins);
            Box::pin(async move {
                if let Some((ours, theirs)) = ends
                    && peer::wire(ours, theirs) == Wire::Dead
                {
                    return Some("the network takes nothing from us any more".to_owned());
                }
                let silent = || "the API server answers no new connection either".to_owned();
                (!answers(logins.now().await.client).await).then(silent)
            })
        }))
    }

    /// Starts to find out.
    pub(crate) fn ask(&self) -> Inquiry {
        (self.0)()
    }
}

/// Returns whether the API server gives any answer: a refusal is one, too.
async fn answers(client: kube::Client) -> bool {
    let mut asked = JoinSet::new();
    for seconds in AGAIN {
        let client = client.clone();
        asked.spawn(contain(async move {
            sleep(Duration::from_secs(seconds)).await;
            let request = Request::get("/version").body(Body::empty()).ok()?;
            client.send(request).await.ok()
        }));
    }
    let any = async {
        while let Some(answer) = asked.join_next().await {
            if matches!(answer, Ok(Ok(Some(_)))) {
                return true;
            }
        }
        false
    };
    timeout(ANSWER_TIMEOUT, any).await.unwrap_or(false)
}

#[cfg(test)]
impl Witness {
    /// One that knows nothing.
    pub(crate) fn mute() -> Self {
        Self::saying(|| None)
    }

    /// One that says this.
    pub(crate) fn saying(words: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(move || Box::pin(std::future::ready(words()))))
    }
}
