//! The liveness of a tunnel: pings, their round trips, and silence. Time is passed in.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// The number of workers to which servers hand frames, by the number of their stream (all servers are built on
/// spdystream, `FRAME_WORKERS`). A worker waits while the pod does not take its stream's bytes, and every other stream
/// of that worker with it.
pub(crate) const WORKERS: u32 = 5;

/// The interval between pings. With [`DEAD_AFTER`] and the pump's own beat a lost tunnel is found within 15 s.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(4);

/// A ping unanswered for this long, with nothing else heard, means that the tunnel is lost, unless our own bytes may be
/// what the server waits with.
pub(crate) const DEAD_AFTER: Duration = Duration::from_secs(8);

/// The time without an answer to a ping after which new streams use other tunnels.
const SUSPECT_AFTER: Duration = Duration::from_secs(2);

/// The least interval between probes of every worker. Each ping passes three servers: after each of many short
/// streams it would cost more than they do.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);

/// The most unanswered pings that are remembered.
const MAX_UNANSWERED: usize = 32;

/// The frames that wait for one worker of a server before the server stops reading the connection (spdystream).
const WORKER_QUEUE: u64 = 50;

/// The time on both clocks: the steady one stands still while the machine sleeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub steady: Instant,
    /// Time since the Unix epoch.
    pub wall: Duration,
}

/// The pings of one tunnel.
///
/// A server answers a ping through one of its workers, in turn. A worker that waits for a pod answers no ping: so one
/// unanswered among answered ones means that a worker is stuck, not that the tunnel is lost. Once enough of our frames
/// wait for such a worker, the server reads nothing more, and answers no ping at all, for as long as the pod does not
/// read: then silence says nothing ([`Beat::Doubt`]).
#[derive(Debug)]
pub(crate) struct Health {
    /// Pings are answered by the reader of the connection itself, which waits for the pod with every frame (`v4`).
    single: bool,
    next: u32,
    unanswered: VecDeque<Ping>,
    /// The number of data frames sent before each of the last pings that were answered, one for each worker.
    answered: VecDeque<u64>,
    pinged: Option<Instant>,
    probed: Option<Instant>,
    /// A probe was put off because it was too soon after the last.
    probe_due: bool,
    heard: Now,
    rtt: Option<Duration>,
}

#[derive(Debug)]
struct Ping {
    id: u32,
    sent: Instant,
    /// The number of data frames sent before.
    frames: u64,
}

/// The result of [`Health::beat`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Nothing to do.
    Fine,
    /// Send a ping of this number.
    Ping(u32),
    /// Nothing was heard for too long, but the server may be waiting for a pod to take our bytes: ask elsewhere.
    Doubt,
    /// Nothing was heard for too long.
    Dead,
}

impl Health {
    pub(crate) fn new(single: bool, now: Now) -> Self {
        Self {
            single,
            next: 1,
            unanswered: VecDeque::new(),
            answered: VecDeque::new(),
            pinged: None,
            probed: None,
            probe_due: false,
            heard: now,
            rtt: None,
        }
    }

    /// Notes that something came from the peer.
    pub(crate) fn hear(&mut self, now: Now) {
        self.heard = now;
    }

    /// Takes an answer to a ping.
    pub(crate) fn pong(&mut self, id: u32, now: Instant) {
        if let Some(at) = self.unanswered.iter().position(|ping| ping.id == id)
            && let Some(ping) = self.unanswered.remove(at)
        {
            self.rtt = Some(now.duration_since(ping.sent));
            self.answered.push_back(ping.frames);
            if self.answered.len() > self.workers() {
                self.answered.pop_front();
            }
        }
    }

    fn workers(&self) -> usize {
        if self.single { 1 } else { WORKERS as usize }
    }

    fn ping(&mut self, frames: u64, now: Instant) -> u32 {
        let id = self.next;
        // Odd, and never 0.
        self.next = if id >= u32::MAX - 2 { 1 } else { id + 2 };
        self.pinged = Some(now);
        if self.unanswered.len() == MAX_UNANSWERED {
            self.unanswered.pop_back();
        }
        self.unanswered.push_back(Ping { id, sent: now, frames });
        id
    }

    /// Pings for every worker, unless there are unanswered ones already. So soon after the last that is put off to a
    /// beat. `frames`: how many data frames have been sent on the tunnel.
    pub(crate) fn probe(&mut self, frames: u64, now: Instant) -> impl Iterator<Item = u32> + use<> {
        self.probe_due = self.probed.is_some_and(|at| now.duration_since(at) < PROBE_INTERVAL);
        let count = if self.probe_due || self.unanswered.len() >= WORKERS as usize { 0 } else { WORKERS };
        if count > 0 {
            self.probed = Some(now);
        }
        (0..count).map(|_| self.ping(frames, now)).collect::<Vec<_>>().into_iter()
    }

    /// Returns whether a probe that was put off is due: to be asked with each beat.
    pub(crate) fn is_probe_due(&self, now: Instant) -> bool {
        self.probe_due && self.probed.is_none_or(|at| now.duration_since(at) >= PROBE_INTERVAL)
    }

    /// To be called every two seconds or so. `frames`: how many data frames have been sent on the tunnel.
    pub(crate) fn beat(&mut self, frames: u64, now: Now) -> Beat {
        let overdue = |ping: &Ping| now.steady.duration_since(ping.sent) >= DEAD_AFTER;
        if now.steady.duration_since(self.heard.steady) >= DEAD_AFTER && self.unanswered.front().is_some_and(overdue) {
            return if self.may_be_stuck(frames) { Beat::Doubt } else { Beat::Dead };
        }
        if self.pinged.is_none_or(|at| now.steady.duration_since(at) >= PING_INTERVAL) {
            Beat::Ping(self.ping(frames, now.steady))
        } else {
            Beat::Fine
        }
    }

