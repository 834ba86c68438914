//! A TCP proxy that can cut the connections that carry little, which leaves those of tunnels in use.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// More than this in the same direction is a tunnel's: the tests send more through each.
const BUSY: u64 = 48 * 1024;

/// The proxy; it ends with the test's process.
pub struct Sieve {
    pub address: SocketAddr,
    carried: Arc<Mutex<Vec<Carried>>>,
}

struct Carried {
    near: TcpStream,
    /// The bytes that the program has sent.
    sent: Arc<AtomicU64>,
}

impl Sieve {
    pub fn to(upstream: &str) -> Self {
        let upstream: SocketAddr = upstream.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let carried = Arc::<Mutex<Vec<Carried>>>::default();
        let all = Arc::clone(&carried);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(upstream) else { continue };
                let sent = Arc::<AtomicU64>::default();
                all.lock().unwrap().push(Carried { near: near.try_clone().unwrap(), sent: Arc::clone(&sent) });
                let (near_too, far_too) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                thread::spawn(move || one_way(far_too, near_too, &AtomicU64::new(0)));
                thread::spawn(move || one_way(near, far, &sent));
            }
        });
        Self { address, carried }
    }

    /// Cuts every connection that has carried little.
    pub fn cut_all_but_busy(&self) {
        self.cut(|sent| sent <= BUSY);
    }

    /// Cuts every connection.
    pub fn cut_all(&self) {
        self.cut(|_| true);
    }

    fn cut(&self, which: impl Fn(u64) -> bool) {
        self.carried.lock().unwrap().retain(|one| {
            let cut = which(one.sent.load(Ordering::SeqCst));
            if cut {
                // It may have ended by itself.
                let _ended = one.near.shutdown(Shutdown::Both);
            }
            !cut
        });
    }
}

fn one_way(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64) {
    let mut buffer = [0; 16_384];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        count.fetch_add(read as u64, Ordering::SeqCst);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
