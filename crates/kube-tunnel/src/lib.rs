//! Upgraded connections to the API server that carry streams to a pod.
//!
//! A [`Tunnels`] belongs to one cluster. A forward takes a [`Lease`] on a [`Route`] for as long as it lives; the lease
//! keeps tunnels to that pod open ahead of need, and [`Lease::open`] hands out a [`Stream`]: one forwarded TCP
//! connection. [`splice()`] moves bytes between a local socket and a stream until both have ended.
//!
//! ```no_run
//! # async fn example(client: kube::Client, local: tokio::net::TcpStream) -> Result<(), kube_tunnel::Error> {
//! use kube_tunnel::{Counters, LeaseOptions, Route, Tunnels, splice};
//!
//! let tunnels = Tunnels::new(client, None);
//! let route = Route { namespace: "default".into(), pod: "web-0".into(), port: 8080 };
//! let lease = tunnels.lease(route, LeaseOptions::default());
//! let counters = std::sync::Arc::new(Counters::default());
//! let stream = lease.open().await?;
//! splice(local, stream, None, &counters).await?;
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]

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
    splice::{end_in_order, splice, splice_and_sum},
    stream::Stream,
};
pub use login::{Login, Logins};
pub use meter::{Counters, Stats, Summary};
pub use pool::lease::{Lease, LeaseOptions, Tunnels};
pub use proto::{frame, headers};
pub use protocol::{Protocol, UnknownProtocol};
