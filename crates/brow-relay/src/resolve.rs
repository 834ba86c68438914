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

/// The file that tells the system's resolver whom to ask, and for what.
const FILE: &str = "/etc/resolv.conf";

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

/// Returns the domain of the cluster's names; empty where the resolver's file does not tell.
pub(crate) fn cluster_domain() -> String {
    let file = std::fs::read_to_string(FILE).unwrap_or_default();
    domain_in(&file).unwrap_or_default().to_owned()
}

/// Reads the domain: Kubernetes has names searched in a pod's namespace, in `svc.` and the domain, and in the domain.
fn domain_in(file: &str) -> Option<&str> {
    // The last list counts.
    let list = file.lines().rev().find_map(|line| line.strip_prefix("search")?.strip_prefix([' ', '\t']))?;
    let domain = list.split_ascii_whitespace().find_map(|suffix| suffix.strip_prefix("svc."))?;
    Some(domain.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_is_that_in_which_services_are_searched() {
        for (file, domain) in [
            (
                "search team.svc.cluster.local svc.cluster.local cluster.local corp\nnameserver 10.96.0.10\n",
                "cluster.local",
            ),
            ("nameserver ::1\nsearch\tsvc.k8s.example.org. k8s.example.org.\noptions ndots:5\n", "k8s.example.org"),
            ("search a.svc.old svc.old\nsearch a.svc.new svc.new", "new"),
        ] {
            assert_eq!(domain_in(file), Some(domain), "{file}");
        }
        for file in ["", "search corp.example\n", "searching svc.x\n", "nameserver 10.96.0.10\n"] {
            assert_eq!(domain_in(file), None, "{file}");
        }
    }
}
