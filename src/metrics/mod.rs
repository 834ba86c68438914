//! Measurements of clusters: finds a Prometheus, and asks it, or metrics-server.
//!
//! Everything that answers is somebody's program in a cluster, and may be another than it looks like: answers are
//! bounded in size and time, no redirect is followed, and no credential is sent but the one in the config's own URL.

mod candidate;
mod find;
mod present;
mod quantity;
mod response;
mod server;

use std::time::Duration;

use chrono::Utc;
use futures::future::join_all;
use tokio::time::timeout;

use crate::cluster::Clusters;
use brow_model::fault::{Fault, What};
use brow_model::metrics::{Prometheus, Query, Reading, Samples, Source, Subject, limits, queries};

pub use find::find;
use server::{Server, escape};

/// The longest wait for a measurement.
const MEASURE_TIMEOUT: Duration = Duration::from_secs(25);

/// Measures something once.
///
/// # Errors
/// The source does not answer, or refuses.
pub async fn measure(
    clusters: &Clusters,
    cluster: &str,
    source: &Source,
    subject: &Subject,
) -> Result<Vec<Reading>, Fault> {
    let asking = async {
        match source {
            Source::Prometheus(prometheus) => last_hour(clusters, cluster, prometheus, subject).await,
            Source::MetricsServer => present::measure(clusters, cluster, subject).await,
        }
    };
    let late = |_| Fault::new(What::TimedOut, cluster, format!("no answer within {} s", MEASURE_TIMEOUT.as_secs()));
    timeout(MEASURE_TIMEOUT, asking).await.map_err(late)?
}

/// Asks a Prometheus for the last hour.
async fn last_hour(
    clusters: &Clusters,
    cluster: &str,
    prometheus: &Prometheus,
    subject: &Subject,
) -> Result<Vec<Reading>, Fault> {
    let broken = |words: String| Fault::new(What::Prometheus, cluster, words);
    let server = Server::open(clusters, cluster, prometheus).await.map_err(broken)?;
    last_hour_of(&server, subject).await.map_err(broken)
}

async fn last_hour_of(server: &Server, subject: &Subject) -> Result<Vec<Reading>, String> {
    let end = Utc::now().timestamp();
    let readings = join_all(queries(subject).iter().map(|query| reading(server, subject, query, end))).await;
    let readings: Result<Vec<_>, String> = readings.into_iter().collect();
    Ok(readings?.into_iter().flatten().collect())
}

/// Asks for one quantity: by the first query that has an answer.
async fn reading(server: &Server, subject: &Subject, query: &Query, end: i64) -> Result<Option<Reading>, String> {
    let limit = limit(server, limits(subject, query.measure), end);
    let hour = async {
        for text in &query.alternatives {
            let samples = range(server, text, end).await?;
            if let Some(now) = samples.last() {
                return Ok::<_, String>(Some((now, samples, text.clone())));
            }
        }
        Ok(None)
    };
    let (limit, hour) = tokio::join!(limit, hour);
    let reading = hour?.map(|(now, samples, text)| Reading {
        measure: query.measure,
        now,
        // Without it, the rest is worth showing.
        limit: limit.ok().flatten().filter(|limit| *limit > 0.0),
        hour: Some((samples, text)),
    });
    Ok(reading)
}

async fn limit(server: &Server, queries: Vec<String>, end: i64) -> Result<Option<f64>, String> {
    for text in queries {
        let path = format!("/api/v1/query?query={}&time={end}&timeout=10s", escape(&text));
        if let Some(value) = response::value(&server.get(&path).await?)? {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

async fn range(server: &Server, query: &str, end: i64) -> Result<Samples, String> {
    let step = Samples::STEP;
    let minutes = i64::try_from(Samples::COUNT - 1).unwrap_or_default();
    let start = end - minutes * i64::try_from(step).unwrap_or_default();
    let query = escape(query);
    let path = format!("/api/v1/query_range?query={query}&start={start}&end={end}&step={step}&timeout=10s");
    Ok(Samples::of(response::values(&server.get(&path).await?)?, end as f64))
}
