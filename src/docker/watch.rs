//! The engine watched: the gateways that it has, the bytes of one, and its log.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::engine::{Engine, Following, escape};
use super::find::find;
use super::node::{LocalCluster, clusters};
use super::run::Containers;
use brow_model::fault::Fault;
use brow_model::gateway::GatewayInfo;
use brow_model::sanitize;

/// The pause before the engine is looked for again.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);
/// The same after one was lost.
const RESTART_TIME: Duration = Duration::from_secs(2);
/// The time for which further events are waited for: what Compose or k3d does is many at once.
const SETTLE_TIME: Duration = Duration::from_millis(100);
/// The time after an event at which the containers are looked at once more: the list may tell a moment later of a
/// container that has ended.
const SECOND_LOOK: Duration = Duration::from_secs(2);
/// The time without an event after which the engine is asked whether it is still there.
const QUIET_TIME: Duration = Duration::from_mins(1);
/// The events after which the containers may be others; the last two are names of Podman.
const EVENTS: &str = r#"{"type":["container","network"],"event":["create","start","die","stop","destroy","rename",
"pause","unpause","connect","disconnect","died","remove"]}"#;
/// The most bytes of one line of the counters.
const MAX_LINE: usize = 1 << 20;
/// The last lines of a log that are shown at first.
const LOG_LINES: u32 = 200;

/// The gateways and the contexts of clusters.
type Told = (Vec<GatewayInfo>, BTreeSet<String>);

/// Watches the engine's gateways and calls `tell` with them, and with the contexts of its clusters, whenever they are
/// others. Without an engine there are none, and it is looked for from time to time. Never completes.
pub async fn watch<F: Future<Output = ()>>(
    installation: &str,
    mut tell: impl FnMut(Vec<GatewayInfo>, BTreeSet<String>) -> F,
) {
    let mut told = Told::default();
    loop {
        if let Ok(engine) = find().await
            && let Ok(mut events) = engine.follow(&format!("/events?filters={}", escape(EVENTS))).await
        {
            let mut looks_again = true;
            while let Ok(containers) = Containers::read(&engine).await {
                let now = snapshot(&containers, installation);
                if now != told {
                    told = now.clone();
                    tell(now.0, now.1).await;
                }
                if !changed(&engine, &mut events, &mut looks_again).await {
                    break;
                }
            }
        }
        let had_any = std::mem::take(&mut told) != Told::default();
        if had_any {
            tell(Vec::new(), BTreeSet::new()).await;
        }
        // It may just be restarting.
        sleep(if had_any { RESTART_TIME } else { RETRY_INTERVAL }).await;
    }
}

fn snapshot(containers: &Containers, installation: &str) -> Told {
    let contexts = clusters(containers.nodes.iter().cloned()).iter().map(LocalCluster::context).collect();
    let info = |gateway: &super::Gateway| GatewayInfo {
        // The uptime is left out: it changes each second and would cause an update each time.
        status: String::new(),
        ..gateway.info(&containers.nodes, installation)
    };
    (containers.gateways.iter().map(info).collect(), contexts)
}

/// Waits for an event, and for those that come with it, or for the time of the second look after one. Returns false
/// once the engine is gone.
async fn changed(engine: &Engine, events: &mut Following, looks_again: &mut bool) -> bool {
    loop {
        let quiet = if *looks_again { SECOND_LOOK } else { QUIET_TIME };
        match timeout(quiet, events.next()).await {
            Ok(Some(_)) => break,
            Ok(None) => return false,
            Err(_) if *looks_again => {
                *looks_again = false;
                return true;
            }
            Err(_) if engine.ping().await.is_err() => return false,
            Err(_) => {}
        }
    }
    *looks_again = true;
    let more = async { while events.next().await.is_some() {} };
    let _ = timeout(SETTLE_TIME, more).await;
    true
}

/// Reads the bytes of a container in both directions, and calls `tell` with each total. Ends with the container.
pub async fn meter<F: Future<Output = ()>>(id: &str, mut tell: impl FnMut(u64) -> F) {
    let Ok(engine) = find().await else { return };
    let Ok(mut lines) = engine.follow(&format!("/containers/{}/stats?stream=true", escape(id))).await else { return };
    let mut line = Vec::new();
    while let Some(bytes) = lines.next().await {
        for byte in bytes {
            if byte != b'\n' && line.len() < MAX_LINE {
                line.push(byte);
                continue;
            }
            if let Some(total) = total(&line) {
                tell(total).await;
            }
            line.clear();
        }
    }
}

/// Returns the bytes that a line of counters tells: all that came in, from the clients and from the node, goes out
/// again.
fn total(line: &[u8]) -> Option<u64> {
    let networks: BTreeMap<String, Value> =
        serde_json::from_value(serde_json::from_slice::<Value>(line).ok()?["networks"].clone()).ok()?;
    Some(networks.values().filter_map(|network| network["rx_bytes"].as_u64()).sum())
}

/// Follows the log of a container, and calls `tell` with its lines, until that ends.
///
/// # Errors
/// The engine refuses it.
pub async fn follow_log<F: Future<Output = ()>>(id: &str, mut tell: impl FnMut(Vec<String>) -> F) -> Result<(), Fault> {
    let engine = find().await?;
    let id = escape(id);
    let path = format!("/containers/{id}/logs?follow=true&stdout=true&stderr=true&timestamps=true&tail={LOG_LINES}");
    let mut log = engine.follow(&path).await.map_err(Fault::from)?;
    let mut frames = Frames::default();
    while let Some(bytes) = log.next().await {
        frames.take(&bytes);
        let lines = frames.lines();
        if !lines.is_empty() {
            tell(lines).await;
        }
    }
    Ok(())
}

/// The frames of a log that come piece by piece: 8 bytes with the length at their end, and a payload (Engine API,
/// `ContainerAttach`).
#[derive(Debug, Default)]
struct Frames {
    raw: Vec<u8>,
    text: Vec<u8>,
}

impl Frames {
    fn take(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        while let Some((head, rest)) = self.raw.split_first_chunk::<8>() {
            let [_, _, _, _, a, b, c, d] = *head;
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            let Some(payload) = rest.get(..length.min(MAX_LINE)) else { return };
            self.text.extend_from_slice(payload);
            self.raw.drain(..8 + payload.len());
        }
    }

    /// Takes the whole lines.
    fn lines(&mut self) -> Vec<String> {
        let Some(end) = self.text.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let whole: Vec<u8> = self.text.drain(..=end).collect();
        let text = String::from_utf8_lossy(&whole);
        text.lines().map(|line| sanitize::line(line).into_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_come_in_pieces_become_lines() {
        let mut log = Frames::default();
        let bytes = [&[1, 0, 0, 0, 0, 0, 0, 5][..], b"ab\ncd", &[2, 0, 0, 0, 0, 0, 0, 2], b"e\n"].concat();
        let mut lines = Vec::new();
        for byte in bytes {
            log.take(&[byte]);
            lines.extend(log.lines());
        }
        assert_eq!(lines, ["ab", "cde"]);
    }

    #[test]
    fn the_bytes_of_all_networks_count() {
        let line = br#"{"networks":{"eth0":{"rx_bytes":7,"tx_bytes":9},"eth1":{"rx_bytes":3}}}"#;
        assert_eq!(total(line), Some(10));
        assert_eq!(total(b"{}"), None, "it does not run");
    }
}
