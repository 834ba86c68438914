//! Asks a forward's target, through its tunnel, whether it is well. It never goes by the listener: a probe is no use of
//! the forward, and none is made where there is no way.

mod mysql;

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::Shared;
use super::line::Line;
use super::route::{self, Lease, Route, Unreached};
use super::supervise::Way;
use brow_model::event::ForwardEvent;
use brow_model::fault::{Fault, What};
use brow_model::health::{Health, Probe, ProbePlan};
use kube_tunnel::Error;

/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(12);

/// The longest wait for a server to close the connection in order.
const GOODBYE: Duration = Duration::from_secs(10);

/// The most of an answer that is read, in bytes.
const LONGEST: usize = 4_096;

/// `SSLRequest`: its length, and the code 1234.5679 (`PostgreSQL` documentation, "Message Formats").
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Probes for as long as the forward is open and there is a plan for it.
pub(super) async fn keep<R: Route>(shared: Arc<Shared<R>>, mut plans: watch::Receiver<Option<ProbePlan>>) {
    loop {
        let plan = plans.borrow_and_update().clone();
        let following = async {
            match plan {
                Some(plan) => follow(&shared, &plan).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = shared.token.cancelled() => return,
            changed = plans.changed() => if changed.is_err() {
                return;
            },
            () = following => return,
        }
    }
}

async fn follow<R: Route>(shared: &Shared<R>, plan: &ProbePlan) {
    let mut ways = shared.ways.clone();
    loop {
        let way = ways.borrow_and_update().clone();
        if let Way::Through(line) = way {
            let found = look(shared, &line, &plan.probe).await;
            // What was found of a pod that was left in between says nothing.
            if shared.leads(&line) {
                shared.tell(ForwardEvent::Probed(found)).await;
            }
            // Not held while nothing is asked: a pod is left when nobody uses it.
            drop(line);
            tokio::select! {
                () = sleep(plan.every) => {}
                changed = ways.changed() => if changed.is_err() {
                    return;
                },
            }
        } else if ways.changed().await.is_err() {
            return;
        }
    }
}

/// The reason why a probe failed.
enum Trouble {
    /// The way there failed.
    Way(Error),
    /// The relay says why.
    Relay(Fault),
    /// The answer is not as it should be.
    Answer(String),
}

async fn look<R: Route>(shared: &Shared<R>, line: &Line<R::Lease>, probe: &Probe) -> Health {
    let relayed = shared.route.is_relayed(&line.via);
    if relayed {
        line.listening().await;
    }
    let failed = |words: String| Fault::new(What::ProbeFailed, &shared.address, words);
    let began = Instant::now();
    let asked = timeout(PATIENCE, async {
        match probe {
            Probe::Tcp => connect(shared, line, relayed).await,
            Probe::Http(_) | Probe::Mysql | Probe::Postgres | Probe::Redis => {
                ask(shared, line, probe, began).await.map(Some)
            }
        }
    });
    let trouble = match asked.await {
        Ok(Ok(latency)) => return Health { down: None, latency },
        Ok(Err(trouble)) => trouble,
        Err(_) => Trouble::Answer(format!("no answer within {} s", PATIENCE.as_secs())),
    };
    let fault = match trouble {
        Trouble::Way(error) => {
            route::fault(&error, &line.via, &shared.address, relayed).unwrap_or_else(|| failed(error.to_string()))
        }
        Trouble::Relay(fault) => fault,
        // A relay that hangs up without a byte knows why.
        Trouble::Answer(words) if words.is_empty() && relayed => {
            match line.reason(&shared.route, Duration::ZERO).await {
                Ok(Some(fault)) => fault,
                Ok(None) => failed(words),
                Err(error) => failed(error.to_string()),
            }
        }
        Trouble::Answer(words) => failed(words),
    };
    Health { down: Some(fault), latency: None }
}

/// Checks that the target accepts connections, and measures the latency of a connect: the tunnel's round trip, and the
/// time that a relay reports. In the pod itself the connect is over loopback, and takes next to no time. Without pings
/// (`v4-websocket`) the round trip is unknown.
async fn connect<R: Route>(
    shared: &Shared<R>,
    line: &Line<R::Lease>,
    relayed: bool,
) -> Result<Option<Duration>, Trouble> {
    line.lease.probe().await.map_err(Trouble::Way)?;
    let there = if relayed {
        // That the relay listens is one thing, that it reaches its target another.
        shared.route.reach(&line.lease, &line.via).await.map_err(|unreached| match unreached {
            Unreached::Way(error) => Trouble::Way(error),
            Unreached::Target(fault) => Trouble::Relay(fault),
        })?
    } else {
        Some(Duration::ZERO)
    };
    Ok(line.lease.stats().rtt.zip(there).map(|(way, there)| way + there))
}

/// Asks as the probe's protocol does; how long after `began` the answer was there.
async fn ask<R: Route>(
    shared: &Shared<R>,
    line: &Line<R::Lease>,
    probe: &Probe,
    began: Instant,
) -> Result<Duration, Trouble> {
    let mut stream = shared.route.open(&line.lease, &line.via).await.map_err(Trouble::Way)?;
    let question = question_of(probe, line.via.to.as_ref().map(|to| to.host.to_string()));
    let io = |error| Trouble::Way(Error::from_io(error));
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
                    let _ = timeout(GOODBYE, mysql::leave(&mut stream, answer)).await;
                }
                return Ok(took);
            }
            Some(Err(words)) => return Err(Trouble::Answer(words)),
            None if answer.len() >= LONGEST => return Err(Trouble::Answer(plain(&answer))),
            None => {}
        }
        if stream.read_buf(&mut answer).await.map_err(io)? == 0 {
            return Err(Trouble::Answer(plain(&answer)));
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
    let line = || answer.iter().position(|byte| *byte == b'\n').map(|end| plain(&answer[..end]));
    match probe {
        Probe::Tcp => Some(Ok(())),
        Probe::Http(_) => {
            let line = line()?;
            let code = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
            Some(if code.is_some_and(|code| code.starts_with(['2', '3'])) { Ok(()) } else { Err(line) })
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
            let line = line()?;
            // Who must log in first is answered by a server that is well.
            let good = line.starts_with("+PONG") || line.starts_with("-NOAUTH");
            Some(if good { Ok(()) } else { Err(line) })
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
