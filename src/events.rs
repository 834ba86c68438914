//! Events on their way to the loop: how every task reports.

use std::sync::Arc;

use tokio::sync::mpsc;

use brow_model::event::Event;
use brow_model::fault::{Fault, What};
use kube_tunnel::contain::contain;

/// Sends events to the loop; those of type `E` are about one subject, such as a cluster or a forward.
pub struct EventSender<E = Event> {
    events: mpsc::Sender<Event>,
    wrap: Arc<dyn Fn(E) -> Event + Send + Sync>,
}

impl<E> Clone for EventSender<E> {
    fn clone(&self) -> Self {
        Self { events: self.events.clone(), wrap: Arc::clone(&self.wrap) }
    }
}

impl EventSender {
    /// Makes a queue with room for so many events.
    pub fn channel(room: usize) -> (Self, mpsc::Receiver<Event>) {
        let (events, queue) = mpsc::channel(room);
        (Self { events, wrap: Arc::new(|event| event) }, queue)
    }

    /// Returns a sender for what is about one subject.
    pub fn about<E>(&self, wrap: impl Fn(E) -> Event + Send + Sync + 'static) -> EventSender<E> {
        EventSender { events: self.events.clone(), wrap: Arc::new(wrap) }
    }
}

impl<E> EventSender<E> {
    /// Sends an event, waiting for room. Returns false once the loop has ended, which wants no news then.
    pub async fn send(&self, event: E) -> bool {
        self.events.send((self.wrap)(event)).await.is_ok()
    }

    /// Sends an event unless the queue is full: it has more pressing news then.
    pub fn try_send(&self, event: E) {
        let _full = self.events.try_send((self.wrap)(event));
    }

    /// Sends an event, waiting for room until `end`: a loop that no longer takes events holds nobody up.
    pub async fn send_until(&self, event: E, end: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            room = self.events.reserve() => if let Ok(room) = room {
                room.send((self.wrap)(event));
            },
            () = end => self.try_send(event),
        }
    }

    /// Returns whether the loop has ended.
    pub fn is_closed(&self) -> bool {
        self.events.is_closed()
    }

    /// Runs a task. Its panic is a fault of `thing`, sent as `broken` says, and ends nothing else.
    pub async fn contain(&self, thing: &str, task: impl Future<Output = ()>, broken: impl FnOnce(Fault) -> E) {
        if let Err(words) = contain(task).await {
            self.send(broken(Fault::new(What::Internal, thing, words))).await;
        }
    }
}
