//! Looks names up. The system's function for that waits, so it runs beside the loop: on a few threads that last only as
//! long as names are asked for, so that one that does not answer holds up nobody else.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use mio::Waker;

/// The most names that are looked up at once; more wait.
const AT_ONCE: usize = 16;

/// The resolver of musl keeps some 20 KB there.
const STACK: usize = 128 * 1024;

/// A stream's addresses, or why there are none.
type Answer = (u32, io::Result<Vec<SocketAddr>>);

pub(crate) struct Resolver {
    waker: Arc<Waker>,
    out: Sender<Answer>,
    answers: Receiver<Answer>,
    waiting: VecDeque<(u32, String, u16)>,
    running: usize,
}

impl Resolver {
    pub(crate) fn new(waker: Waker) -> Self {
        let (out, answers) = channel();
        Self { waker: Arc::new(waker), out, answers, waiting: VecDeque::new(), running: 0 }
    }

    /// Looks a stream's host up, in its turn.
    pub(crate) fn ask(&mut self, id: u32, host: &str, port: u16) {
        self.waiting.push_back((id, host.to_owned(), port));
        self.go_on();
    }

    /// Returns the next answer that is there.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        let answer = self.answers.try_recv().ok()?;
        self.running -= 1;
        self.go_on();
        Some(answer)
    }

    fn go_on(&mut self) {
        while self.running < AT_ONCE
            && let Some((id, host, port)) = self.waiting.pop_front()
        {
            self.running += 1;
            let (out, waker) = (self.out.clone(), Arc::clone(&self.waker));
            let look = move || {
                let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
                // The loop may be gone: its connection has ended.
                let _ = out.send((id, found));
                let _ = waker.wake();
            };
            if let Err(error) = thread::Builder::new().stack_size(STACK).spawn(look) {
                let _ = self.out.send((id, Err(error)));
                let _ = self.waker.wake();
            }
        }
    }
}
