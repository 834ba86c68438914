//! Forwards a local port to a port of a pod until it is interrupted, as `kubectl port-forward` does.
//!
//! ```text
//! cargo run -p kube-tunnel --example forward -- NAMESPACE POD LOCAL:REMOTE
//! ```

use std::error::Error;
use std::sync::Arc;

use kube_tunnel::{Counters, LeaseOptions, Route, Tunnels, splice};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [namespace, pod, ports] = &arguments[..] else {
        return Err("usage: forward NAMESPACE POD LOCAL:REMOTE".into());
    };
    let (local, remote) = ports.split_once(':').ok_or("write the ports as LOCAL:REMOTE")?;
    let route = Route { namespace: namespace.clone(), pod: pod.clone(), port: remote.parse()? };

    let tunnels = Tunnels::new(kube::Client::try_default().await?, None);
    // The lease opens a tunnel at once, and opens it again whenever it is lost.
    let lease = Arc::new(tunnels.lease(route, LeaseOptions::default()));
    let counters = Arc::new(Counters::default());
    let listener = TcpListener::bind(("127.0.0.1", local.parse()?)).await?;
    println!("{} → {namespace}/{pod}:{remote}", listener.local_addr()?);
    loop {
        let (socket, peer) = listener.accept().await?;
        let (lease, counters) = (Arc::clone(&lease), Arc::clone(&counters));
        tokio::spawn(async move {
            let stream = match lease.open().await {
                Ok(stream) => stream,
                Err(error) => {
                    // A reset, since the local program would take an orderly end for an empty answer.
                    let _ = socket.set_zero_linger();
                    return eprintln!("{peer}: {error}");
                }
            };
            match splice(socket, stream, None, &counters).await {
                Ok(moved) => println!("{peer}: {} bytes up, {} bytes down", moved.up, moved.down),
                Err(error) => eprintln!("{peer}: {error}"),
            }
        });
    }
}
