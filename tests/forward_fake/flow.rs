//! Flows of datagrams to a server in this process.

use std::net::SocketAddr;
use std::sync::Arc;

use brow_tui::forward::{Deliver, Flow, Incoming, ReachError};
use futures::future::BoxFuture;
use kube_tunnel::Error;
use tokio::net::UdpSocket;
use tokio_util::task::AbortOnDropHandle;

use super::World;

/// A flow: a socket of its own.
struct FakeFlow {
    world: Arc<World>,
    socket: Arc<UdpSocket>,
    _receiving: AbortOnDropHandle<()>,
}

/// Opens a flow to a pod's port.
pub async fn open(world: &Arc<World>, pod: &str, deliver: Deliver) -> Result<Arc<dyn Flow>, ReachError> {
    let gone = || ReachError::Tunnel(Error::NoSuchPod { text: pod.to_owned() });
    let port = world.pod(pod).ok_or_else(gone)?.port;
    Ok(Arc::new(FakeFlow::open(world, port, deliver).await))
}

impl FakeFlow {
    async fn open(world: &Arc<World>, to: SocketAddr, deliver: Deliver) -> Self {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a port"));
        socket.connect(to).await.expect("connected");
        // Before that it takes nothing.
        socket.writable().await.expect("writable");
        let receiving = Arc::clone(&socket);
        let receiving = tokio::spawn(async move {
            let mut space = vec![0; 1 << 16];
            while let Ok(count) = receiving.recv(&mut space).await {
                deliver(Incoming::Datagram(&space[..count]));
            }
        });
        Self { world: Arc::clone(world), socket, _receiving: AbortOnDropHandle::new(receiving) }
    }
}

impl Flow for FakeFlow {
    fn send(&self, datagram: &[u8]) -> bool {
        self.socket.try_send(datagram).is_ok()
    }

    fn ended(&self) -> BoxFuture<'_, ReachError> {
        Box::pin(async {
            self.world.ending.notified().await;
            let reason = self.world.reason.lock().expect("reason").clone();
            reason.map_or(ReachError::Tunnel(Error::Reset), ReachError::Target)
        })
    }
}
