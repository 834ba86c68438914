//! Whether a tunnel still lives: pings, their round trips, and silence.

use std::{
    collections::VecDeque,
    time::{Duration, Instant, SystemTime},
};

use super::session::WORKERS;

/// How often a tunnel is pinged. With [`DEAD`] and the pump's own beat a lost tunnel is found within 15 s.
pub(super) const INTERVAL: Duration = Duration::from_secs(4);

/// A ping unanswered for this long, with nothing else heard, means that the tunnel is lost.
const DEAD: Duration = Duration::from_secs(8);

/// A ping unanswered for this long: new streams go elsewhere if they can.
const SUSPECT: Duration = Duration::from_secs(2);

/// How often every worker is asked for a sign of life. Each question passes three servers: after each of many short streams
/// it would cost more than they do.
const PROBES: Duration = Duration::from_millis(250);

/// More unanswered pings than this are not kept.
const KEPT: usize = 32;

/// The pings of one tunnel.
///
/// A server answers a ping through one of its workers, in turn. A worker that waits for a pod answers no ping: so one
/// unanswered among answered ones means that a worker is stuck, not that the tunnel is lost.
#[derive(Debug)]
pub(super) struct Health {
    next: u32,
    unanswered: VecDeque<(u32, Instant)>,
    pinged: Option<Instant>,
    probed: Option<Instant>,
    /// A probe was wanted too soon after the last.
    probe_due: bool,
    heard: Instant,
    heard_at: SystemTime,
    rtt: Option<Duration>,
}

/// What the pump's beat finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// Nothing to do.
    Fine,
    /// Send a ping of this number.
    Ping(u32),
    /// Nothing was heard for too long.
    Dead,
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            next: 1,
            unanswered: VecDeque::new(),
            pinged: None,
            probed: None,
            probe_due: false,
            heard: Instant::now(),
            heard_at: SystemTime::now(),
            rtt: None,
        }
    }

    /// Something came from the peer.
    pub(super) fn hear(&mut self) {
        self.heard = Instant::now();
        self.heard_at = SystemTime::now();
    }

    /// An answer to a ping.
    pub(super) fn pong(&mut self, id: u32) {
        if let Some(at) = self.unanswered.iter().position(|(sent, _)| *sent == id)
            && let Some((_, sent)) = self.unanswered.remove(at)
        {
            self.rtt = Some(sent.elapsed());
        }
    }

    fn ping(&mut self) -> u32 {
        let id = self.next;
        // Odd, and never 0.
        self.next = if id >= u32::MAX - 2 { 1 } else { id + 2 };
        let now = Instant::now();
        self.pinged = Some(now);
        if self.unanswered.len() == KEPT {
            self.unanswered.pop_back();
        }
        self.unanswered.push_back((id, now));
        id
    }

    /// Pings for every worker, unless there are unanswered ones already. So soon after the last that is put off to a beat.
    pub(super) fn probe(&mut self) -> impl Iterator<Item = u32> + use<> {
        self.probe_due = self.probed.is_some_and(|at| at.elapsed() < PROBES);
        let count = if self.probe_due || self.unanswered.len() >= WORKERS as usize { 0 } else { WORKERS };
        if count > 0 {
            self.probed = Some(Instant::now());
        }
        (0..count).map(|_| self.ping()).collect::<Vec<_>>().into_iter()
    }

    /// Whether a probe that was put off is due: to be asked with each beat.
    pub(super) fn is_probe_due(&self) -> bool {
        self.probe_due && self.probed.is_none_or(|at| at.elapsed() >= PROBES)
    }

    /// To be called every two seconds or so.
    pub(super) fn beat(&mut self) -> Beat {
        let silent = self.heard.elapsed() >= DEAD;
        if silent && self.unanswered.front().is_some_and(|(_, sent)| sent.elapsed() >= DEAD) {
            return Beat::Dead;
        }
        if self.pinged.is_none_or(|at| at.elapsed() >= INTERVAL) { Beat::Ping(self.ping()) } else { Beat::Fine }
    }

    /// While the tunnel is not read from, its silence says nothing.
    pub(super) fn excuse(&mut self) {
        self.unanswered.clear();
        self.hear();
    }

    /// Whether a ping is overdue, or the machine slept since the peer was last heard (then the wall clock has moved and
    /// the steady one has not).
    pub(super) fn is_suspect(&self) -> bool {
        let patience = SUSPECT + 4 * self.rtt.unwrap_or_default();
        let overdue = self.unanswered.front().is_some_and(|(_, sent)| sent.elapsed() > patience);
        let wall = self.heard_at.elapsed().unwrap_or_default();
        overdue || wall > self.heard.elapsed() + 2 * INTERVAL
    }

    pub(super) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pong_gives_the_round_trip_and_clears_the_suspicion() {
        let mut health = Health::new();
        let Beat::Ping(id) = health.beat() else { panic!("the first beat pings") };
        assert_eq!(health.beat(), Beat::Fine);
        assert_eq!(health.rtt(), None);
        health.pong(id);
        assert!(health.rtt().is_some());
        assert!(!health.is_suspect());
    }

    #[test]
    fn a_probe_reaches_every_worker_once_and_is_bounded() {
        let mut health = Health::new();
        let ids: Vec<u32> = health.probe().collect();
        assert_eq!(ids, [1, 3, 5, 7, 9]);
        assert_eq!(health.probe().count(), 0);
        health.unanswered.clear();
        assert_eq!(health.probe().count(), 0, "so soon after the last");
        assert!(!health.is_probe_due(), "nor with a beat");
        health.probed = Instant::now().checked_sub(PROBES);
        assert!(health.is_probe_due(), "it was put off");
        assert_eq!(health.probe().count(), 5);
        assert!(!health.is_probe_due());
        for _ in 0..1000 {
            health.ping();
        }
        assert!(health.unanswered.len() <= KEPT);
    }

    #[test]
    fn silence_after_a_ping_is_death_and_a_clock_that_jumped_is_suspect() {
        let mut health = Health::new();
        let Beat::Ping(id) = health.beat() else { panic!("the first beat pings") };
        let Some(past) = Instant::now().checked_sub(DEAD) else { return };
        health.unanswered = [(id, past)].into();
        assert!(health.is_suspect());
        assert_ne!(health.beat(), Beat::Dead, "something was heard since");
        health.heard = past;
        assert_eq!(health.beat(), Beat::Dead);
        health.excuse();
        assert!(!health.is_suspect());
        health.heard_at = SystemTime::now() - Duration::from_mins(1);
        assert!(health.is_suspect(), "the machine slept");
    }
}
