//! Connections to the ports of Kubernetes pods, multiplexed over a few connections to the API server.
//!
//! It does what `kubectl port-forward` does, for programs that open many connections or need low latency.
//!
//! # Port-forwarding
//!
//! A client that wants to reach a port of a pod sends the API server a request for the pod's `portforward` subresource
//! and asks it to switch protocols (`Upgrade`, RFC 9110, 7.8). The API server connects to the node, and the node to the
//! pod. On the upgraded connection, a **tunnel**, the client then opens any number of **streams**; each is one TCP
//! connection to a port of the pod, on its loopback address.
//!
//! The user needs the right to `create` `pods/portforward` in the pod's namespace (before Kubernetes 1.35, `get` is
//! enough), and the program a tokio runtime. UDP is not forwarded: port-forward knows TCP only.
//!
//! `kube`'s `Api::portforward` opens a TCP, a TLS and a WebSocket connection for each forwarded connection. Here,
//! tunnels are opened ahead of need and shared, and the first bytes travel with the opening of a stream, so that a new
//! connection costs one round trip.
//!
//! # Opening a stream
//!
//! [`Tunnels`] stands for a cluster. A [`Lease`] keeps tunnels to one pod open as long as it lives, and opens lost ones
//! again. [`Lease::open`] returns a [`Stream`], which is read and written like a TCP connection:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use kube_tunnel::{LeaseOptions, Route, Tunnels};
//! use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
//!
//! let tunnels = Tunnels::new(kube::Client::try_default().await?, None);
//! let route = Route { namespace: "default".into(), pod: "web-0".into(), port: 8080 };
//! let lease = tunnels.lease(route, LeaseOptions::default());
//!
//! let mut stream = lease.open().await?;
//! stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
//! let mut answer = String::new();
//! stream.read_to_string(&mut answer).await?;
//! # Ok(())
//! # }
//! ```
//!
//! `Client::try_default` follows `$KUBECONFIG` and its current context; `kube::Config::from_kubeconfig` takes another.
//!
//! # Forwarding a local port
//!
//! [`splice()`] moves bytes between a local TCP connection and a stream until both directions have ended, and counts
//! them in [`Counters`]. What is cut off is reset, never ended in order, so that a program does not take half an answer
//! for a whole one.
//!
//! ```no_run
//! # async fn example(lease: kube_tunnel::Lease) -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use kube_tunnel::{Counters, splice};
//!
//! let lease = Arc::new(lease);
//! let counters = Arc::new(Counters::default());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! loop {
//!     let (socket, _) = listener.accept().await?;
//!     let (lease, counters) = (Arc::clone(&lease), Arc::clone(&counters));
//!     tokio::spawn(async move {
//!         let served = match lease.open().await {
//!             Ok(stream) => splice(socket, stream, None, &counters).await.map(drop),
//!             Err(error) => {
//!                 // A reset, since the local program would take an orderly end for an empty answer.
//!                 let _ = socket.set_zero_linger();
//!                 Err(error)
//!             }
//!         };
//!         if let Err(error) = served {
//!             eprintln!("{error}");
//!         }
//!     });
//! }
//! # }
//! ```
//!
//! # Processes in containers
//!
//! [`exec::Process`] starts a command in a container, or joins its first process: input, output, terminal size and exit
//! code. It has a connection of its own. Its input stays open until [`exec::Input::finish`].
//!
//! # Beside tunnels
//!
//! [`Tunnels::pod_proxy`] reaches a port of a pod without its node. [`Backoff`] and [`contain`] are what a program
//! around tunnels needs, too: pauses between attempts, and tasks whose panics stay their own.
//!
//! # Errors
//!
//! Opening a stream does not wait for the pod, so a refusal is an error of the stream's first read. Errors tell apart
//! what can be done about them: see [`Error`]. Readers and writers get them inside of an [`std::io::Error`], from which
//! [`Error::from_io`] takes them.
//!
//! ```
//! use kube_tunnel::Error;
//!
//! fn advice(error: std::io::Error) -> &'static str {
//!     match Error::from_io(error) {
//!         error if error.is_pod_gone() => "take another pod",
//!         Error::Refused { .. } => "nothing listens on that port of the pod",
//!         Error::Forbidden { .. } => "ask for the right to create pods/portforward",
//!         Error::Unauthorized { .. } => "log in again",
//!         Error::Unreachable { .. } | Error::TunnelLost { .. } => "try again later",
//!         _ => "see what the error says",
//!     }
//! }
//! # assert_eq!(advice(std::io::ErrorKind::BrokenPipe.into()), "see what the error says");
//! ```
//!
//! # Protocols
//!
//! A tunnel speaks one of three protocols, which are tried in this order ([`Protocol`]):
//!
//! | variant | protocol | streams per connection | servers |
//! |---|---|---|---|
//! | `Spdy` | SPDY/3.1 | many | all |
//! | `SpdyOverWebSocket` | SPDY/3.1 in a WebSocket | many | from 1.31, and gateways that let no SPDY through |
//! | `V4` | WebSocket `v4.channel.k8s.io` | one | all |
//!
//! The first that the API server takes is remembered for ten minutes. With a SPDY tunnel, a stream is a pair of SPDY
//! streams: `data` carries the bytes, `error` the node's message when it cannot connect (Kubernetes,
//! `kubelet/pkg/cri/streaming/portforward`).
//!
//! # Liveness and backpressure
//!
//! A tunnel is pinged every 4 s. One whose peer is silent is lost within 15 s, and its streams end with
//! [`Error::TunnelLost`]. A server reads nothing while a pod takes no bytes, so silence alone is no proof while bytes
//! of ours are on their way: the kernel and the API server are asked then.
//!
//! Received bytes are bounded by 256 KiB for a stream. One whose reader takes none stops its whole tunnel, since the
//! protocols have no windows that Kubernetes would heed; new streams then use other tunnels, and the stream is cut off
//! ([`Error::Stalled`]) once others on its tunnel have waited for 3 s.
//!
//! # Logins that change
//!
//! [`Tunnels::new`] takes one client. Where credentials expire, implement [`Logins`] and use [`Tunnels::following`]:
//! new tunnels use the newest client, and open streams stay where they are.
//!
//! # Structure
//!
//! The protocol does no I/O and reads no clock: bytes and the time are passed in. Of it, [`frame`] and [`headers`] are
//! public, for servers and tests that speak SPDY.
#![deny(missing_docs)]

mod backoff;
pub mod contain;
mod error;
mod io;
mod login;
mod meter;
mod pool;
mod proto;
mod protocol;

pub use backoff::Backoff;
pub use error::Error;
pub use io::{
    dial::Route,
    exec,
    peer::{PeerUser, peer_user, tells_peer_users, tells_udp_peer_users, udp_peer_user},
    splice::{end_in_order, splice, splice_with_summary},
    stream::Stream,
};
pub use login::{Login, Logins};
pub use meter::{Counters, OpenGuard, Stats, Summary};
pub use pool::lease::{Lease, LeaseOptions, Tunnels};
pub use proto::{frame, headers};
pub use protocol::{Protocol, UnknownProtocol};
