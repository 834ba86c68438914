//! The liveness of connections to an API server: detects that they were lost silently, after sleep, on another network,
//! or by a NAT that forgot them.
//!
//! TCP keep-alive detects that for connections that only listen, as watches do. Here it is detected in two other cases:
//! if the machine has slept, and if a request gets no answer over an existing connection while another does over a new
//! one. Then every older connection fails, and its requests are retried over new ones. Two kinds are excepted: one over
//! which bytes have just arrived, for it works again, and what it brings may be the answer to a request that cannot be
//! repeated; and upgraded ones, as tunnels check their peers themselves.

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
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tower::BoxError;

use kube_tunnel::contain::contain;

/// A request that was given up without an answer after this long casts doubt on the existing connections.
const SUSPECT_AFTER: Duration = Duration::from_secs(3);

/// The interval at which the clocks are compared to detect sleep.
const CLOCK_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The difference between the wall clock and the steady clock that counts as sleep.
const SLEEP_THRESHOLD: Duration = Duration::from_secs(5);

/// The liveness of one client's connections.
#[derive(Clone, Default)]
pub(super) struct Liveness {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// The generation of new connections, raised when an answer is missing.
    generation: AtomicU64,
    /// Connections of generations before this one end.
    first: watch::Sender<u64>,
}

/// Identifies a connection in the responses that come over it.
#[derive(Clone)]
struct ConnectionTag {
    generation: u64,
    /// Set for one that was upgraded.
    stays: Arc<AtomicBool>,
}

impl Liveness {
    /// Creates an instance that watches the clocks as long as it is used. Must be called within a tokio runtime.
    pub(super) fn monitored() -> Self {
        Self::monitored_by(SystemTime::now)
    }

    /// Creates one that reads the time of day from `wall`.
    pub(super) fn monitored_by(wall: impl Fn() -> SystemTime + Send + 'static) -> Self {
        let path = Self::default();
        tokio::spawn(contain(watch_clocks(Arc::downgrade(&path.state), wall)));
        path
    }

    /// Wraps a new connection, which fails when connections of its generation are lost.
    pub(super) fn connection<T>(&self, inner: T) -> Severable<T> {
        let generation = self.state.generation.load(Ordering::Relaxed);
        let mut first = self.state.first.subscribe();
        let lost = async move {
            if first.wait_for(|first| *first > generation).await.is_err() {
                // The client is gone, and this is the last of it.
                std::future::pending::<()>().await;
            }
        };
        let tag = ConnectionTag { generation, stays: Arc::default() };
        Severable { inner, lost: Box::pin(lost), last_read: None, tag }
    }

    /// Waits up to `limit` for an answer to begin, and learns from the outcome whether connections are lost. With
    /// `for_node`, a node answers the request, and its silence says nothing about the API server.
    pub(super) async fn observe<B, E>(
        &self,
        answer: impl Future<Output = Result<Response<B>, E>>,
        limit: Duration,
        for_node: bool,
    ) -> Result<Response<B>, BoxError>
    where
        E: Into<BoxError>,
    {
        let mut request = PendingRequest { state: &self.state, since: Instant::now(), settled: for_node };
        let words = || format!("no answer within {} s", limit.as_secs());
        let answer = match timeout(limit, answer).await {
            Ok(answer) => answer.map_err(Into::into),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, words()).into()),
        };
        request.settled |= answer.is_ok();
        if let Some(tag) = answer.as_ref().ok().and_then(|answer| answer.extensions().get::<ConnectionTag>()) {
            let upgraded = answer.as_ref().is_ok_and(|answer| answer.status() == StatusCode::SWITCHING_PROTOCOLS);
            tag.stays.fetch_or(upgraded, Ordering::Relaxed);
            // Those that were there when another answer stayed away are lost: a newer one gets through.
            self.state.end_before(tag.generation);
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

    /// Ends all connections, because the machine has slept.
    fn end_all(&self) {
        self.end_before(self.generation.fetch_add(1, Ordering::Relaxed) + 1);
    }
}

