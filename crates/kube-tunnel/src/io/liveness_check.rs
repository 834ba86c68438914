//! Checks whether a connection lives if its own silence proves nothing: by the kernel's view of it, and by whether the
//! API server answers anybody at all.

use std::{net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use http::Request;
use kube::client::Body;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::peer::{self, TcpState};
use crate::{contain::contain, login::Logins};

/// The timeout of the API server's answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The delays in seconds of the requests, which run in parallel: a connection that the client kept ready may be dead,
/// too.
const RETRY_DELAYS: [u64; 3] = [0, 1, 2];

/// A running check. It returns the reason why the connection is lost, or `None` if nothing shows that it is.
pub(crate) type CheckFuture = Pin<Box<dyn Future<Output = Option<String>> + Send>>;

/// The checks of one connection.
#[derive(Clone)]
pub(crate) struct LivenessCheck(Arc<dyn Fn() -> CheckFuture + Send + Sync>);

impl LivenessCheck {
    /// Creates checks that ask the kernel about the connection between `ends`, and the API server for any answer.
    pub(crate) fn new(logins: Arc<dyn Logins>, ends: Option<(SocketAddr, SocketAddr)>) -> Self {
        Self(Arc::new(move || {
            let logins = Arc::clone(&logins);
            Box::pin(async move {
                if let Some((ours, theirs)) = ends
                    && peer::tcp_state(ours, theirs) == TcpState::Dead
                {
                    return Some("the network takes nothing from us any more".to_owned());
                }
                let silent = || "the API server answers no new connection either".to_owned();
                (!answers(logins.current().await.client).await).then(silent)
            })
        }))
    }

    /// Starts a check.
    pub(crate) fn ask(&self) -> CheckFuture {
        (self.0)()
    }
}

/// Returns whether the API server gives any answer: a refusal is one, too.
async fn answers(client: kube::Client) -> bool {
    let mut asked = JoinSet::new();
    for seconds in RETRY_DELAYS {
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
impl LivenessCheck {
    /// One that knows nothing.
    pub(crate) fn mute() -> Self {
        Self::saying(|| None)
    }

    /// One that says this.
    pub(crate) fn saying(words: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(move || Box::pin(std::future::ready(words()))))
    }
}