    /// Returns whether so many frames may wait for a pod that the server reads no more. Each worker has answered one of
    /// the last pings: what was sent before the first of those waits no longer.
    fn may_be_stuck(&self, frames: u64) -> bool {
        let taken = if self.answered.len() == self.workers() { self.answered.front().copied() } else { None };
        let waiting = frames.saturating_sub(taken.unwrap_or_default());
        waiting >= if self.single { 1 } else { WORKER_QUEUE }
    }

    /// Restarts the measurement of silence, which proves nothing while the tunnel is not read.
    pub(crate) fn excuse(&mut self, now: Now) {
        self.unanswered.clear();
        self.answered.clear();
        self.hear(now);
    }

    /// Returns whether a ping is overdue, or the machine slept since the peer was last heard (then the wall clock has
    /// moved and the steady one has not).
    pub(crate) fn is_suspect(&self, now: Now) -> bool {
        let limit = SUSPECT_AFTER + 4 * self.rtt.unwrap_or_default();
        let overdue = self.unanswered.front().is_some_and(|ping| now.steady.duration_since(ping.sent) > limit);
        let wall = now.wall.saturating_sub(self.heard.wall);
        overdue || wall > now.steady.duration_since(self.heard.steady) + 2 * PING_INTERVAL
    }

    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin() -> Now {
        Now { steady: Instant::now(), wall: Duration::from_hours(480_000) }
    }

    fn after(start: Now, seconds: u64) -> Now {
        let by = Duration::from_secs(seconds);
        Now { steady: start.steady + by, wall: start.wall + by }
    }

    /// Pings and answers every four seconds, until `seconds` after the start.
    fn converse(health: &mut Health, frames: u64, start: Now, seconds: u64) {
        for at in (0..=seconds).step_by(4) {
            let now = after(start, at);
            let Beat::Ping(id) = health.beat(frames, now) else { panic!("a ping every four seconds") };
            health.pong(id, now.steady);
            health.hear(now);
        }
    }

    #[test]
    fn a_pong_gives_the_round_trip_and_clears_the_suspicion() {
        let start = begin();
        let mut health = Health::new(false, start);
        let Beat::Ping(id) = health.beat(0, start) else { panic!("the first beat pings") };
        assert_eq!(health.beat(0, start), Beat::Fine);
        assert_eq!(health.rtt(), None);
        assert!(health.is_suspect(after(start, 3)));
        health.pong(id, after(start, 3).steady);
        assert_eq!(health.rtt(), Some(Duration::from_secs(3)));
        assert!(!health.is_suspect(after(start, 3)));
    }

    #[test]
    fn a_probe_reaches_every_worker_once_and_is_bounded() {
        let start = begin();
        let mut health = Health::new(false, start);
        let ids: Vec<u32> = health.probe(0, start.steady).collect();
        assert_eq!(ids, [1, 3, 5, 7, 9]);
        assert_eq!(health.probe(0, start.steady).count(), 0);
        health.unanswered.clear();
        assert_eq!(health.probe(0, start.steady).count(), 0, "so soon after the last");
        assert!(!health.is_probe_due(start.steady), "nor with a beat");
        let later = start.steady + PROBE_INTERVAL;
        assert!(health.is_probe_due(later), "it was put off");
        assert_eq!(health.probe(0, later).count(), 5);
        assert!(!health.is_probe_due(later));
        for _ in 0..1000 {
            health.ping(0, later);
        }
        assert!(health.unanswered.len() <= MAX_UNANSWERED);
    }

    #[test]
    fn silence_after_a_ping_is_death_and_a_clock_that_jumped_is_suspect() {
        let start = begin();
        let mut health = Health::new(false, start);
        assert!(matches!(health.beat(0, start), Beat::Ping(_)));
        health.hear(after(start, 4));
        assert!(matches!(health.beat(0, after(start, 9)), Beat::Ping(_)), "something was heard since");
        assert_eq!(health.beat(0, after(start, 12)), Beat::Dead);
        health.excuse(after(start, 12));
        assert!(!health.is_suspect(after(start, 12)));
        let slept = Now { wall: after(start, 72).wall, ..after(start, 12) };
        assert!(health.is_suspect(slept), "the machine slept");
    }

    #[test]
    fn silence_of_a_server_that_may_wait_for_a_pod_says_nothing() {
        for (single, few, many) in [(false, WORKER_QUEUE - 1, WORKER_QUEUE), (true, 0, 1)] {
            for (frames, expected) in [(few, Beat::Dead), (many, Beat::Doubt)] {
                let start = begin();
                let mut health = Health::new(single, start);
                // Much was taken long ago.
                converse(&mut health, 10_000, start, 20);
                assert!(matches!(health.beat(10_000 + frames, after(start, 24)), Beat::Ping(_)));
                let silent = after(start, 32);
                assert_eq!(health.beat(10_000 + frames, silent), expected, "{single} {frames}");
                // For as long as it takes, and not a moment longer.
                assert_eq!(health.beat(10_000 + frames, after(start, 900)), expected);
                health.hear(after(start, 901));
                assert!(matches!(health.beat(10_000 + frames, after(start, 902)), Beat::Ping(_)));
            }
        }
    }

    #[test]
    fn frames_count_as_taken_once_every_worker_has_answered_after_them() {
        let start = begin();
        let mut health = Health::new(false, start);
        converse(&mut health, 10_000, start, 12);
        assert!(health.may_be_stuck(10_000), "four of five have answered");
        converse(&mut health, 10_000, after(start, 16), 0);
        assert!(!health.may_be_stuck(10_000));
    }
}
