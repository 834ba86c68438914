//! The program of our own relay, as it would run in a proxy pod: many connections over one stream.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use brow_relay::{Connection, DOMAIN, Event, KEY, Kind, Limits, Reason, Side};
use bytes::{Buf as _, Bytes};
use tokio::io::{self, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::datagrams::{self, Server};
use super::relay::{Reached, reach};
use super::servers::{CLUSTER_DOMAIN, DialError, address_of, find_datagrams};
use super::world::{Lines, World};

/// The real program's, with less memory to keep in mind.
const LIMITS: Limits = Limits { streams: 1_024, window: 64 * 1024, most: 64 * 1024, extra: 0 };

/// An event of a stream's target.
enum Told {
    Connected(Duration),
    Failed(Reason, &'static str),
    Data(Bytes),
    End,
    /// It took so many bytes.
    Took(usize),
}

/// A stream's target.
struct Target {
    /// Bytes for it; none of them means that no more will come.
    to: mpsc::UnboundedSender<Bytes>,
    /// Asks for its next bytes, when those before are sent.
    more: Arc<Notify>,
    unsent: Bytes,
    ended: bool,
    task: AbortOnDropHandle<()>,
}

struct Program<'a> {
    world: &'a Arc<World>,
    relay: Connection,
    targets: HashMap<u32, Target>,
    flows: HashMap<u32, Server>,
    tell: mpsc::Sender<(u32, Told)>,
}

/// Runs until the stream ends.
pub(super) async fn run(mut wire: Lines, world: &Arc<World>, secret: &str) -> io::Result<()> {
    let relay = Connection::new(Side::Relay, &key(secret), rand::random(), LIMITS);
    let (tell, mut told) = mpsc::channel(64);
    let mut program = Program { world, relay, targets: HashMap::new(), flows: HashMap::new(), tell };
    loop {
        while program.step()? {}
        program.send();
        let count = program.relay.output().len();
        wire.write_all(program.relay.output()).await?;
        program.relay.sent(count);
        tokio::select! {
            count = wire.read(program.relay.space()) => match count? {
                0 => return Ok(()),
                count => program.relay.received(count),
            },
            // The sender is the program's own.
            Some((id, told)) = told.recv() => program.note(id, told),
        }
    }
}

/// A secret's bytes; it was compared with its hash.
fn key(secret: &str) -> [u8; KEY] {
    let mut key = [0; KEY];
    for (byte, pair) in key.iter_mut().zip(secret.as_bytes().chunks(2)) {
        *byte = str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or_default();
    }
    key
}

impl Program<'_> {
    /// Does what the next frame asks for; `false` where there is none.
    fn step(&mut self) -> io::Result<bool> {
        let Some(event) = self.relay.next().map_err(io::Error::other)? else { return Ok(false) };
        match event {
            Event::Open { id, kind: Kind::Udp, host, port } => match find_datagrams(host, port) {
                Ok(server) => {
                    self.flows.extend(server.map(|server| (id, server)));
                    self.relay.connected(id, Duration::ZERO);
                }
                Err(error) => {
                    let (reason, words) = refusal(error);
                    self.relay.reset(id, reason, words);
                }
            },
            Event::Datagram { id, bytes } => {
                let server = self.flows.get(&id);
                let answer = server.and_then(|server| datagrams::answer(*server, bytes, address_of));
                if answer.is_some_and(|answer| !self.relay.send_datagram(id, &answer)) {
                    self.relay.dropped(id, 1);
                }
            }
            Event::Open { id, kind: Kind::Tcp, host, port } if (host, port) == DOMAIN => {
                self.relay.reset(id, Reason::Cancelled, CLUSTER_DOMAIN);
            }
            Event::Open { id, kind: Kind::Tcp, host, port } => {
                let (to, from) = mpsc::unbounded_channel();
                let (more, address) = (Arc::new(Notify::new()), format!("{host}:{port}"));
                more.notify_one();
                let serving = serve(Arc::clone(self.world), address, id, self.tell.clone(), from, Arc::clone(&more));
                let task = AbortOnDropHandle::new(tokio::spawn(serving));
                self.targets.insert(id, Target { to, more, unsent: Bytes::new(), ended: false, task });
            }
            Event::Data { id, bytes } => {
                let bytes = Bytes::copy_from_slice(bytes);
                self.pass(id, bytes);
            }
            Event::End { id } => self.pass(id, Bytes::new()),
            Event::Reset { id, .. } => {
                self.targets.remove(&id);
                self.flows.remove(&id);
            }
            Event::Up
            | Event::Credit { .. }
            | Event::Connected { .. }
            | Event::Dropped { .. }
            | Event::Pong { .. }
            | Event::Handled => {}
        }
        Ok(true)
    }

    fn pass(&self, id: u32, bytes: Bytes) {
        if let Some(target) = self.targets.get(&id) {
            // Should it be gone, that is told.
            let _ = target.to.send(bytes);
        }
    }

    fn note(&mut self, id: u32, told: Told) {
        let Some(target) = self.targets.get_mut(&id) else { return };
        match told {
            Told::Connected(took) => self.relay.connected(id, took),
            Told::Failed(reason, words) => {
                self.relay.reset(id, reason, words);
                self.targets.remove(&id);
            }
            Told::Data(bytes) => target.unsent = bytes,
            Told::End => target.ended = true,
            Told::Took(count) => self.relay.consume(id, count),
        }
    }

    /// Sends what targets said, as far as that may be sent.
    fn send(&mut self) {
        for (id, target) in &mut self.targets {
            while !target.unsent.is_empty() && self.relay.credit(*id) > 0 {
                let fill = |space: &mut [u8]| {
                    let count = space.len().min(target.unsent.len());
                    target.unsent.copy_to_slice(&mut space[..count]);
                    Ok::<_, std::convert::Infallible>(count)
                };
                let Ok(_) = self.relay.send_with(*id, fill);
                if target.unsent.is_empty() {
                    target.more.notify_one();
                }
            }
            if target.ended && target.unsent.is_empty() {
                self.relay.end(*id);
            }
        }
        self.targets.retain(|_, target| !target.ended || !target.unsent.is_empty() || !target.task.is_finished());
    }
}

