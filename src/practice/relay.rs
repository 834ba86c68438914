//! The relay in a proxy pod, as socat and a shell do it there: the first line of a stream is the address; a line that
//! begins with `?` asks what is wrong with it, and is answered in socat's words; one that begins with `+` has a port of
//! its own opened for it, for as long as the stream lasts.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::io::{self, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::time::timeout;

use super::servers::{Lines, Unreached, dial};
use super::world::{Run, World};

/// socat's `connect-timeout`.
const PATIENCE: Duration = Duration::from_secs(10);

/// When something was said, as `socat -lu` writes it.
const STAMP: &str = "%Y/%m/%d %H:%M:%S%.6f";

/// The longest first line.
const LINE: u64 = 512;

/// Serves a stream. `lanes` is what runs in the pod, where its relay knows lanes.
pub(super) async fn serve(wire: DuplexStream, world: &Arc<World>, lanes: Option<&Run>) -> io::Result<()> {
    let mut wire: Lines = BufReader::new(wire);
    let line = read_line(&mut wire).await?;
    if let (Some(address), Some(run)) = (line.strip_prefix('+'), lanes) {
        let port = run.open_lane(address);
        let stamp = Utc::now().format("%Y/%m/%d %H:%M:%S");
        let said = format!("{stamp} socat[8] N listening on AF=2 127.0.0.1:{port}\n");
        let lasted = async {
            wire.write_all(said.as_bytes()).await?;
            // Another line ends it as well as the stream's end.
            read_line(&mut wire).await
        };
        let lasted = lasted.await;
        run.close_lane(port);
        return lasted.map(|_| ());
    }
    let Some(address) = line.strip_prefix('?') else { return pass(wire, world, &line).await };
    let call = format!("connect(5, AF=2 {address}, 16)");
    let opening = Utc::now().format(STAMP);
    let reached = reach(world, address).await;
    let stamp = Utc::now().format(STAMP);
    let said = match reached {
        Reached::Open(_) => {
            let said = format!(
                "{opening} socat[7] N opening connection to AF=2 {address}\n\
                 {stamp} socat[7] N starting data transfer loop with FDs [5,5] and [6,6]\n"
            );
            wire.write_all(said.as_bytes()).await?;
            return wire.shutdown().await;
        }
        Reached::Not(Unreached::Refused) => format!("{call}: Connection refused"),
        Reached::Not(Unreached::NoRoute) => format!("{call}: No route to host"),
        Reached::Not(Unreached::Unresolved) => {
            let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
            format!("getaddrinfo(\"{host}\", \"{port}\", {{1,0,1,6}}, {{}}): Name or service not known")
        }
        Reached::Silent => format!("connecting to {address}: Connection timed out"),
    };
    wire.write_all(format!("{stamp} socat[7] E {said}\n").as_bytes()).await?;
    wire.shutdown().await
}

async fn read_line(wire: &mut Lines) -> io::Result<String> {
    let mut line = String::new();
    wire.take(LINE).read_line(&mut line).await?;
    line.truncate(line.trim_end_matches('\n').len());
    Ok(line)
}

/// Passes what comes on to an address, and back; ends where that cannot be reached.
pub(super) async fn pass<W>(mut wire: W, world: &Arc<World>, address: &str) -> io::Result<()>
where
    W: io::AsyncRead + io::AsyncWrite + Unpin,
{
    let Reached::Open(mut target) = reach(world, address).await else { return Ok(()) };
    io::copy_bidirectional(&mut wire, &mut target).await.map(|_| ())
}

enum Reached {
    Open(DuplexStream),
    Not(Unreached),
    /// It did not answer in time.
    Silent,
}

async fn reach(world: &Arc<World>, address: &str) -> Reached {
    let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let Some((host, port)) = parts else { return Reached::Not(Unreached::Unresolved) };
    match timeout(PATIENCE, dial(world, host, port)).await {
        Ok(Ok(target)) => Reached::Open(target),
        Ok(Err(unreached)) => Reached::Not(unreached),
        Err(_) => Reached::Silent,
    }
}
