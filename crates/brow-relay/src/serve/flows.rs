//! The flows: datagrams between the stream to brow-tui and the targets' sockets.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use brow_relay::DATAGRAM;
use mio::Token;

use super::{Relay, TARGETS};
use crate::flow::Flow;
use crate::target::{reason, words};

/// The bytes of datagrams that may wait for names to be resolved.
const HELD: usize = 512 * 1024;

/// The bytes that a flow reads in one turn, before others have theirs.
const TURN: usize = 32 * 1024;

impl Relay {
    /// Connects a flow's socket, or says why that cannot be had.
    pub(super) fn connect_flow(&mut self, id: u32, addresses: &[SocketAddr], now: Instant) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        match flow.connect(addresses, self.poll.registry(), Token(TARGETS + id as usize), now) {
            Ok(took) => self.connection.connected(id, took),
            Err(error) => self.end_flow(id, &error),
        }
    }

    fn end_flow(&mut self, id: u32, error: &io::Error) {
        self.connection.reset(id, reason(error), &words(error));
        self.flows.remove(&id);
    }

    /// Sends what a flow's target may read.
    pub(super) fn send_to_flow(flows: &mut super::Flows, id: u32, datagram: &[u8]) -> io::Result<()> {
        let waiting: usize =
            if flows.get(&id).is_some_and(Flow::is_connected) { 0 } else { flows.values().map(Flow::held).sum() };
        match flows.get_mut(&id) {
            Some(flow) if flow.is_connected() => flow.send(datagram),
            Some(flow) => {
                flow.hold(datagram, waiting + datagram.len() <= HELD);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Goes on after a datagram went to a flow's target, or did not.
    pub(super) fn sent_to_flow(&mut self, id: u32, sent: io::Result<()>) {
        if let Err(error) = sent {
            return self.end_flow(id, &error);
        }
        self.note_loss(id);
    }

    fn note_loss(&mut self, id: u32) {
        if self.flows.get(&id).is_some_and(|flow| flow.dropped > 0) && !self.lossy.contains(&id) {
            self.lossy.push(id);
        }
    }

    /// Queues a flow to be read in its turn.
    pub(super) fn queue_flow(&mut self, id: u32) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        if flow.readable && !flow.queued {
            flow.queued = true;
            self.ready.push_back(id);
        }
    }

    /// Reads a flow's datagrams. What cannot be sent now is dropped, so that it is not late when it can.
    pub(super) fn read_flow(&mut self, id: u32) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        flow.queued = false;
        let mut count = 0;
        while count < TURN {
            match flow.receive(&mut self.datagram) {
                Ok(Some(length)) => {
                    count += length + 1;
                    if length > DATAGRAM || !self.connection.send_datagram(id, &self.datagram[..length]) {
                        flow.dropped = flow.dropped.saturating_add(1);
                    }
                }
                Ok(None) => break,
                Err(error) => return self.end_flow(id, &error),
            }
        }
        self.note_loss(id);
        self.queue_flow(id);
    }

    /// Says how many datagrams were dropped, when there is room to say so.
    pub(super) fn tell_losses(&mut self) {
        while self.connection.has_room()
            && let Some(id) = self.lossy.pop()
        {
            if let Some(flow) = self.flows.get_mut(&id) {
                self.connection.dropped(id, std::mem::take(&mut flow.dropped));
            }
        }
    }
}
