//! A TCP proxy that stands for the network between us and the API server: it can be slow, stop, or be cut.

#![allow(dead_code, reason = "each test file that includes this uses a part of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// The behavior of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Bytes pass.
    Fair,
    /// Bytes wait, connections stay and new ones are taken: a stopped API server, or a black hole.
    Stopped,
    /// Connections are ended as they come.
    Down,
}

/// The proxy. Ends with all its connections when dropped.
pub struct Wire {
    /// The address on which it listens.
    pub address: SocketAddr,
    weather: watch::Sender<Weather>,
    cut: watch::Sender<u64>,
    open: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Wire {
    /// A proxy to `target` that holds every byte back for `delay` on its way up and again on its way down.
    pub async fn new(target: SocketAddr, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (weather, _) = watch::channel(Weather::Fair);
        let (cut, _) = watch::channel(0);
        let (open, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (for_weather, for_cut, for_open) = (weather.clone(), cut.clone(), Arc::clone(&open));
        let for_ended = Arc::clone(&ended);
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let weather = for_weather.subscribe();
                if *weather.borrow() == Weather::Down {
                    for_ended.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let mut cut = for_cut.subscribe();
                let open = Arc::clone(&for_open);
                tokio::spawn(async move {
                    open.fetch_add(1, Ordering::Relaxed);
                    tokio::select! {
                        () = carry(near, target, delay, weather) => {}
                        _ = cut.changed() => {}
                    }
                    open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Self { address, weather, cut, open, ended, task }
    }

    /// Changes the weather, for new connections and those that are open.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Ends every connection that is open now.
    pub fn cut(&self) {
        self.cut.send_modify(|count| *count += 1);
    }

    /// Returns the number of open connections.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Returns the number of connections that were ended as they came.
    pub fn ended(&self) -> usize {
        self.ended.load(Ordering::Relaxed)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

async fn carry(near: TcpStream, target: SocketAddr, delay: Duration, weather: watch::Receiver<Weather>) {
    // The handshake of TCP costs a round trip, too.
    tokio::time::sleep(delay).await;
    let Ok(far) = TcpStream::connect(target).await else { return };
    near.set_nodelay(true).expect("nodelay");
    far.set_nodelay(true).expect("nodelay");
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    tokio::join!(one_way(near_read, far_write, delay, weather.clone()), one_way(far_read, near_write, delay, weather));
}

async fn one_way(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    delay: Duration,
    mut weather: watch::Receiver<Weather>,
) {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(4096);
    let read = async move {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match from.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    if sender.send((Instant::now() + delay, buffer[..count].to_vec())).await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    let write = async move {
        while let Some((due, bytes)) = receiver.recv().await {
            tokio::time::sleep_until(due).await;
            if weather.wait_for(|weather| *weather != Weather::Stopped).await.is_err()
                || to.write_all(&bytes).await.is_err()
            {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}
