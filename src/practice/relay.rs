//! The relay in a proxy pod, as socat and a shell do it there: the first line of a stream is the address; a line that
//! begins with `?` asks what is wrong with it, and is answered in socat's words.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::io::{self, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::time::timeout;

use super::servers::{Lines, Unreached, dial};
use super::world::World;

/// socat's `connect-timeout`.
const PATIENCE: Duration = Duration::from_secs(10);

/// When something was said, as `socat -lu` writes it.
const STAMP: &str = "%Y/%m/%d %H:%M:%S%.6f";

/// The longest first line.
const LINE: u64 = 512;

pub(super) async fn serve(wire: DuplexStream, world: &Arc<World>) -> io::Result<()> {
    let mut wire: Lines = BufReader::new(wire);
    let mut line = String::new();
    (&mut wire).take(LINE).read_line(&mut line).await?;
    let line = line.trim_end_matches('\n');
    let (asked, address) = line.strip_prefix('?').map_or((false, line), |address| (true, address));
    let Some((host, port)) = address.rsplit_once(':') else { return Ok(()) };
    let opening = Utc::now();
    let reached = match port.parse() {
        Ok(port) => timeout(PATIENCE, dial(world, host, port)).await,
        Err(_) => Ok(Err(Unreached::Unresolved)),
    };
    if asked {
        let stamp = Utc::now().format(STAMP);
        let call = format!("connect(5, AF=2 {address}, 16)");
        let said = match reached {
            Ok(Ok(_)) => {
                let opening = opening.format(STAMP);
                let said = format!(
                    "{opening} socat[7] N opening connection to AF=2 {address}\n\
                     {stamp} socat[7] N starting data transfer loop with FDs [5,5] and [6,6]\n"
                );
                wire.write_all(said.as_bytes()).await?;
                return wire.shutdown().await;
            }
            Ok(Err(Unreached::Refused)) => format!("{call}: Connection refused"),
            Ok(Err(Unreached::NoRoute)) => format!("{call}: No route to host"),
            Ok(Err(Unreached::Unresolved)) => {
                format!("getaddrinfo(\"{host}\", \"{port}\", {{1,0,1,6}}, {{}}): Name or service not known")
            }
            Err(_) => format!("connecting to {address}: Connection timed out"),
        };
        wire.write_all(format!("{stamp} socat[7] E {said}\n").as_bytes()).await?;
        return wire.shutdown().await;
    }
    let Ok(Ok(mut target)) = reached else { return Ok(()) };
    io::copy_bidirectional(&mut wire, &mut target).await.map(|_| ())
}
