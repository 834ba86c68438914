//! The timeouts of a tunnel: pings that are due, silence, and streams that are full for too long.

use std::time::{Duration, Instant};

use super::{Connection, Event, Ids};
use crate::{
    error::Error,
    proto::{
        frame,
        health::{Beat, Now, PING_INTERVAL},
    },
};

/// The interval between calls of [`Connection::handle_timeout`].
const TICK: Duration = Duration::from_secs(2);

/// The interval while a full stream stops the tunnel from being read.
const PAUSED_TICK: Duration = Duration::from_millis(250);

/// The result of [`Connection::handle_timeout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// The peer answers, or may still do so in time.
    Alive,
    /// The peer is silent, but may only be waiting for a pod to take our bytes: the silence does not tell.
    Doubtful,
    /// A full stream has kept the tunnel from being read since then.
    Paused { since: Instant },
}

impl<S: Clone> Connection<S> {
    /// Returns when [`Connection::handle_timeout`] is to be called next.
    pub(crate) fn poll_timeout(&self) -> Instant {
        self.timeout
    }

    /// Sends pings that are due, and tells what their silence means.
    ///
    /// # Errors
    /// [`Error::TunnelLost`] where the peer has been silent for too long.
    pub(crate) fn handle_timeout(&mut self, now: Now) -> Result<Liveness, Error> {
        let pause = if self.paused_since.is_some() { PAUSED_TICK } else { TICK };
        self.timeout = now.steady + pause;
        if self.leaving {
            // Nothing may follow its close.
            return Ok(Liveness::Alive);
        }
        if let Some(since) = self.paused_since {
            self.health.excuse(now);
            return Ok(Liveness::Paused { since });
        }
        let beat = self.health.beat(self.frames, now);
        let suspect = self.health.is_suspect(now);
        if self.health.is_probe_due(now.steady) {
            self.probe(now.steady);
        }
        match beat {
            Beat::Dead => return Err(Error::TunnelLost { text: "no answer to pings".to_owned() }),
            Beat::Ping(id) if self.is_single() => self.web_socket_ping = Some(id),
            Beat::Ping(id) => self.control(|out| frame::ping(out, id)),
            Beat::Doubt | Beat::Fine => {}
        }
        // A worker of the server that stays stuck: the streams there may live on, new ones go elsewhere.
        if !suspect {
            self.suspect_since = None;
        } else if now.steady.duration_since(*self.suspect_since.get_or_insert(now.steady)) > PING_INTERVAL {
            self.retire();
        }
        Ok(if beat == Beat::Doubt { Liveness::Doubtful } else { Liveness::Alive })
    }

    pub(super) fn retire(&mut self) {
        if !std::mem::replace(&mut self.going_away, true) {
            self.events.push_back(Event::Retired);
        }
    }

    /// Stops the tunnel from being read until the reader of this stream has taken bytes: see [`Connection::resume`].
    pub(crate) fn pause(&mut self, ids: Ids, now: Now) {
        if self.halves.contains_key(&ids.data) {
            self.full.push(ids.data);
            self.paused_since.get_or_insert(now.steady);
            self.timeout = self.timeout.min(now.steady + PAUSED_TICK);
        }
    }

    /// Notes that a stream is no longer full. Returns true if the tunnel may be read again because of it.
    pub(crate) fn resume(&mut self, ids: Ids, now: Now) -> bool {
        self.full.retain(|id| *id != ids.data);
        let resumed = self.full.is_empty() && self.paused_since.take().is_some();
        if resumed {
            self.health.excuse(now);
        }
        resumed
    }

    /// Returns since when the tunnel is not to be read.
    pub(crate) fn paused_since(&self) -> Option<Instant> {
        self.paused_since
    }
}
