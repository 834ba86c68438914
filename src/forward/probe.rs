//! Asks a forward's target, through its tunnel, whether it is well. It never goes by the listener: a probe is no use of
//! the forward, and none is made where there is no way.

mod mysql;

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::dialer::{self, Dialer, Lease, ReachError};
use super::route::Route;
use super::state::Forward;
use super::upstream::Upstream;
use brow_model::event::ForwardEvent;
use brow_model::fault::{Fault, What};
use brow_model::health::{Health, Probe, ProbePlan};
use kube_tunnel::Error;

/// The longest wait for an answer.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(12);

/// The longest wait for a server to close the connection in order.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// The most of an answer that is read, in bytes.
const MAX_ANSWER: usize = 4_096;

/// `SSLRequest`: its length, and the code 1234.5679 (`PostgreSQL` documentation, "Message Formats").
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Probes for as long as the forward is open and there is a plan for it.
pub(super) async fn run<D: Dialer>(forward: Arc<Forward<D>>, mut plans: watch::Receiver<Option<ProbePlan>>) {
    loop {
        let plan = plans.borrow_and_update().clone();
        let following = async {
            match plan {
                Some(plan) => follow(&forward, &plan).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = forward.token.cancelled() => return,
            changed = plans.changed() => if changed.is_err() {
                return;
            },
            () = following => return,
        }
    }
}

async fn follow<D: Dialer>(forward: &Forward<D>, plan: &ProbePlan) {
    let mut routes = forward.routes.clone();
    loop {
        let route = routes.borrow_and_update().clone();
        if let Route::Through(upstream) = route {
            let found = probe_once(forward, &upstream, &plan.probe).await;
            // What was found of a pod that was left in between says nothing.
            if forward.is_current(&upstream) {
                forward.report(ForwardEvent::Probed(found)).await;
            }
            // Not held while nothing is asked: a pod is left when nobody uses it.
            drop(upstream);
            tokio::select! {
                () = sleep(plan.every) => {}
                changed = routes.changed() => if changed.is_err() {
                    return;
                },
            }
        } else if routes.changed().await.is_err() {
            return;
        }
    }
}

/// The reason why a probe failed.
enum ProbeError {
    /// The way there failed.
    Tunnel(Error),
    /// The relay says why.
    Relay(Fault),
    /// The answer is not as it should be.
    Answer(String),
}

async fn probe_once<D: Dialer>(forward: &Forward<D>, upstream: &Upstream<D::Lease>, probe: &Probe) -> Health {
    let relayed = forward.dialer.is_relayed(&upstream.via);
    if relayed {
        upstream.wait_until_listening().await;
    }
    let failed = |words: String| Fault::new(What::ProbeFailed, &forward.address, words);
    let began = Instant::now();
    let asked = timeout(PROBE_TIMEOUT, async {
        match probe {
            Probe::Tcp => connect(forward, upstream, relayed).await,
            Probe::Http(_) | Probe::Mysql | Probe::Postgres | Probe::Redis => {
                ask(forward, upstream, probe, began).await.map(Some)
            }
        }
    });
    let error = match asked.await {
        Ok(Ok(latency)) => return Health { down: None, latency },
        Ok(Err(error)) => error,
        Err(_) => ProbeError::Answer(format!("no answer within {} s", PROBE_TIMEOUT.as_secs())),
    };
    let fault = match error {
        ProbeError::Tunnel(error) => {
            dialer::fault(&error, &upstream.via, &forward.address, relayed).unwrap_or_else(|| failed(error.to_string()))
        }
        ProbeError::Relay(fault) => fault,
        // A relay that hangs up without a byte knows why.
        ProbeError::Answer(words) if words.is_empty() && relayed => {
            match upstream.diagnose(&forward.dialer, Duration::ZERO).await {
                Ok(Some(fault)) => fault,
                Ok(None) => failed(words),
                Err(error) => failed(error.to_string()),
            }
        }
        ProbeError::Answer(words) => failed(words),
    };
    Health { down: Some(fault), latency: None }
}

/// Checks that the target accepts connections, and measures the latency of a connect: the tunnel's round trip, and the
/// time that a relay reports. In the pod itself the connect is over loopback, and takes next to no time. Without pings
/// (`v4-websocket`) the round trip is unknown.
async fn connect<D: Dialer>(
    forward: &Forward<D>,
    upstream: &Upstream<D::Lease>,
    relayed: bool,
) -> Result<Option<Duration>, ProbeError> {
    upstream.lease.probe().await.map_err(ProbeError::Tunnel)?;
    let there = if relayed {
        // That the relay listens is one thing, that it reaches its target another.
        forward.dialer.reach(&upstream.lease, &upstream.via).await.map_err(|unreached| match unreached {
            ReachError::Tunnel(error) => ProbeError::Tunnel(error),
            ReachError::Target(fault) => ProbeError::Relay(fault),
        })?
    } else {
        Some(Duration::ZERO)
    };
    Ok(upstream.lease.stats().rtt.zip(there).map(|(route, there)| route + there))
}

/// Asks through a forward.
async fn ask<D: Dialer>(
    forward: &Forward<D>,
    upstream: &Upstream<D::Lease>,
    probe: &Probe,
    began: Instant,
) -> Result<Duration, ProbeError> {
    let mut stream = forward.dialer.open(&upstream.lease, &upstream.via).await.map_err(ProbeError::Tunnel)?;
    let host = upstream.via.to.as_ref().and_then(|to| Some(to.address()?.host.to_string()));
    ask_at(&mut stream, probe, host, began).await
}

/// Asks through a connection that leads to the target without a forward.
///
/// # Errors
/// The words of what answered, or of the connection.
pub async fn ask_directly<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    probe: &Probe,
    began: Instant,
) -> Result<Duration, String> {
    ask_at(&mut stream, probe, None, began).await.map_err(|error| match error {
        ProbeError::Tunnel(error) => error.to_string(),
        ProbeError::Relay(fault) => fault.detail,
        ProbeError::Answer(words) if words.is_empty() => "the connection was closed".to_owned(),
        ProbeError::Answer(words) => words,
    })
}

