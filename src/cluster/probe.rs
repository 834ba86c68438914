//! The probe of a cluster: requests its version again and again, and measures the round trip and the clock's
//! difference.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http::Request;
use http_body_util::BodyExt as _;
use k8s_openapi::apimachinery::pkg::version::Info;
use kube::client::Body;
use kube::core::Status;
use kube::{Client, Error};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Clusters, fault};
use crate::events::EventSender;
use brow_model::cluster::Link;
use brow_model::event::ClusterEvent;
use brow_model::fault::{Fault, What};
use kube_tunnel::Backoff;

/// The interval between successful probes.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// The timeout after which a cluster counts as unreachable.
const PROBE_TIMEOUT: Duration = Duration::from_secs(6);
/// The longest pause after a failed probe.
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// The pause after a failed login plugin.
const PLUGIN_RETRY_INTERVAL: Duration = Duration::from_secs(30);
/// The interval at which the output of a slow login plugin is read.
const PLUGIN_OUTPUT_INTERVAL: Duration = Duration::from_millis(500);
/// Clocks closer than this count as equal: the `Date` header has whole seconds (RFC 9110, 5.6.7).
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(2);

/// Probes a cluster until `token` is cancelled, and reports each answer and each failure.
pub async fn run_probe(
    clusters: Clusters,
    context: String,
    events: EventSender<ClusterEvent>,
    token: CancellationToken,
) {
    let mut backoff = Backoff::new(Duration::from_secs(1), MAX_RETRY_INTERVAL);
    let mut failing = false;
    loop {
        let probed = tokio::select! {
            () = token.cancelled() => return,
            probed = probe(&clusters, &context) => probed,
            // A login that waits for a person says what it waits for: that is told while it does.
            () = report_plugin_output(&clusters, &context, &events) => return,
        };
        let said = clusters.plugin_output(&context).await;
        if std::mem::replace(&mut failing, probed.is_err()) && !failing {
            clusters.notify_answers_again(&context);
        }
        let (event, next) = match probed {
            Ok(answered) => {
                backoff.reset();
                (answered, PROBE_INTERVAL)
            }
            Err((link, fault)) => {
                // A login that fails again and again is a nuisance to more than us.
                let next = if is_plugin(fault.what) { PLUGIN_RETRY_INTERVAL } else { backoff.next_pause() };
                (ClusterEvent::Failed { link, fault }, next)
            }
        };
        let said = said.map(ClusterEvent::PluginSaid);
        for event in said.into_iter().chain([event]) {
            if !events.send(event).await {
                return;
            }
        }
        tokio::select! {
            () = token.cancelled() => return,
            () = sleep(next) => {}
        }
    }
}

/// Reports the output of a login plugin while it runs. Ends with the loop.
async fn report_plugin_output(clusters: &Clusters, context: &str, events: &EventSender<ClusterEvent>) {
    loop {
        sleep(PLUGIN_OUTPUT_INTERVAL).await;
        if let Some(words) = clusters.plugin_output(context).await
            && !events.send(ClusterEvent::PluginSaid(words)).await
        {
            return;
        }
    }
}

/// Probes a cluster once. Returns [`ClusterEvent::Answered`].
///
/// # Errors
/// The fault, and the resulting state of the cluster.
pub async fn probe(clusters: &Clusters, context: &str) -> Result<ClusterEvent, (Link, Fault)> {
    let slow = || {
        let (server, _) = clusters.server(context);
        let words = format!("{server}: no answer within {} s", PROBE_TIMEOUT.as_secs());
        (Link::Unreachable, Fault::new(What::TimedOut, context, words))
    };
    let client = clusters.client(context).await.map_err(|fault| (link_of(fault.what), fault))?;
    let answer = timeout(PROBE_TIMEOUT, version(&client)).await.map_err(|_| slow())?;
    answer.map_err(|error| {
        let (link, fault) = fault(context, &error, None);
        // A server that answers this with an error is not one that can be worked with.
        let link = if link == Link::Ready { Link::Unreachable } else { link };
        let fault = match fault.what {
            What::Unauthorized if clusters.withholds_login(context) => Fault { what: What::LoginWithheld, ..fault },
            _ => fault,
        };
        (link, located(clusters, context, fault))
    })
}

/// Adds the server or the proxy that was tried to a fault of the connection.
fn located(clusters: &Clusters, context: &str, fault: Fault) -> Fault {
    let (server, proxy) = clusters.server(context);
    let place = match fault.what {
        What::ApiProxy => proxy.unwrap_or(server),
        What::Unreachable | What::TimedOut | What::Tls | What::Server | What::NotKubernetes => server,
        _ => return fault,
    };
    Fault { detail: format!("{place}: {}", fault.detail), ..fault }
}

fn is_plugin(what: What) -> bool {
    matches!(what, What::PluginFailed | What::PluginMissing)
}

/// The state of a cluster for which no client could be created.
fn link_of(what: What) -> Link {
    if is_plugin(what) { Link::Unauthorized } else { Link::Unreachable }
}

async fn version(client: &Client) -> Result<ClusterEvent, Error> {
    let request = Request::get("/version").body(Body::empty()).map_err(Error::HttpError)?;
    let start = Instant::now();
    let response = client.send(request).await?;
    let rtt = start.elapsed();
    let (head, body) = response.into_parts();
    let bytes = body.collect().await?.to_bytes();
    let date = head.headers.get(http::header::DATE).and_then(|value| value.to_str().ok());
    let skew = skew(date, Utc::now());
    let told: Option<Status> = serde_json::from_slice(&bytes).ok();
    // Some clusters keep their version to themselves: that answer shows as well that they are there.
    if head.status == http::StatusCode::FORBIDDEN && told.is_some() {
        return Ok(ClusterEvent::Answered { version: "?".to_owned(), rtt, skew });
    }
    if !head.status.is_success() {
        let status = told.unwrap_or_else(|| Status {
            code: head.status.as_u16(),
            reason: fault::NO_STATUS.to_owned(),
            message: String::from_utf8_lossy(&bytes).trim().to_owned(),
            ..Status::default()
        });
        return Err(Error::Api(Box::new(status)));
    }
    let info: Info = serde_json::from_slice(&bytes).map_err(Error::SerdeError)?;
    Ok(ClusterEvent::Answered { version: info.git_version, rtt, skew })
}

/// The difference of a server's clock (its `Date` header) to `now`.
fn skew(date: Option<&str>, now: DateTime<Utc>) -> TimeDelta {
    let then = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok());
    let ahead = then.map_or(TimeDelta::zero(), |then| then.to_utc() - now);
    if ahead.abs() < CLOCK_TOLERANCE { TimeDelta::zero() } else { ahead }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_differs_is_measured() {
        let now = "2026-01-02T12:00:00.5Z".parse().unwrap();
        for (date, seconds) in [
            (Some("Fri, 02 Jan 2026 12:00:00 GMT"), 0),
            (Some("Fri, 02 Jan 2026 12:01:00 GMT"), 59),
            (Some("Fri, 02 Jan 2026 11:59:00 GMT"), -60),
            (Some("yesterday"), 0),
            (None, 0),
        ] {
            assert_eq!(skew(date, now).num_seconds(), seconds, "{date:?}");
        }
    }
}