/// A request that waits for its answer. Dropping it without one casts doubt on the existing connections.
struct PendingRequest<'a> {
    state: &'a State,
    since: Instant,
    /// True once the outcome is no reason for doubt.
    settled: bool,
}

impl Drop for PendingRequest<'_> {
    fn drop(&mut self) {
        // What fails or is given up at once has another reason, such as a refused connection.
        if !self.settled && self.since.elapsed() >= SUSPECT_AFTER {
            self.state.generation.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn watch_clocks(state: Weak<State>, wall: impl Fn() -> SystemTime) {
    let (mut steady, mut before) = (Instant::now(), wall());
    loop {
        sleep(CLOCK_CHECK_INTERVAL).await;
        let Some(state) = state.upgrade() else { return };
        let now = wall();
        if has_slept(steady.elapsed(), now.duration_since(before).unwrap_or_default()) {
            state.end_all();
        }
        (steady, before) = (Instant::now(), now);
    }
}

/// Returns true if the machine slept meanwhile: the steady clock stops then, on Linux and macOS.
fn has_slept(steady: Duration, wall: Duration) -> bool {
    wall.saturating_sub(steady) >= SLEEP_THRESHOLD
}

/// A connection that fails when it is found to be lost.
pub(super) struct Severable<T> {
    inner: T,
    lost: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// The time at which bytes last arrived.
    last_read: Option<Instant>,
    tag: ConnectionTag,
}

impl<T> Severable<T> {
    /// Fails once the connection counts as lost, and has been silent for [`SUSPECT_AFTER`]: a lost one was silent for
    /// at least as long.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.tag.stays.load(Ordering::Relaxed) && self.lost.as_mut().poll(cx).is_ready() {
            let silent_at = self.last_read.map(|last_read| last_read + SUSPECT_AFTER);
            let Some(silent_at) = silent_at.filter(|silent_at| *silent_at > Instant::now()) else {
                // So that it is not asked once more.
                self.lost = Box::pin(std::future::ready(()));
                let words = "the connection to the server was lost";
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, words));
            };
            self.lost = Box::pin(sleep_until(silent_at));
        }
        Ok(())
    }
}