fn refusal(error: DialError) -> (Reason, &'static str) {
    match error {
        DialError::Refused => (Reason::Refused, "Connection refused"),
        DialError::NoRoute => (Reason::Unreachable, "No route to host"),
        DialError::Unresolved => (Reason::Unresolved, "Name does not resolve"),
    }
}

/// Connects to a stream's target, and passes bytes both ways until both have ended.
async fn serve(
    world: Arc<World>,
    address: String,
    id: u32,
    tell: mpsc::Sender<(u32, Told)>,
    from: mpsc::UnboundedReceiver<Bytes>,
    more: Arc<Notify>,
) {
    let began = Instant::now();
    let failed = match reach(&world, &address).await {
        Reached::Open(target) => {
            if tell.send((id, Told::Connected(began.elapsed()))).await.is_ok() {
                let (read, write) = io::split(target);
                tokio::join!(read_from(read, id, &tell, &more), write_to(write, id, &tell, from));
            }
            return;
        }
        Reached::Not(error) => {
            let (reason, words) = refusal(error);
            Told::Failed(reason, words)
        }
        Reached::Silent => Told::Failed(Reason::TimedOut, "no answer within 10 s"),
    };
    // Without a program nobody asks.
    let _ = tell.send((id, failed)).await;
}

async fn read_from(mut target: ReadHalf<DuplexStream>, id: u32, tell: &mpsc::Sender<(u32, Told)>, more: &Notify) {
    let mut buffer = vec![0; 32 * 1024];
    loop {
        more.notified().await;
        let told = match target.read(&mut buffer).await {
            Ok(count @ 1..) => Told::Data(Bytes::copy_from_slice(&buffer[..count])),
            Ok(_) | Err(_) => Told::End,
        };
        let ended = matches!(told, Told::End);
        if tell.send((id, told)).await.is_err() || ended {
            return;
        }
    }
}

async fn write_to(
    mut target: WriteHalf<DuplexStream>,
    id: u32,
    tell: &mpsc::Sender<(u32, Told)>,
    mut from: mpsc::UnboundedReceiver<Bytes>,
) {
    while let Some(bytes) = from.recv().await {
        let done = if bytes.is_empty() { target.shutdown().await } else { target.write_all(&bytes).await };
        let told = match done {
            Ok(()) => Told::Took(bytes.len()),
            Err(_) => Told::Failed(Reason::Reset, "Connection reset by peer"),
        };
        if tell.send((id, told)).await.is_err() || bytes.is_empty() {
            return;
        }
    }
}
