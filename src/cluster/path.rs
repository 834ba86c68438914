//! The way to an API server, and how it is noticed that it was lost without a word: after sleep, another network, or a
//! NAT that forgot.
//!
//! TCP's keep-alive finds that out for a connection that only listens, as a watch does. What it cannot know is told
//! here: when the machine has slept, and when a request gets no answer over a connection that was there and one over a
//! new connection does. Then every older connection ends with an error, and whoever had it asks again over a new one.
//! What was upgraded stays: a tunnel asks its other end by itself whether it is there.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use http::{Response, StatusCode};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tower::BoxError;

use kube_tunnel::contain::contain;

/// A request that got no answer for so long before it was given up says that the way may be lost.
const SLOW: Duration = Duration::from_secs(3);

/// The interval at which the clocks are compared.
const LOOK: Duration = Duration::from_secs(1);

/// By how much more the clock on the wall goes on than the steady one when the machine sleeps.
const SLEPT: Duration = Duration::from_secs(5);

/// The way of one client.
#[derive(Clone, Default)]
pub(super) struct Path {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Tells the connections that were made before an answer stayed away from those that were made after it.
    generation: AtomicU64,
    /// Connections of generations before this one end.
    first: watch::Sender<u64>,
}

/// Identifies a connection in the responses that come over it.
#[derive(Clone)]
struct Mark {
    generation: u64,
    /// Set for one that was upgraded.
    stays: Arc<AtomicBool>,
}

impl Path {
    /// A way whose clocks are watched, for as long as it is used. To be called inside a runtime.
    pub(super) fn watched() -> Self {
        let path = Self::default();
        tokio::spawn(contain(watch_clocks(Arc::downgrade(&path.state))));
        path
    }

    /// A new connection, which ends when the way is lost.
    pub(super) fn connection<T>(&self, inner: T) -> Severable<T> {
        let generation = self.state.generation.load(Ordering::Relaxed);
        let mut first = self.state.first.subscribe();
        let lost = async move {
            if first.wait_for(|first| *first > generation).await.is_err() {
                // The client is gone, and this is the last of it.
                std::future::pending::<()>().await;
            }
        };
        Severable { inner, lost: Box::pin(lost), mark: Mark { generation, stays: Arc::default() } }
    }

    /// Waits for an answer to begin, up to a limit, and learns of the way from it, or from that it does not come.
    /// `passed_on`: it is a node's, whose silence says nothing of the way to the API server.
    pub(super) async fn mind<B, E>(
        &self,
        answer: impl Future<Output = Result<Response<B>, E>>,
        limit: Duration,
        passed_on: bool,
    ) -> Result<Response<B>, BoxError>
    where
        E: Into<BoxError>,
    {
        let mut asked = Asked { state: &self.state, since: Instant::now(), settled: passed_on };
        let words = || format!("no answer within {} s", limit.as_secs());
        let answer = match timeout(limit, answer).await {
            Ok(answer) => answer.map_err(Into::into),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, words()).into()),
        };
        asked.settled |= answer.is_ok();
        if let Some(mark) = answer.as_ref().ok().and_then(|answer| answer.extensions().get::<Mark>()) {
            let upgraded = answer.as_ref().is_ok_and(|answer| answer.status() == StatusCode::SWITCHING_PROTOCOLS);
            mark.stays.fetch_or(upgraded, Ordering::Relaxed);
            // Those that were there when another answer stayed away are lost: a newer one gets through.
            self.state.end_before(mark.generation);
        }
        answer
    }
}

impl State {
    fn end_before(&self, generation: u64) {
        self.first.send_if_modified(|first| {
            let later = generation > *first;
            *first = generation.max(*first);
            later
        });
    }

    /// The machine has slept: no connection is worth waiting for.
    fn end_all(&self) {
        self.end_before(self.generation.fetch_add(1, Ordering::Relaxed) + 1);
    }
}

