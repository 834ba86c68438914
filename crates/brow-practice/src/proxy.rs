//! `pods/proxy`: the API server's own way to a port of a pod, of which only our own relay's is served.

use std::sync::Arc;

use brow_relay::upgrade::{PORT, TOKEN};
use http::{Request, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{self, BufReader};

use super::kinds::Kind;
use super::program;
use super::response::{Refusal, Response, switching};
use super::store::Key;
use super::world::{World, words};

/// Bytes on their way to or from a relay.
const PIPE_CAPACITY: usize = 64 * 1024;

/// Answers a request for a pod's port, `NAME:PORT`, and passes bytes both ways once it is upgraded.
pub(super) fn answer(
    world: &Arc<World>,
    kind: &Kind,
    namespace: &str,
    name: &str,
    mut request: Request<Incoming>,
) -> Result<Response, Refusal> {
    let (name, port) = name.split_once(':').unwrap_or((name, "80"));
    let key = Key::new(kind.plural, namespace, name.to_owned());
    let pod = world.store.get(&key).ok_or_else(|| Refusal::no_such(kind, name))?;
    let run = world.run(words(&pod["metadata"]["uid"]));
    let listens = port.parse() == Ok(PORT) && run.listens() && !run.stopped.is_cancelled();
    let secret = run.secret().filter(|_| listens);
    let secret = secret.ok_or_else(|| Refusal::unreached(words(&pod["status"]["podIP"]), port))?;
    if request.headers().get(header::UPGRADE).is_none_or(|upgrade| upgrade != TOKEN) {
        return Err(Refusal::bad("Upgrade request required"));
    }
    let (upgraded, at) = (hyper::upgrade::on(&mut request), Arc::clone(world));
    world.spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let (mut near, far) = io::duplex(PIPE_CAPACITY);
        let mut upgraded = TokioIo::new(upgraded);
        // The first end closes both directions.
        tokio::select! {
            _ = program::run(BufReader::new(far), &at, &secret) => {}
            _ = io::copy_bidirectional(&mut upgraded, &mut near) => {}
            () = run.stopped.cancelled() => {}
        }
    });
    Ok(switching(&[(header::UPGRADE, TOKEN)]))
}
