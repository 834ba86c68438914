//! The loop: the stream to brow-tui on one side, the targets on the other.

mod flows;

use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use brow_relay::{Connection, DATAGRAM, DOMAIN, Event, KEY, Kind, Limits, Reason, Side};
use mio::event::Event as Readiness;
use mio::{Events, Poll, Token, Waker};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::carrier::{Carrier, Ends, Heard, broken};
use crate::flow::Flow;
use crate::resolve::{self, Resolver};
use crate::target::{Connecting, Target, reason, words};

/// At most 14 MB wait for targets that do not read.
const LIMITS: Limits = Limits { streams: 1_024, window: 8 * 1024, most: 512 * 1024, extra: 6 * 1024 * 1024 };

/// The longest silence of the other side, which pings every few seconds.
const SILENCE: Duration = Duration::from_mins(5);

/// The longest time that it may take to prove that it knows the key.
pub(crate) const GREETING: Duration = Duration::from_secs(20);

const INPUT: Token = Token(0);
const OUTPUT: Token = Token(1);
const RESOLVED: Token = Token(2);

/// The token of the stream 0, which there is not.
const TARGETS: usize = 3;

/// The UDP sockets by their streams.
type Flows = HashMap<u32, Flow>;

pub(crate) struct Relay {
    poll: Poll,
    carrier: Carrier,
    connection: Connection,
    resolver: Resolver,
    targets: HashMap<u32, Target>,
    flows: Flows,
    /// The flows that have dropped datagrams since that was last told.
    lossy: Vec<u32>,
    /// A datagram, and a byte by which one that is too long is told.
    datagram: Box<[u8]>,
    /// The streams whose targets are not connected yet, and some that were.
    connecting: Vec<u32>,
    /// The streams whose targets have something to read, each in its turn.
    ready: VecDeque<u32>,
    heard: Instant,
}

impl Relay {
    pub(crate) fn new(key: &[u8; KEY], ends: Ends) -> io::Result<Self> {
        let poll = Poll::new()?;
        let carrier = Carrier::new(ends, poll.registry(), INPUT, OUTPUT)?;
        let resolver = Resolver::new(Waker::new(poll.registry(), RESOLVED)?);
        let mut random = [0; KEY];
        SystemRandom::new().fill(&mut random).map_err(|_| ErrorKind::Other)?;
        let connection = Connection::new(Side::Relay, key, random, LIMITS);
        Ok(Self {
            poll,
            carrier,
            connection,
            resolver,
            targets: HashMap::new(),
            flows: HashMap::new(),
            lossy: Vec::new(),
            datagram: vec![0; DATAGRAM + 1].into(),
            connecting: Vec::new(),
            ready: VecDeque::new(),
            heard: Instant::now(),
        })
    }

    /// Takes the first bytes of a stream that began before, if some have been read already: fewer than
    /// [`Connection::space`] has.
    pub(crate) fn has_come(&mut self, first: &[u8], began: Instant) {
        self.heard = began;
        self.connection.space()[..first.len()].copy_from_slice(first);
        self.connection.received(first.len());
    }

    /// Relays until the stream to brow-tui ends. What is not over by then is reset. Calls `proved` when the other side
    /// has shown that it knows the key.
    pub(crate) fn run(mut self, proved: &mut dyn FnMut()) -> io::Result<()> {
        let ended = self.turn(proved);
        self.targets.values().for_each(Target::abort);
        ended
    }

