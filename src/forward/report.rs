//! Reports a forward's events to the loop, with a limit on failed connections.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::events::EventSender;
use brow_model::epoch::Epoch;
use brow_model::event::{Event, ForwardEvent};
use brow_model::fault::Fault;
use brow_model::forward::ForwardId;

/// The number of failed connections that may be reported in a burst.
const BURST: u32 = 5;

/// The interval at which one more may be reported after that. The counter of failed connections counts all.
const REFILL_INTERVAL: Duration = Duration::from_secs(1);

/// The longest wait for the loop to take the last event while it is ending itself.
const LAST_EVENT_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends one forward's events.
pub(super) struct Reporter {
    events: EventSender<ForwardEvent>,
    bucket: Mutex<TokenBucket>,
}

#[derive(Debug)]
struct TokenBucket {
    left: u32,
    /// The time at which `left` was last topped up.
    at: Instant,
}

impl TokenBucket {
    fn take(&mut self, now: Instant) -> bool {
        let earned = now.duration_since(self.at).as_millis() / REFILL_INTERVAL.as_millis();
        let earned = u32::try_from(earned).unwrap_or(BURST).min(BURST);
        if earned > 0 {
            self.left = (self.left + earned).min(BURST);
            self.at = now;
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

impl Reporter {
    pub(super) fn new(id: ForwardId, epoch: Epoch, events: &EventSender) -> Self {
        let bucket = Mutex::new(TokenBucket { left: BURST, at: Instant::now() });
        Self { events: events.about(move |event| Event::Forward { id, epoch, event }), bucket }
    }

    /// Sends an event, waiting for room. Does nothing once the loop has ended.
    pub(super) async fn send(&self, event: ForwardEvent) {
        self.events.send(event).await;
    }

    /// Sends the last event. A loop that no longer receives events does not keep the forward from ending.
    pub(super) async fn last(&self, event: ForwardEvent) {
        self.events.send_until(event, sleep(LAST_EVENT_TIMEOUT)).await;
    }

    /// Reports a failed connection, unless the rate limit is exceeded. Never waits.
    pub(super) fn failed(&self, fault: Fault) {
        let may = self.bucket.lock().take(Instant::now());
        if may {
            self.events.try_send(ForwardEvent::ConnectionFailed(fault));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_told_in_drops() {
        let start = Instant::now();
        let mut bucket = TokenBucket { left: BURST, at: start };
        let told = (0..1000).filter(|_| bucket.take(start)).count();
        assert_eq!(told, BURST as usize);
        assert!(bucket.take(start + REFILL_INTERVAL));
        assert!(!bucket.take(start + REFILL_INTERVAL));
        let told = (0..1000).filter(|_| bucket.take(start + REFILL_INTERVAL * 1000)).count();
        assert_eq!(told, BURST as usize);
    }
}
