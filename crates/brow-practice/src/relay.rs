//! The relay in a proxy pod, as socat and a shell implement it there. It is given its secret once. Clients that prove
//! to know it can have a stream passed on to an address, an address diagnosed in socat's words, or a port opened for an
//! address while the stream lasts.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use ring::digest::{SHA256, digest};
use tokio::io::{self, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::time::timeout;

use super::program;
use super::servers::{DialError, dial};
use super::world::{Lines, RunningPod, World};

/// socat's `connect-timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The format of the time in socat's log (`socat -lu`).
const TIME_FORMAT: &str = "%Y/%m/%d %H:%M:%S%.6f";

/// Bytes of what a stream begins with, of a secret, of a request, of a lane's word, and of the number after it: as the
/// script in the pod has them.
const NONCE_LENGTH: usize = 32;
const SECRET_LENGTH: usize = 64;
const REQUEST_LENGTH: usize = 400;
const WORD_LENGTH: usize = 32;
const NUMBER_LENGTH: usize = 8;

/// Serves a stream to a relay whose secret has this hash.
pub(super) async fn serve(wire: DuplexStream, world: &Arc<World>, run: &RunningPod, hash: &str) -> io::Result<()> {
    let mut wire: Lines = BufReader::new(wire);
    let nonce = read_exactly(&mut wire, NONCE_LENGTH + 1).await?;
    let secret = if let Some(secret) = run.secret() {
        secret
    } else {
        wire.write_all(b"new\n").await?;
        let secret = read_exactly(&mut wire, SECRET_LENGTH).await?;
        if sha256(&secret) != hash {
            return wire.shutdown().await;
        }
        run.take_secret(secret.clone());
        secret
    };
    let proof = sha256(&format!("{}{secret}", nonce.trim_end()));
    wire.write_all(format!("{proof}\n").as_bytes()).await?;
    let record = read_exactly(&mut wire, REQUEST_LENGTH).await?;
    let Some(asked) = record.strip_prefix(&format!("{secret} ")) else { return wire.shutdown().await };
    let (entry, line) = asked.trim_end().split_once(' ').unwrap_or_default();
    if let Some(address) = line.strip_prefix('+') {
        let port = run.open_lane(address, entry);
        let stamp = Utc::now().format("%Y/%m/%d %H:%M:%S");
        let said = format!("{stamp} socat[8] N listening on AF=2 127.0.0.1:{port}\n");
        let lasted = async {
            wire.write_all(said.as_bytes()).await?;
            // Another line ends it as well as the stream's end.
            wire.read_line(&mut String::new()).await
        };
        let lasted = lasted.await;
        run.close_lane(port);
        return lasted.map(|_| ());
    }
    if let Some(address) = line.strip_prefix('=') {
        return pass(wire, world, address).await;
    }
    if let Some(address) = line.strip_prefix('?') {
        return diagnose(wire, world, address).await;
    }
    // As if the program were kept already.
    if line.starts_with('^') {
        run.listen();
        wire.write_all(format!("{}\n", brow_relay::upgrade::PORT).as_bytes()).await?;
        return wire.shutdown().await;
    }
    wire.write_all(b"run\n").await?;
    program::run(wire, world, &secret).await
}

/// Serves a connection to a lane: it begins with the word.
pub(super) async fn enter(wire: DuplexStream, world: &Arc<World>, address: &str, entry: &str) -> io::Result<()> {
    let mut wire: Lines = BufReader::new(wire);
    let said = read_exactly(&mut wire, WORD_LENGTH + NUMBER_LENGTH).await?;
    if said.strip_prefix(entry).is_some_and(|number| number.len() == NUMBER_LENGTH) {
        pass(wire, world, address).await
    } else {
        Ok(())
    }
}

/// SHA-256 of a text, in hex.
pub(super) fn sha256(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    digest.as_ref().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

async fn read_exactly(wire: &mut Lines, count: usize) -> io::Result<String> {
    let mut bytes = vec![0; count];
    wire.read_exact(&mut bytes).await?;
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Tries to connect, and says in socat's words how that went.
async fn diagnose(mut wire: Lines, world: &Arc<World>, address: &str) -> io::Result<()> {
    let call = format!("connect(5, AF=2 {address}, 16)");
    let opening = Utc::now().format(TIME_FORMAT);
    let reached = reach(world, address).await;
    let stamp = Utc::now().format(TIME_FORMAT);
    let said = match reached {
        Reached::Open(_) => {
            let said = format!(
                "{opening} socat[7] N opening connection to AF=2 {address}\n\
                 {stamp} socat[7] N starting data transfer loop with FDs [5,5] and [6,6]\n"
            );
            wire.write_all(said.as_bytes()).await?;
            return wire.shutdown().await;
        }
        Reached::Not(DialError::Refused) => format!("{call}: Connection refused"),
        Reached::Not(DialError::NoRoute) => format!("{call}: No route to host"),
        Reached::Not(DialError::Unresolved) => {
            let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
            format!("getaddrinfo(\"{host}\", \"{port}\", {{1,0,1,6}}, {{}}): Name or service not known")
        }
        Reached::Silent => format!("connecting to {address}: Connection timed out"),
    };
    wire.write_all(format!("{stamp} socat[7] E {said}\n").as_bytes()).await?;
    wire.shutdown().await
}

/// Passes what comes on to an address, and back; ends where that cannot be reached.
async fn pass<W>(mut wire: W, world: &Arc<World>, address: &str) -> io::Result<()>
where
    W: io::AsyncRead + io::AsyncWrite + Unpin,
{
    let Reached::Open(mut target) = reach(world, address).await else { return Ok(()) };
    io::copy_bidirectional(&mut wire, &mut target).await.map(|_| ())
}

pub(super) enum Reached {
    Open(DuplexStream),
    Not(DialError),
    /// It did not answer in time.
    Silent,
}

/// Connects to an address, as long as socat would wait for it.
pub(super) async fn reach(world: &Arc<World>, address: &str) -> Reached {
    let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let Some((host, port)) = parts else { return Reached::Not(DialError::Unresolved) };
    match timeout(CONNECT_TIMEOUT, dial(world, host, port)).await {
        Ok(Ok(target)) => Reached::Open(target),
        Ok(Err(unreached)) => Reached::Not(unreached),
        Err(_) => Reached::Silent,
    }
}
