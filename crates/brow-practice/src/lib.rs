//! The practice cluster: a Kubernetes API of our own on loopback, for trying everything with nothing installed.
//!
//! It speaks plain HTTP on 127.0.0.1, on a port of its own for each run, to whoever bears one of its tokens, which
//! stand in its kubeconfig alone. What it keeps is in memory, what it writes is in one temporary directory, and both go
//! with it. The program reaches it as it reaches any cluster. Where its answers differ from a real cluster's, it is
//! wrong.

mod api;
mod custom;
mod datagrams;
mod debug;
mod exec;
mod files;
mod forward;
mod kinds;
mod kubelet;
mod list;
mod log;
mod pods;
mod program;
mod prometheus;
mod proxy;
mod query;
mod redis;
mod relay;
mod response;
mod select;
mod servers;
mod slices;
mod spdy;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod users;
mod watch;
mod workloads;
mod world;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use files::Files;
use world::World;

pub use world::Runtime;

/// The longest wait for tasks to end.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// A running practice cluster.
pub struct Practice {
    files: Files,
    world: Arc<World>,
    /// Holds the port of the cluster that is down, so that nobody else comes to listen there.
    _down: Socket,
}

impl Practice {
    /// Starts the cluster: files, API, and what runs in it.
    ///
    /// # Errors
    /// Where no temporary directory can be made, or loopback cannot be listened on.
    pub async fn start() -> io::Result<Self> {
        Self::start_on(Runtime::Resets).await
    }

    /// Starts the cluster on nodes with that container runtime.
    ///
    /// # Errors
    /// As [`Practice::start`].
    pub async fn start_on(runtime: Runtime) -> io::Result<Self> {
        let files = Files::new()?;
        let world = Arc::new(World::new(runtime));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        // Bound and not listening: whoever connects is refused.
        let down = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        down.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let closed = down.local_addr()?.as_socket_ipv4().map_or(1, |address| address.port());
        files.write_kubeconfig(listener.local_addr()?.port(), closed, &world.tokens)?;
        workloads::seed(&world);
        world.spawn(workloads::control(Arc::clone(&world)));
        world.spawn(listen(listener, Arc::clone(&world)));
        Ok(Self { files, world, _down: down })
    }

    /// The kubeconfig with its contexts.
    pub fn kubeconfig(&self) -> PathBuf {
        self.files.kubeconfig()
    }

    /// The config with targets to try.
    pub fn config(&self) -> PathBuf {
        self.files.config()
    }

    /// The directory for state and the audit log.
    pub fn state(&self) -> PathBuf {
        self.files.state()
    }

    /// Ends the cluster and removes its files.
    ///
    /// # Errors
    /// Where the files cannot be removed.
    pub async fn end(self) -> io::Result<()> {
        self.world.token.cancel();
        self.world.tasks.close();
        // What does not end by then ends with the runtime.
        let _late = timeout(END_TIMEOUT, self.world.tasks.wait()).await;
        self.files.remove()
    }
}

/// Serves connections to the API.
async fn listen(listener: TcpListener, world: Arc<World>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: that passes.
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Without it answers are only slower.
        let _slower = stream.set_nodelay(true);
        let at = Arc::clone(&world);
        world.spawn(async move {
            let service = service_fn(|request| api::serve(Arc::clone(&at), request));
            let mut builder = hyper::server::conn::http1::Builder::new();
            let connection = builder.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
            // A client that hangs up is nobody's fault.
            let _ended = connection.with_upgrades().await;
        });
    }
}