/// Asks as the probe's protocol does; how long after `began` the answer was there.
async fn ask_at<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    probe: &Probe,
    host: Option<String>,
    began: Instant,
) -> Result<Duration, ProbeError> {
    let question = question_of(probe, host);
    let io = |error| ProbeError::Tunnel(Error::from_io(error));
    if !question.is_empty() {
        stream.write_all(&question).await.map_err(io)?;
        stream.flush().await.map_err(io)?;
    }
    let mut answer = Vec::new();
    loop {
        match judge(probe, &answer) {
            Some(Ok(())) => {
                let took = began.elapsed();
                if *probe == Probe::Mysql {
                    // What comes of it says no more.
                    let _ = timeout(CLOSE_TIMEOUT, mysql::leave(stream, answer)).await;
                }
                return Ok(took);
            }
            Some(Err(words)) => return Err(ProbeError::Answer(words)),
            None if answer.len() >= MAX_ANSWER => return Err(ProbeError::Answer(plain(&answer))),
            None => {}
        }
        if stream.read_buf(&mut answer).await.map_err(io)? == 0 {
            return Err(ProbeError::Answer(plain(&answer)));
        }
    }
}

/// The first bytes that a probe sends.
fn question_of(probe: &Probe, host: Option<String>) -> Vec<u8> {
    let host = host.unwrap_or_else(|| "localhost".to_owned());
    match probe {
        Probe::Http(path) => format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: brow-tui\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        )
        .into_bytes(),
        Probe::Postgres => SSL_REQUEST.to_vec(),
        Probe::Redis => b"PING\r\n".to_vec(),
        // Its server speaks first.
        Probe::Mysql | Probe::Tcp => Vec::new(),
    }
}

/// Judges an answer: good, or the error; `None` if it is incomplete.
fn judge(probe: &Probe, answer: &[u8]) -> Option<Result<(), String>> {
    let upstream = || answer.iter().position(|byte| *byte == b'\n').map(|end| plain(&answer[..end]));
    match probe {
        Probe::Tcp => Some(Ok(())),
        Probe::Http(_) => {
            let upstream = upstream()?;
            let code = upstream.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
            Some(if code.is_some_and(|code| code.starts_with(['2', '3'])) { Ok(()) } else { Err(upstream) })
        }
        // A packet's length (3 bytes) and number, then the protocol's version, or 0xff, a code and a reason (`MySQL`
        // documentation, "Protocol::Handshake", "ERR_Packet").
        Probe::Mysql => match answer.get(4)? {
            10 => Some(Ok(())),
            0xff => {
                let length = usize::from(answer[0]) | usize::from(answer[1]) << 8;
                (answer.len() >= length + 4).then(|| Err(plain(answer.get(7..length + 4).unwrap_or_default())))
            }
            _ => Some(Err(plain(answer))),
        },
        Probe::Postgres => match answer.first()? {
            b'S' | b'N' => Some(Ok(())),
            _ => Some(Err(plain(answer))),
        },
        Probe::Redis => {
            let upstream = upstream()?;
            // Who must log in first is answered by a server that is well.
            let good = upstream.starts_with("+PONG") || upstream.starts_with("-NOAUTH");
            Some(if good { Ok(()) } else { Err(upstream) })
        }
    }
}

/// The words of others on their way to a terminal.
fn plain(bytes: &[u8]) -> String {
    let text: String = brow_model::sanitize::line(&String::from_utf8_lossy(bytes)).chars().take(200).collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged() {
        let http = Probe::Http("/".to_owned());
        let greeting = b"\x4a\0\0\0\x0a8.0.36\0";
        let blocked = b"\x11\0\0\0\xff\x69\x04Host is blocked";
        for (probe, answer, verdict) in [
            (&http, &b"HTTP/1.1 20"[..], None),
            (&http, b"HTTP/1.1 200 OK\r\n", Some(Ok(()))),
            (&http, b"HTTP/1.0 302 Found\r\n", Some(Ok(()))),
            (&http, b"HTTP/1.1 503 Service Unavailable\r\n", Some(Err("HTTP/1.1 503 Service Unavailable"))),
            (&http, b"SSH-2.0-x\r\n", Some(Err("SSH-2.0-x"))),
            (&Probe::Mysql, &greeting[..4], None),
            (&Probe::Mysql, &greeting[..], Some(Ok(()))),
            (&Probe::Mysql, &blocked[..9], None),
            (&Probe::Mysql, &blocked[..], Some(Err("Host is blocke"))),
            (&Probe::Mysql, b"HTTP/1.1 400", Some(Err("HTTP/1.1 400"))),
            (&Probe::Postgres, b"", None),
            (&Probe::Postgres, b"N", Some(Ok(()))),
            (&Probe::Postgres, b"S", Some(Ok(()))),
            (&Probe::Postgres, b"H", Some(Err("H"))),
            (&Probe::Redis, b"+PON", None),
            (&Probe::Redis, b"+PONG\r\n", Some(Ok(()))),
            (&Probe::Redis, b"-NOAUTH Authentication required.\r\n", Some(Ok(()))),
            (&Probe::Redis, b"-LOADING \x1b[31m\r\n", Some(Err("-LOADING"))),
        ] {
            assert_eq!(judge(probe, answer), verdict.map(|all| all.map_err(str::to_owned)), "{probe} {answer:?}");
        }
    }
}