    fn turn(&mut self, proved: &mut dyn FnMut()) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        loop {
            self.carrier.say(&mut self.connection)?;
            match self.poll.poll(&mut events, Some(self.patience())) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                Err(_) | Ok(()) => {}
            }
            let now = Instant::now();
            for event in &events {
                self.note(event, now);
            }
            self.take_answers(now);
            self.give_up(now);
            match self.carrier.hear(&mut self.connection)? {
                Heard::End => return Ok(()),
                // Before that, each byte must not buy more time.
                Heard::Something if self.connection.is_up() => self.heard = now,
                Heard::Something | Heard::Nothing if now >= self.heard + self.silence() => {
                    return Err(ErrorKind::TimedOut.into());
                }
                Heard::Something | Heard::Nothing => {}
            }
            let was_up = self.connection.is_up();
            while self.step(now)? {}
            if !was_up && self.connection.is_up() {
                self.heard = now;
                proved();
            }
            self.read_targets();
            self.tell_losses();
        }
    }

    /// Returns the longest silence of the other side.
    fn silence(&self) -> Duration {
        if self.connection.is_up() { SILENCE } else { GREETING }
    }

    /// Returns the time for which there may be nothing to do.
    fn patience(&self) -> Duration {
        let reads = !self.ready.is_empty() && self.connection.has_room();
        if self.carrier.readable || reads {
            return Duration::ZERO;
        }
        let deadlines = self.connecting.iter().filter_map(|id| self.targets.get(id)?.deadline());
        let first = deadlines.chain([self.heard + self.silence()]).min();
        // Rounded up, so that what is waited for has come by then.
        first.map_or(SILENCE, |first| first.saturating_duration_since(Instant::now()) + Duration::from_millis(1))
    }

    fn note(&mut self, event: &Readiness, now: Instant) {
        match event.token() {
            INPUT => self.carrier.readable = true,
            OUTPUT => self.carrier.writable = true,
            RESOLVED => {}
            Token(number) => {
                let Ok(id) = u32::try_from(number - TARGETS) else { return };
                if let Some(flow) = self.flows.get_mut(&id) {
                    flow.readable = true;
                    return self.queue_flow(id);
                }
                let Some(target) = self.targets.get_mut(&id) else { return };
                if !target.connected {
                    match target.look() {
                        Connecting::Waits => return,
                        Connecting::Failed => return self.connect(id, now),
                        Connecting::Open => self.connection.connected(id, target.took(now)),
                    }
                }
                target.is_ready(event.is_readable() || event.is_read_closed() || event.is_error(), event.is_writable());
                let flushed = target.flush();
                self.queue(id);
                self.moved(id, flushed);
            }
        }
    }

    /// Queues a target to be read in its turn, if there is something and it may be sent.
    fn queue(&mut self, id: u32) {
        let Some(target) = self.targets.get_mut(&id) else { return };
        if target.connected && target.readable && !target.queued && !target.ended && self.connection.credit(id) > 0 {
            target.queued = true;
            self.ready.push_back(id);
        }
    }

    /// Goes on after bytes of a stream went to its target, or did not.
    fn moved(&mut self, id: u32, wrote: io::Result<usize>) {
        match wrote {
            Ok(0) => {}
            Ok(count) => self.connection.consume(id, count),
            Err(error) => return self.fail(id, &error),
        }
        if self.targets.get(&id).is_some_and(Target::is_over) {
            self.targets.remove(&id);
        }
    }

    fn fail(&mut self, id: u32, error: &io::Error) {
        self.connection.reset(id, reason(error), &words(error));
        self.targets.remove(&id);
    }

    /// Connects a stream's target to its next address, or says why that cannot be had.
    fn connect(&mut self, id: u32, now: Instant) {
        let Some(target) = self.targets.get_mut(&id) else { return };
        if !target.connect(self.poll.registry(), Token(TARGETS + id as usize), now) {
            let (reason, words) = target.failure();
            self.connection.reset(id, reason, &words);
            self.targets.remove(&id);
        }
    }

    fn take_answers(&mut self, now: Instant) {
        while let Some((id, answer)) = self.resolver.answer() {
            match answer {
                Ok(addresses) if self.flows.contains_key(&id) => self.connect_flow(id, &addresses, now),
                Ok(addresses) => {
                    if let Some(target) = self.targets.get_mut(&id) {
                        target.found(addresses);
                    }
                    self.connect(id, now);
                }
                Err(error) => {
                    self.connection.reset(id, Reason::Unresolved, &words(&error));
                    self.targets.remove(&id);
                    self.flows.remove(&id);
                }
            }
        }
    }

    /// Gives up what takes too long.
    fn give_up(&mut self, now: Instant) {
        self.connecting.retain(|id| self.targets.get(id).is_some_and(|target| !target.connected));
        for place in 0..self.connecting.len() {
            let id = self.connecting[place];
            if let Some(target) = self.targets.get_mut(&id)
                && target.deadline().is_some_and(|deadline| deadline <= now)
            {
                target.late();
                self.connect(id, now);
            }
        }
    }

    /// Does what the next frame asks for; `false` where there is none.
    fn step(&mut self, now: Instant) -> io::Result<bool> {
        let Some(event) = self.connection.next().map_err(broken)? else { return Ok(false) };
        match event {
            Event::Open { id, kind: Kind::Udp, host, port } => {
                self.flows.insert(id, Flow::new(now));
                if let Ok(ip) = host.parse::<IpAddr>() {
                    self.connect_flow(id, &[SocketAddr::new(ip, port)], now);
                } else {
                    self.resolver.ask(id, host, port);
                }
            }
            Event::Datagram { id, bytes } => {
                let sent = Self::send_to_flow(&mut self.flows, id, bytes);
                self.sent_to_flow(id, sent);
            }
            Event::Open { id, kind: Kind::Tcp, host, port } if (host, port) == DOMAIN => {
                self.connection.reset(id, Reason::Cancelled, &resolve::cluster_domain());
            }
            Event::Open { id, kind: Kind::Tcp, host, port } => {
                let mut target = Target::new(now);
                self.connecting.push(id);
                if let Ok(ip) = host.parse::<IpAddr>() {
                    target.found(vec![SocketAddr::new(ip, port)]);
                    self.targets.insert(id, target);
                    self.connect(id, now);
                } else {
                    self.targets.insert(id, target);
                    self.resolver.ask(id, host, port);
                }
            }
            Event::Data { id, bytes } => {
                if let Some(target) = self.targets.get_mut(&id) {
                    let wrote = target.take(bytes);
                    self.moved(id, wrote);
                }
            }
            Event::End { id } => {
                if let Some(target) = self.targets.get_mut(&id) {
                    let told = target.take_end().map(|()| 0);
                    self.moved(id, told);
                }
            }
            Event::Credit { id } => self.queue(id),
            Event::Reset { id, reason, .. } => {
                self.flows.remove(&id);
                if let Some(target) = self.targets.remove(&id)
                    && reason != Reason::Cancelled
                {
                    target.abort();
                }
            }
            Event::Up | Event::Connected { .. } | Event::Dropped { .. } | Event::Pong { .. } | Event::Handled => {}
        }
        Ok(true)
    }

    /// Reads from each target that is ready, once, while what is read can be sent.
    fn read_targets(&mut self) {
        for _ in 0..self.ready.len() {
            let Some(id) = self.ready.pop_front() else { return };
            if self.flows.contains_key(&id) {
                self.read_flow(id);
                continue;
            }
            if !self.connection.has_room() {
                self.ready.push_back(id);
                continue;
            }
            let Some(target) = self.targets.get_mut(&id) else { continue };
            target.queued = false;
            if self.connection.credit(id) == 0 {
                continue;
            }
            match self.connection.send_with(id, |space| target.read(space)) {
                Ok(0) => {
                    target.ended = true;
                    self.connection.end(id);
                    self.moved(id, Ok(0));
                }
                Ok(_) => self.queue(id),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => self.queue(id),
                Err(error) => self.fail(id, &error),
            }
        }
    }
}
