//! The life and death of a tunnel, on a clock that is paused.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    task::JoinHandle,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{liveness_check::LivenessCheck, stream::Stream, transport::Transport},
    *,
};
use crate::{
    contain::is_contained,
    proto::frame::{self, HEAD},
    protocol::Protocol,
};

/// The message of a witness that panics.
const PANIC: &str = "something broke";

struct Stage {
    session: Arc<Session>,
    stream: Stream,
    far: DuplexStream,
    asked: Arc<AtomicUsize>,
}

impl Stage {
    /// A tunnel with one stream, and a witness that says this of it.
    fn new(words: Option<&'static str>) -> Self {
        let (near, far) = tokio::io::duplex(16 << 20);
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let liveness_check = LivenessCheck::saying(move || {
            count.fetch_add(1, Ordering::Relaxed);
            assert!(words != Some(PANIC) || !is_contained(), "{PANIC}");
            words.map(str::to_owned)
        });
        let transport = Transport::bare(near);
        let session =
            Arc::new(Session::new(Protocol::Spdy, transport, liveness_check, Arc::default(), CancellationToken::new()));
        let stream = session.stream(80);
        stream.open().unwrap();
        tokio::spawn(pump(Arc::clone(&session)));
        Self { session, stream, far, asked }
    }

    fn send(&self, frames: usize) {
        for _ in 0..frames {
            self.stream.send(BytesMut::zeroed(HEAD + 1000)).unwrap();
        }
    }

    /// Returns why the tunnel ended, if it did.
    fn death(&self) -> Option<Error> {
        self.session.link().dead.clone()
    }
}

/// Takes what comes, and answers nothing.
fn swallow(mut far: DuplexStream) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut scrap = vec![0; 64 * 1024];
        while far.read(&mut scrap).await.is_ok_and(|count| count > 0) {}
    })
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_the_pod_does_not_read_keeps_its_tunnel_and_takes_no_others() {
    let stage = Stage::new(None);
    stage.send(200);
    let _peer = swallow(stage.far);
    sleep(Duration::from_mins(15)).await;
    assert!(!stage.session.is_closed());
    assert!(stage.asked.load(Ordering::Relaxed) > 10, "it is asked again and again whether it lives");
    assert!(!stage.session.is_usable() && !stage.session.is_open(), "new streams go elsewhere");
}

#[tokio::test(start_paused = true)]
async fn an_upload_on_a_path_that_is_lost_ends_in_time() {
    // One whose pump panics has nobody left to find that out.
    for words in ["the path is lost", PANIC] {
        let stage = Stage::new(Some(words));
        stage.send(200);
        let (session, stream) = (Arc::clone(&stage.session), stage.stream);
        let _peer = swallow(stage.far);
        sleep(Duration::from_secs(15)).await;
        assert!(session.is_closed());
        let read_state = lock(&stream.shared().incoming).receive.read_state(now().steady);
        let ReadState::Failed(Error::TunnelLost { text }) = read_state else { panic!("{read_state:?}") };
        assert_eq!(text, words);
    }
}

#[tokio::test(start_paused = true)]
async fn silence_where_few_bytes_wait_is_death_without_asking() {
    let stage = Stage::new(None);
    stage.send(10);
    let session = Arc::clone(&stage.session);
    let _peer = swallow(stage.far);
    sleep(Duration::from_secs(15)).await;
    assert!(session.is_closed());
    assert_eq!(stage.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dead_connection_is_noticed_while_the_local_program_pauses() {
    for (words, ends) in [(Some("the path is lost"), true), (None, false)] {
        let mut stage = Stage::new(words);
        let ids = *stage.stream.shared().ids.get().unwrap();
        let mut flood = frame::data_head(ids.data, 1 << 20, false).to_vec();
        flood.resize(flood.len() + (1 << 20), 0);
        stage.far.write_all(&flood).await.unwrap();
        sleep(Duration::from_secs(15)).await;
        assert_eq!(stage.session.is_closed(), ends, "{words:?}: {:?}", stage.death());
        assert!(stage.asked.load(Ordering::Relaxed) > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_write_failed_is_still_read() {
    let mut stage = Stage::new(None);
    let ids = *stage.stream.shared().ids.get().unwrap();
    let mut last = frame::data_head(ids.data, 4, true).to_vec();
    last.extend_from_slice(b"last");
    last.extend_from_slice(&frame::data_head(ids.error, 0, true));
    stage.far.write_all(&last).await.unwrap();
    drop(stage.far);
    let mut ping = BytesMut::new();
    frame::ping(&mut ping, 1);
    {
        let mut link = stage.session.link();
        link.connection.transmit().push(ping.freeze());
        link.flush();
    }
    let mut answer = String::new();
    stage.stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "last");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_reads_is_cut_off_once_another_waits_and_never_holds_the_tunnel_again() {
    let mut stage = Stage::new(None);
    let full = *stage.stream.shared().ids.get().unwrap();
    let mut other = stage.session.stream(80);
    other.open().unwrap();
    let ids = *other.shared().ids.get().unwrap();
    // More than fits before the cut, and more after it.
    let mut flood = frame::data_head(full.data, 2 << 20, false).to_vec();
    flood.resize(flood.len() + (2 << 20), 0);
    flood.extend_from_slice(&frame::data_head(ids.data, 4, false));
    flood.extend_from_slice(b"pong");
    stage.far.write_all(&flood).await.unwrap();
    let mut answer = [0; 4];
    tokio::time::timeout(Duration::from_secs(10), other.read_exact(&mut answer))
        .await
        .expect("it waits no longer")
        .unwrap();
    assert_eq!(&answer, b"pong");
    let mut scrap = Vec::new();
    let cut = stage.stream.read_to_end(&mut scrap).await.map_err(Error::from_io);
    assert!(matches!(cut, Err(Error::Stalled)), "{cut:?}");
}
