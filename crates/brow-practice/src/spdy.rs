//! The server's side of port-forwarding and of commands in SPDY/3.1: what kubelet and containerd do with the streams
//! that a client opens.
//!
//! Frames are written with the tunnel's own encoders; they are read here, because a server needs the header blocks that
//! the tunnel's decoder passes over: they say which port a stream is for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use flate2::{Decompress, FlushDecompress};
use tokio::io::{self, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::exec::{Exec, Opened};
use super::forward::Port;
use super::world::Runtime;
use kube_tunnel::frame::{self, HEAD};
use kube_tunnel::headers::Blocks;

/// Frames that wait to be written.
const OUT_CAPACITY: usize = 64;

/// Pieces that wait for one stream's server; while they do, the whole connection waits, as it does with a real one.
const STREAM_CAPACITY: usize = 64;

/// The most bytes that are read from a server at once.
const READ_SIZE: usize = 32 * 1024;

/// containerd ends a stream this long after either direction of it has ended.
const TEARDOWN_DELAY: Duration = Duration::from_secs(1);

/// The most that a header block may hold.
const MAX_HEADERS: usize = 16 * 1024;

const SYN_STREAM: u16 = 1;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;

/// The header names of port-forwarding (`k8s.io/api/core/v1`, `StreamType` and the others).
const STREAM_TYPE: &str = "streamtype";
const PORT: &str = "port";
const REQUEST: &str = "requestid";

/// A data stream that is served.
struct Open {
    /// To its server; dropped once the client has ended its direction.
    up: Option<mpsc::Sender<Bytes>>,
    /// Cancelled when the client resets the stream.
    reset: CancellationToken,
}

/// The streams of a request, until both are there.
#[derive(Default)]
struct Pair {
    error: Option<u32>,
    data: Option<Data>,
}

/// A data stream that waits for its error stream.
struct Data {
    stream: u32,
    port: u16,
    from_client: mpsc::Receiver<Bytes>,
    reset: CancellationToken,
}

/// The use of a connection's streams.
pub(super) enum Served {
    /// For the ports of a pod.
    Ports(Arc<Port>),
    /// For a command in a container.
    Exec(Arc<Exec>),
}

/// Serves the streams of one connection until it ends.
pub(super) async fn serve(pipe: impl AsyncRead + AsyncWrite + Send + 'static, served: Served) {
    let (reader, writer) = io::split(pipe);
    let (out, queue) = mpsc::channel(OUT_CAPACITY);
    let connection = CancellationToken::new();
    let guard = connection.clone().drop_guard();
    let mut session = Session {
        reader,
        out,
        served,
        opened: Opened::default(),
        inflate: Inflate::default(),
        blocks: Blocks::default(),
        pairs: HashMap::new(),
        open: HashMap::new(),
        connection,
    };
    // A connection that breaks has nobody left to be told.
    tokio::select! {
        _broken = session.read() => {}
        _broken = write(writer, queue) => {}
    }
    drop(guard);
}

async fn write(mut writer: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<Bytes>) -> io::Result<()> {
    while let Some(frame) = queue.recv().await {
        writer.write_all(&frame).await?;
        if queue.is_empty() {
            writer.flush().await?;
        }
    }
    Ok(())
}

struct Session<R> {
    reader: R,
    out: mpsc::Sender<Bytes>,
    served: Served,
    opened: Opened,
    inflate: Inflate,
    blocks: Blocks,
    pairs: HashMap<String, Pair>,
    open: HashMap<u32, Open>,
    connection: CancellationToken,
}

impl<R: AsyncRead + Unpin> Session<R> {
    async fn read(&mut self) -> io::Result<()> {
        loop {
            let mut head = [0; HEAD];
            self.reader.read_exact(&mut head).await?;
            let mut fields = &head[..];
            let (first, second) = (fields.get_u32(), fields.get_u32());
            let (fin, length) = (second >> 24 & 1 == 1, (second & 0x00ff_ffff) as usize);
            if first >> 31 == 0 {
                self.data(first, length, fin).await?;
                continue;
            }
            if length > MAX_HEADERS {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let mut body = vec![0; length];
            self.reader.read_exact(&mut body).await?;
            let kind = u16::try_from(first & 0xffff).unwrap_or_default();
            self.control(kind, Bytes::from(body)).await?;
        }
    }

    /// Passes a DATA frame on to its stream's server.
    async fn data(&mut self, stream: u32, mut length: usize, fin: bool) -> io::Result<()> {
        while length > 0 {
            let mut piece = BytesMut::zeroed(length.min(READ_SIZE));
            self.reader.read_exact(&mut piece).await?;
            length -= piece.len();
            if let Some(Open { up: Some(up), .. }) = self.open.get(&stream) {
                // Whoever does not take it any more has ended, or will be told by its end.
                let _gone = up.send(piece.freeze()).await;
            }
        }
        if fin && let Some(open) = self.open.get_mut(&stream) {
            open.up = None;
        }
        Ok(())
    }

    async fn control(&mut self, kind: u16, mut body: Bytes) -> io::Result<()> {
        let short = || io::Error::from(io::ErrorKind::InvalidData);
        match kind {
            SYN_STREAM if body.len() >= 10 => {
                let stream = body.get_u32() & 0x7fff_ffff;
                body.advance(6);
                let headers = self.inflate.block(&body).ok_or_else(short)?;
                let mut reply = BytesMut::new();
                frame::syn_reply(&mut reply, stream, &self.blocks.encode(&[]));
                self.send(reply).await;
                self.opened(stream, &headers);
            }
            RST_STREAM if body.len() >= 8 => {
                if let Some(open) = self.open.remove(&(body.get_u32() & 0x7fff_ffff)) {
                    open.reset.cancel();
                }
            }
            PING if body.len() >= 4 => {
                let mut pong = BytesMut::new();
                frame::ping(&mut pong, body.get_u32());
                self.send(pong).await;
            }
            _ => {}
        }
        Ok(())
    }

    async fn send(&mut self, frame: BytesMut) {
        // Without a writer the connection is over, which ends the reading too.
        let _over = self.out.send(frame.freeze()).await;
    }

    /// Takes a stream in.
    fn opened(&mut self, stream: u32, headers: &HashMap<String, String>) {
        match &self.served {
            Served::Ports(pod) => {
                let pod = Arc::clone(pod);
                self.opened_to_port(stream, headers, &pod);
            }
            Served::Exec(exec) => {
                let exec = Arc::clone(exec);
                self.opened_to_command(stream, headers, exec);
            }
        }
    }

    /// Takes a stream of a command in; once all are there, it runs.
    fn opened_to_command(&mut self, stream: u32, headers: &HashMap<String, String>, exec: Arc<Exec>) {
        let kind = headers.get(STREAM_TYPE).cloned().unwrap_or_default();
        let from_client = matches!(kind.as_str(), "stdin" | "resize").then(|| {
            let (up, from_client) = mpsc::channel(STREAM_CAPACITY);
            self.open.insert(stream, Open { up: Some(up), reset: self.connection.child_token() });
            from_client
        });
        let Some(streams) = self.opened.take(&kind, stream, from_client, &exec) else { return };
        let (out, connection) = (self.out.clone(), self.connection.clone());
        tokio::spawn(async move { connection.run_until_cancelled(exec.run(streams, out)).await });
    }

    /// Takes a stream of port-forwarding in; once a request has both of its streams, it is served.
    fn opened_to_port(&mut self, stream: u32, headers: &HashMap<String, String>, pod: &Arc<Port>) {
        let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
        let request = header(REQUEST);
        // What the client sends to a stream that has ended is thrown away.
        self.open.retain(|_, open| !open.reset.is_cancelled());
        let pair = self.pairs.entry(request.clone()).or_default();
        match header(STREAM_TYPE).as_str() {
            "error" => pair.error = Some(stream),
            "data" => {
                let (up, from_client) = mpsc::channel(STREAM_CAPACITY);
                let reset = self.connection.child_token();
                self.open.insert(stream, Open { up: Some(up), reset: reset.clone() });
                let port = header(PORT).parse().unwrap_or_default();
                pair.data = Some(Data { stream, port, from_client, reset });
            }
            _ => {}
        }
        let &mut Pair { error: Some(error), ref mut data } = pair else { return };
        let Some(Data { stream: data, port, from_client, reset }) = data.take() else { return };
        self.pairs.remove(&request);
        let (pod, out) = (Arc::clone(pod), self.out.clone());
        tokio::spawn(async move {
            let ended = reset.run_until_cancelled(carry(&pod, port, data, from_client, &out)).await;
            let Some(ended) = ended else { return };
            let _over = out.send(ending(pod.world.runtime, error, data, ended.err().as_deref())).await;
            reset.cancel();
        });
    }
}

/// The frames with which a node ends the two streams of a request; with the error's text if it failed.
fn ending(runtime: Runtime, error: u32, data: u32, words: Option<&str>) -> Bytes {
    let resets = words.is_some() && runtime == Runtime::Resets;
    let words = words.unwrap_or_default();
    let mut last = BytesMut::new();
    last.extend_from_slice(&frame::data_head(error, words.len(), !resets));
    last.extend_from_slice(words.as_bytes());
    if resets {
        frame::reset(&mut last, data, frame::Status::Cancel);
        frame::reset(&mut last, error, frame::Status::Cancel);
    } else {
        last.extend_from_slice(&frame::data_head(data, 0, true));
    }
    last.freeze()
}

/// Carries the bytes of one stream; fails with what the node says on the error stream.
async fn carry(
    pod: &Arc<Port>,
    port: u16,
    data: u32,
    mut from_client: mpsc::Receiver<Bytes>,
    out: &mpsc::Sender<Bytes>,
) -> Result<(), String> {
    let (wire, stopped) = pod.connect(port)?;
    let (mut reader, mut writer) = io::split(wire);
    let up = async {
        while let Some(piece) = from_client.recv().await {
            if writer.write_all(&piece).await.is_err() {
                return;
            }
        }
        let _ended = writer.shutdown().await;
    };
    let down = async {
        loop {
            let mut frame = BytesMut::zeroed(HEAD);
            frame.reserve(READ_SIZE);
            match reader.read_buf(&mut frame).await {
                Ok(0) | Err(_) => return,
                Ok(count) => frame[..HEAD].copy_from_slice(&frame::data_head(data, count, false)),
            }
            if out.send(frame.freeze()).await.is_err() {
                return;
            }
        }
    };
    let (mut up, mut down) = (Box::pin(up), Box::pin(down));
    tokio::select! {
        () = stopped.cancelled() => {}
        () = &mut up => drop(timeout(TEARDOWN_DELAY, down).await),
        () = &mut down => drop(timeout(TEARDOWN_DELAY, up).await),
    }
    Ok(())
}

/// The receiving half of a connection's compression context.
struct Inflate {
    inflate: Decompress,
    begun: bool,
}

impl Default for Inflate {
    fn default() -> Self {
        Self { inflate: Decompress::new(false), begun: false }
    }
}

impl Inflate {
    /// The headers in a block, names in lower case; `None` where it is none.
    fn block(&mut self, mut block: &[u8]) -> Option<HashMap<String, String>> {
        if !self.begun {
            self.begun = true;
            // The head of the zlib stream and the dictionary's number.
            block = block.get(6..)?;
            self.prime()?;
        }
        let plain = self.inflate(block)?;
        let mut plain = &plain[..];
        let count = plain.try_get_u32().ok()?;
        (0..count).map(|_| Some((text(&mut plain)?.to_lowercase(), text(&mut plain)?))).collect()
    }

    /// flate2's own backend takes no preset dictionary; a stored block that holds it leaves the same window behind
    /// (RFC 1951, 3.2.4).
    fn prime(&mut self) -> Option<()> {
        let dictionary = dictionary();
        let length = u16::try_from(dictionary.len()).ok()?;
        let head = [&[0][..], &length.to_le_bytes(), &(!length).to_le_bytes()].concat();
        let primed = self.inflate(&[&head[..], &dictionary].concat())?;
        (primed == dictionary).then_some(())
    }

    fn inflate(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut plain = Vec::with_capacity(MAX_HEADERS);
        self.inflate.decompress_vec(bytes, &mut plain, FlushDecompress::Sync).ok()?;
        Some(plain)
    }
}

/// A text with its length before it.
fn text(plain: &mut &[u8]) -> Option<String> {
    let length = plain.try_get_u32().ok()? as usize;
    let text = plain.get(..length)?;
    *plain = &plain[length..];
    String::from_utf8(text.to_vec()).ok()
}

/// The SPDY/3 dictionary (SPDY/3, 2.6.10.1): words with their lengths, then what often follows them.
fn dictionary() -> Vec<u8> {
    let words = include_str!("../assets/spdy-dictionary.txt");
    let mut lines = words.lines().collect::<Vec<_>>();
    let rest = lines.pop().unwrap_or_default();
    let word = |word: &&str| [&u32::try_from(word.len()).unwrap_or_default().to_be_bytes(), word.as_bytes()].concat();
    lines.iter().flat_map(word).chain(rest.bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_is_the_one_of_the_specification() {
        let (mut a, mut b) = (1_u32, 0_u32);
        for byte in dictionary() {
            a = (a + u32::from(byte)) % 65_521;
            b = (b + a) % 65_521;
        }
        // Adler-32 (RFC 1950, 8.2), as it stands at the head of every client's first block.
        assert_eq!(b << 16 | a, 0xe3c6_a7c2);
    }

    #[test]
    fn what_the_tunnel_encodes_is_read() {
        let (mut blocks, mut inflate) = (Blocks::default(), Inflate::default());
        for kind in ["error", "data"] {
            let block = blocks.encode(&[(STREAM_TYPE, kind), (PORT, "80")]);
            let headers = inflate.block(&block).unwrap();
            assert_eq!((headers[STREAM_TYPE].as_str(), headers[PORT].as_str()), (kind, "80"));
        }
        assert_eq!(Inflate::default().block(&[0; 20]), None);
    }
}
