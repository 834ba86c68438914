//! Follows a kubeconfig whose login changes: tunnels are dialed with the newest client, and streams that are open stay.
//! Sends a line to a port of a pod each time that Enter is pressed.
//!
//! ```text
//! cargo run -p kube-tunnel --example logins -- NAMESPACE POD PORT
//! ```

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::BoxFuture;
use kube_tunnel::{LeaseOptions, Login, Logins, Route, Tunnels};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::{Mutex, watch};

/// Reads the kubeconfig again whenever the API server refuses the login.
struct Kubeconfig {
    newest: watch::Sender<Login>,
    /// The generation of the login that was refused last; none has this number at first.
    refused: AtomicU64,
    /// Held while the kubeconfig is read.
    reading: Mutex<()>,
}

impl Kubeconfig {
    async fn new() -> Result<Self, kube::Error> {
        let login = Login { client: kube::Client::try_default().await?, generation: 1 };
        Ok(Self { newest: watch::Sender::new(login), refused: AtomicU64::new(0), reading: Mutex::default() })
    }
}

impl Logins for Kubeconfig {
    fn current(&self) -> BoxFuture<'_, Login> {
        Box::pin(async {
            let _reading = self.reading.lock().await;
            let generation = self.newest.borrow().generation;
            if self.refused.load(Ordering::Relaxed) == generation {
                match kube::Client::try_default().await {
                    Ok(client) => drop(self.newest.send_replace(Login { client, generation: generation + 1 })),
                    Err(error) => eprintln!("the kubeconfig cannot be read: {error}"),
                }
            }
            self.newest.borrow().clone()
        })
    }

    fn refused(&self, generation: u64) {
        self.refused.store(generation, Ordering::Relaxed);
    }

    fn subscribe(&self) -> watch::Receiver<Login> {
        self.newest.subscribe()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [namespace, pod, port] = &arguments[..] else {
        return Err("usage: logins NAMESPACE POD PORT".into());
    };
    let route = Route { namespace: namespace.clone(), pod: pod.clone(), port: port.parse()? };
    let tunnels = Tunnels::following(Arc::new(Kubeconfig::new().await?), None);
    let lease = tunnels.lease(route, LeaseOptions::default());
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let mut stream = BufReader::new(lease.open().await?);
        stream.write_all(format!("{line}\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_line(&mut answer).await?;
        println!("{}", answer.trim_end());
    }
    Ok(())
}