impl<T: Read + Unpin> Read for Severable<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        // First what has arrived: a lost connection brings nothing.
        let read = Pin::new(&mut self.inner).poll_read(cx, out);
        if read.is_ready() {
            self.last_read = Some(Instant::now());
            return read;
        }
        self.check(cx)?;
        Poll::Pending
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
        self.inner.connected().extra(self.tag.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;

    type Near = TokioIo<Severable<TokioIo<DuplexStream>>>;

    fn connection(path: &Liveness) -> (Near, DuplexStream) {
        let (near, far) = tokio::io::duplex(64);
        (TokioIo::new(path.connection(TokioIo::new(near))), far)
    }

    async fn answered(path: &Liveness, over: &Near, status: StatusCode) {
        let mut answer = Response::new(());
        *answer.status_mut() = status;
        answer.extensions_mut().insert(over.inner().tag.clone());
        path.observe(std::future::ready(Ok::<_, Infallible>(answer)), SUSPECT_AFTER, false).await.unwrap();
    }

    /// A request that is given up.
    async fn given_up(path: &Liveness, after: Duration, for_node: bool) {
        let never = std::future::pending::<Result<Response<()>, Infallible>>();
        timeout(after, path.observe(never, SUSPECT_AFTER * 9, for_node)).await.unwrap_err();
    }

    /// Returns whether a connection over which nothing arrives is still kept.
    async fn lives((near, _far): &mut (Near, DuplexStream)) -> bool {
        timeout(Duration::from_millis(1), near.read_u8()).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_over_a_new_connection_ends_those_that_had_none() {
        let path = Liveness::default();
        let (mut watch, mut tunnel) = (connection(&path), connection(&path));
        answered(&path, &tunnel.0, StatusCode::SWITCHING_PROTOCOLS).await;
        given_up(&path, SUSPECT_AFTER, false).await;
        assert!(lives(&mut watch).await, "a doubt is no proof");
        answered(&path, &watch.0, StatusCode::OK).await;
        assert!(lives(&mut watch).await, "it answers still");
        let mut new = connection(&path);
        answered(&path, &new.0, StatusCode::OK).await;
        assert_eq!((lives(&mut watch).await, lives(&mut new).await), (false, true));
        assert!(lives(&mut tunnel).await, "a tunnel finds out by itself");
    }

    #[tokio::test(start_paused = true)]
    async fn what_arrives_is_read_and_ends_the_doubt_for_as_long() {
        let path = Liveness::default();
        let (mut near, mut far) = connection(&path);
        far.write_all(b"ab").await.unwrap();
        path.state.end_all();
        assert_eq!(near.read_u8().await.unwrap(), b'a', "what has arrived is not lost");
        assert_eq!(near.read_u8().await.unwrap(), b'b');
        let reading = tokio::spawn(async move { (near.read_u8().await, near) });
        sleep(SUSPECT_AFTER / 2).await;
        far.write_all(b"c").await.unwrap();
        let (read, mut near) = reading.await.unwrap();
        assert_eq!(read.unwrap(), b'c', "the rest of an answer may follow");
        let begin = Instant::now();
        assert_eq!(near.read_u8().await.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert!(begin.elapsed() >= SUSPECT_AFTER, "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_under_way_ends_too() {
        let path = Liveness::default();
        let (mut near, _far) = connection(&path);
        let reading = tokio::spawn(async move { near.read_u8().await });
        tokio::task::yield_now().await;
        path.state.end_all();
        assert_eq!(reading.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert!(lives(&mut connection(&path)).await, "what is made after it is not concerned");
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_at_once_or_waits_for_a_node_says_nothing_of_the_way() {
        let path = Liveness::default();
        let mut watch = connection(&path);
        given_up(&path, SUSPECT_AFTER / 2, false).await;
        given_up(&path, SUSPECT_AFTER, true).await;
        let refused = std::future::ready(Err::<Response<()>, _>(io::Error::from(io::ErrorKind::ConnectionRefused)));
        assert!(path.observe(refused, SUSPECT_AFTER, false).await.is_err());
        let new = connection(&path);
        answered(&path, &new.0, StatusCode::OK).await;
        assert!(lives(&mut watch).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_begin_is_a_failure_and_a_doubt() {
        let path = Liveness::default();
        let mut watch = connection(&path);
        let never = std::future::pending::<Result<Response<()>, Infallible>>();
        assert!(path.observe(never, SUSPECT_AFTER, false).await.is_err());
        let new = connection(&path);
        answered(&path, &new.0, StatusCode::OK).await;
        assert!(!lives(&mut watch).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_wakes_up_makes_its_connections_anew() {
        let (begin, slept) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let asleep = Arc::clone(&slept);
        let wall =
            move || SystemTime::UNIX_EPOCH + begin.elapsed() + Duration::from_secs(asleep.load(Ordering::Relaxed));
        let path = Liveness::monitored_by(wall);
        let (mut watch, mut tunnel) = (connection(&path), connection(&path));
        answered(&path, &tunnel.0, StatusCode::SWITCHING_PROTOCOLS).await;
        sleep(CLOCK_CHECK_INTERVAL * 10).await;
        assert!(lives(&mut watch).await, "as long as it is awake");
        slept.store(600, Ordering::Relaxed);
        sleep(CLOCK_CHECK_INTERVAL * 2).await;
        assert!(!lives(&mut watch).await);
        assert!(lives(&mut tunnel).await, "a tunnel finds out by itself");
        let mut new = connection(&path);
        sleep(CLOCK_CHECK_INTERVAL * 10).await;
        assert!(lives(&mut new).await, "once for each sleep");
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
