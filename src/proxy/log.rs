//! Follows the log of a pod: of its relay, or of a container.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::{AsyncBufReadExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::LogParams;
use tokio::time::timeout;

use crate::cluster::{Clusters, fault, grant, object_fault, of_io};
use crate::events::EventSender;
use brow_model::cluster::Link;
use brow_model::epoch::Epoch;
use brow_model::event::{Event, PodEvent};
use brow_model::fault::{Fault, Remedy};
use brow_model::proxy::PodKey;
use brow_model::sanitize;
use kube_tunnel::Backoff;

/// The number of past lines that are shown.
const TAIL_LINES: i64 = 1_000;
/// The most lines in one event.
const MAX_BATCH: usize = 256;
/// The longest wait of the first lines of a batch for the rest.
const BATCH_TIMEOUT: Duration = Duration::from_millis(20);

/// Follows a pod's log until it ends or the future is dropped, and reports its lines. A lost connection is reported,
/// and reading continues at the same position once there is another.
pub async fn follow_log(clusters: Clusters, source: LogSource, epoch: Epoch, events: EventSender) {
    let LogSource { key, container, previous } = source;
    let position = Position::default();
    let mut follower = Follower { clusters, key, container, previous, epoch, events, position };
    let fault = follower.follow().await.err();
    follower.tell_end(fault).await;
}

/// The log of a pod.
pub struct LogSource {
    pub key: PodKey,
    /// The container, where there are several.
    pub container: Option<String>,
    /// True for the log of the run before, which has ended.
    pub previous: bool,
}

impl From<PodKey> for LogSource {
    fn from(key: PodKey) -> Self {
        Self { key, container: None, previous: false }
    }
}

struct Follower {
    clusters: Clusters,
    key: PodKey,
    container: Option<String>,
    previous: bool,
    epoch: Epoch,
    events: EventSender,
    position: Position,
}

/// The reason why reading ended.
enum End {
    /// The server ended it.
    Log,
    /// The connection was lost or could not be opened; it can be retried.
    Lost(Fault),
    /// Nobody receives it any more.
    Unwanted,
}

impl Follower {
    /// Reads until nothing more can come.
    async fn follow(&mut self) -> Result<(), Fault> {
        let mut backoff = Backoff::default();
        loop {
            let before = self.position.lines;
            let lost = match self.read().await? {
                End::Unwanted => return Ok(()),
                // A server or a node that restarts ends it in order, too.
                End::Log if self.previous || !self.may_go_on().await => return Ok(()),
                End::Log => None,
                End::Lost(fault) => Some(fault.with(Remedy::Retrying)),
            };
            if lost.is_some() {
                self.tell_end(lost).await;
            }
            if self.position.lines > before {
                backoff.reset();
            }
            self.clusters.pause(&self.key.cluster, backoff.next_pause()).await;
        }
    }

    /// Reads from the current position until the stream ends.
    async fn read(&mut self) -> Result<End, Fault> {
        let login = match self.clusters.login(&self.key.cluster).await {
            Ok(login) => login,
            Err(fault) => return Ok(End::Lost(fault)),
        };
        let api: Api<Pod> = Api::namespaced(login.client, &self.key.namespace);
        let (container, previous) = (self.container.clone(), self.previous);
        let params = LogParams { follow: !previous, timestamps: true, container, previous, ..self.position.begin() };
        let stream = match api.log_stream(&self.key.name, &params).await {
            Ok(stream) => stream,
            Err(error) => {
                let asked = grant("get", "pods/log", Some(&self.key.namespace));
                let (link, _) = fault(&self.key.name, &error, None);
                let fault = object_fault(&self.key.cluster, &self.key.name, &error, Some(asked));
                if link == Link::Unauthorized {
                    self.clusters.refused(&self.key.cluster, login.generation);
                }
                let passes = matches!(link, Link::Unreachable | Link::Unauthorized);
                return if passes { Ok(End::Lost(fault)) } else { Err(fault) };
            }
        };
        // An empty batch says that the log is being read.
        if !self.tell(Vec::new()).await {
            return Ok(End::Unwanted);
        }
        let mut lines = stream.lines();
        while let Some(line) = lines.next().await {
            let (mut batch, mut next) = (Vec::new(), Some(line));
            let mut broken = None;
            while let Some(line) = next.take() {
                match line {
                    Ok(line) if self.position.is_new(&line) => batch.push(sanitize::line(&line).into_owned()),
                    Ok(_) => {}
                    Err(error) => {
                        broken = Some(of_io(&self.key.cluster, &error));
                        break;
                    }
                }
                if batch.len() < MAX_BATCH {
                    next = timeout(BATCH_TIMEOUT, lines.next()).await.ok().flatten();
                }
            }
            if !batch.is_empty() && !self.tell(batch).await {
                return Ok(End::Unwanted);
            }
            if let Some(fault) = broken {
                return Ok(End::Lost(fault));
            }
        }
        Ok(End::Log)
    }

    /// Returns true if an ended log may continue: its relay runs, or its state is unknown.
    async fn may_go_on(&self) -> bool {
        let Ok(client) = self.clusters.client(&self.key.cluster).await else { return true };
        let api: Api<Pod> = Api::namespaced(client, &self.key.namespace);
        match api.get(&self.key.name).await {
            Ok(pod) => {
                let statuses = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
                let is_meant = |name: &str| self.container.as_ref().is_none_or(|own| own == name);
                let mut statuses = statuses.iter().filter(|status| is_meant(&status.name));
                statuses.any(|status| status.state.as_ref().is_some_and(|state| state.running.is_some()))
            }
            Err(error) => fault(&self.key.name, &error, None).0 == Link::Unreachable,
        }
    }

    /// Sends lines to the loop; returns true if it wants more.
    async fn tell(&self, lines: Vec<String>) -> bool {
        self.events.send(Event::Pod(PodEvent::Logged { key: self.key.clone(), epoch: self.epoch, lines })).await
    }

    async fn tell_end(&self, fault: Option<Fault>) {
        let end = Event::Pod(PodEvent::LogEnded { key: self.key.clone(), epoch: self.epoch, fault });
        self.events.send(end).await;
    }
}

/// The position up to which a log was read.
#[derive(Debug, Default)]
struct Position {
    /// The time of the latest line, and how many lines have it.
    at: Option<DateTime<Utc>>,
    same: usize,
    /// While lines may come that have been read: how many of that time have come again.
    again: Option<usize>,
    /// The number of lines read in all.
    lines: u64,
}

impl Position {
    /// The parameters of the next request: the end of the log at first, then everything since the last line. The server
    /// takes whole seconds, so some lines come again.
    fn begin(&mut self) -> LogParams {
        let Some(at) = self.at else { return LogParams { tail_lines: Some(TAIL_LINES), ..LogParams::default() } };
        self.again = Some(0);
        LogParams { since_time: Timestamp::from_second(at.timestamp()).ok(), ..LogParams::default() }
    }

    /// Returns true if a line is new, by the time that it begins with.
    fn is_new(&mut self, line: &str) -> bool {
        let stamp = line.split(' ').next().and_then(|stamp| DateTime::parse_from_rfc3339(stamp).ok());
        let at = stamp.map(|stamp| stamp.to_utc());
        if let Some(again) = &mut self.again
            && at.is_some()
        {
            if at < self.at {
                return false;
            }
            if at == self.at && *again < self.same {
                *again += 1;
                return false;
            }
            self.again = None;
        }
        self.lines += 1;
        if at > self.at {
            (self.at, self.same) = (at, 1);
        } else if at == self.at {
            self.same += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests;
