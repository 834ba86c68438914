//! What the pump does every two seconds: pings, and what their silence means.

use std::{
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;

use super::Pump;
use crate::{
    Error, Protocol,
    proto::{
        frame,
        health::{self, Beat, DEAD, INTERVAL, Now},
        receive::lock,
    },
};

/// How often it is asked whether a connection lives whose silence says nothing.
const INQUIRY: Duration = Duration::from_secs(8);

/// How long a stream may hold the tunnel up while others are seen to wait for it.
const PATIENCE: Duration = Duration::from_secs(3);

impl Pump {
    pub(super) fn on_beat(&mut self, cx: &mut Context<'_>) -> Option<Error> {
        if self.leave.is_some() {
            // Nothing may follow its close.
            return None;
        }
        let now = Now::get();
        if self.is_clogged() {
            lock(&self.session.health).excuse(now);
            self.relieve();
            // What is not read does not tell of its end.
            if self.clogged.is_some_and(|since| health::since(since) >= DEAD) {
                self.inquire();
            }
            return None;
        }
        let mut health = lock(&self.session.health);
        let beat = health.beat(self.session.frames(), now);
        let (suspect, probe_due) = (health.is_suspect(now), health.is_probe_due(now.steady));
        drop(health);
        if !matches!(beat, Beat::Doubt) {
            self.inquiry = None;
        }
        if probe_due {
            self.session.probe();
        }
        match beat {
            Beat::Doubt => self.inquire(),
            Beat::Dead => return Some(Error::TunnelLost { text: "no answer to pings".to_owned() }),
            Beat::Ping(id) if self.session.protocol == Protocol::V4 => {
                let mut io = self.session.lock_io();
                if io.transport.web_socket_ping(cx, Bytes::copy_from_slice(&id.to_be_bytes())).is_err() {
                    return Some(Error::TunnelLost { text: "the connection broke".to_owned() });
                }
                io.flush();
            }
            Beat::Ping(id) => self.session.control(|out| frame::ping(out, id)),
            Beat::Fine => {}
        }
        // A worker of the server that stays stuck: the streams there may live on, new ones go elsewhere.
        if !suspect {
            self.suspect = None;
        } else if health::since(*self.suspect.get_or_insert(now.steady)) > INTERVAL {
            self.session.retire();
        }
        None
    }

    /// Asks what else tells of the connection's life, unless that was done a moment ago.
    fn inquire(&mut self) {
        let now = health::now();
        if self.inquiry.is_none() && self.inquired.is_none_or(|at| health::since(at) >= INQUIRY) {
            self.inquired = Some(now);
            self.inquiry = Some(self.session.witness.ask());
        }
    }

    /// Cuts off the streams that hold the tunnel up, once it is seen that others wait behind them. A stream that has
    /// the tunnel to itself, or shares it with idle ones only, may take its time.
    fn relieve(&self) {
        let Some(since) = self.clogged else { return };
        if health::since(since) < PATIENCE {
            return;
        }
        let before = since.checked_sub(Duration::from_secs(1)).unwrap_or(since);
        let waiting = self.session.all().iter().any(|shared| {
            !self.clogs.iter().any(|clog| Arc::ptr_eq(clog, shared)) && lock(&shared.state).is_waiting(before)
        });
        if !waiting {
            return;
        }
        for shared in &self.clogs {
            let mut state = lock(&shared.state);
            if state.taken.is_some_and(|at| at.elapsed() < PATIENCE) {
                // Slow, but it reads.
                continue;
            }
            state.fail(Error::Stalled);
            state.clogged = false;
            let reader = state.reader();
            drop(state);
            reader.into_iter().for_each(Waker::wake);
        }
        self.session.wake_pump();
    }
}