/// A request that waits for its answer. To be dropped without one casts doubt on the connections that there are.
struct Asked<'a> {
    state: &'a State,
    since: Instant,
    /// True once it says nothing against the way.
    settled: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        // What fails or is given up at once has another reason, such as a refused connection.
        if !self.settled && self.since.elapsed() >= SLOW {
            self.state.generation.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn watch_clocks(state: Weak<State>) {
    let (mut steady, mut wall) = (Instant::now(), SystemTime::now());
    loop {
        sleep(LOOK).await;
        let Some(state) = state.upgrade() else { return };
        let now = SystemTime::now();
        if has_slept(steady.elapsed(), now.duration_since(wall).unwrap_or_default()) {
            state.end_all();
        }
        (steady, wall) = (Instant::now(), now);
    }
}

/// Returns true if the machine slept meanwhile: the steady clock stops then, on Linux and macOS.
fn has_slept(steady: Duration, wall: Duration) -> bool {
    wall.saturating_sub(steady) >= SLEPT
}

/// A connection that ends when the way is found to be lost.
pub(super) struct Severable<T> {
    inner: T,
    lost: Pin<Box<dyn Future<Output = ()> + Send>>,
    mark: Mark,
}

impl<T> Severable<T> {
    /// Fails once the way is lost.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.mark.stays.load(Ordering::Relaxed) && self.lost.as_mut().poll(cx).is_ready() {
            // So that it is not asked once more.
            self.lost = Box::pin(std::future::ready(()));
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the way to the server was lost"));
        }
        Ok(())
    }
}

impl<T: Read + Unpin> Read for Severable<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.inner).poll_read(cx, out)
    }
}

impl<T: Write + Unpin> Write for Severable<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }
}

impl<T: Connection> Connection for Severable<T> {
    fn connected(&self) -> Connected {
        self.inner.connected().extra(self.mark.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;

    type Near = TokioIo<Severable<TokioIo<DuplexStream>>>;

    fn connection(path: &Path) -> (Near, DuplexStream) {
        let (near, far) = tokio::io::duplex(64);
        (TokioIo::new(path.connection(TokioIo::new(near))), far)
    }

    /// An answer over a connection.
    async fn answered(path: &Path, over: &Near, status: StatusCode) {
        let mut answer = Response::new(());
        *answer.status_mut() = status;
        answer.extensions_mut().insert(over.inner().mark.clone());
        path.mind(std::future::ready(Ok::<_, Infallible>(answer)), SLOW, false).await.unwrap();
    }

    /// A request that is given up.
    async fn given_up(path: &Path, after: Duration, passed_on: bool) {
        let never = std::future::pending::<Result<Response<()>, Infallible>>();
        timeout(after, path.mind(never, SLOW * 9, passed_on)).await.unwrap_err();
    }

    async fn lives((near, far): &mut (Near, DuplexStream)) -> bool {
        far.write_all(b"x").await.unwrap();
        near.read_u8().await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_over_a_new_connection_ends_those_that_had_none() {
        let path = Path::default();
        let (mut watch, mut tunnel) = (connection(&path), connection(&path));
        answered(&path, &tunnel.0, StatusCode::SWITCHING_PROTOCOLS).await;
        given_up(&path, SLOW, false).await;
        assert!(lives(&mut watch).await, "a doubt is no proof");
        answered(&path, &watch.0, StatusCode::OK).await;
        assert!(lives(&mut watch).await, "it answers still");
        let mut new = connection(&path);
        answered(&path, &new.0, StatusCode::OK).await;
        assert_eq!((lives(&mut watch).await, lives(&mut new).await), (false, true));
        assert!(lives(&mut tunnel).await, "a tunnel finds out by itself");
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_under_way_ends_too() {
        let path = Path::default();
        let (mut near, _far) = connection(&path);
        let reading = tokio::spawn(async move { near.read_u8().await });
        tokio::task::yield_now().await;
        path.state.end_all();
        assert_eq!(reading.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert!(lives(&mut connection(&path)).await, "what is made after it is not concerned");
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_at_once_or_waits_for_a_node_says_nothing_of_the_way() {
        let path = Path::default();
        let mut watch = connection(&path);
        given_up(&path, SLOW / 2, false).await;
        given_up(&path, SLOW, true).await;
        let refused = std::future::ready(Err::<Response<()>, _>(io::Error::from(io::ErrorKind::ConnectionRefused)));
        assert!(path.mind(refused, SLOW, false).await.is_err());
        let new = connection(&path);
        answered(&path, &new.0, StatusCode::OK).await;
        assert!(lives(&mut watch).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_begin_is_a_failure_and_a_doubt() {
        let path = Path::default();
        let mut watch = connection(&path);
        let never = std::future::pending::<Result<Response<()>, Infallible>>();
        assert!(path.mind(never, SLOW, false).await.is_err());
        let new = connection(&path);
        answered(&path, &new.0, StatusCode::OK).await;
        assert!(!lives(&mut watch).await);
    }

    #[test]
    fn sleep_is_told_by_the_clocks() {
        let second = Duration::from_secs(1);
        for (steady, wall, slept) in [
            (second, second, false),
            (second, second * 3, false),
            (second, second * 600, true),
            (second * 9, second, false),
        ] {
            assert_eq!(has_slept(steady, wall), slept, "{steady:?} {wall:?}");
        }
    }
}
