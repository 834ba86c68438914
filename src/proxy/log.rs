//! Following the relay's log.

use std::time::Duration;

use futures::{AsyncBufReadExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use tokio::sync::mpsc;

use crate::cluster::{Clusters, fault, grant, of_io};
use crate::model::event::{Epoch, Event, PodEvent};
use crate::model::fault::Fault;
use crate::model::proxy::PodKey;
use crate::plain;

/// Lines of the past that are shown.
const TAIL: i64 = 1_000;
/// Lines that are told in one go.
const BATCH: usize = 256;
/// How long the first lines of a batch may wait for the rest.
const GATHER: Duration = Duration::from_millis(20);

/// Follows a pod's log until it ends or this is dropped, and tells what it reads.
pub async fn follow_log(clusters: Clusters, key: PodKey, epoch: Epoch, events: mpsc::Sender<Event>) {
    let fault = follow(&clusters, &key, epoch, &events).await.err();
    let end = Event::Pod(PodEvent::LogEnded { key, epoch, fault });
    // A loop that has ended wants no news.
    let _ended = events.send(end).await;
}

async fn follow(clusters: &Clusters, key: &PodKey, epoch: Epoch, events: &mpsc::Sender<Event>) -> Result<(), Fault> {
    let client = clusters.client(&key.cluster).await?;
    let api: Api<Pod> = Api::namespaced(client, &key.namespace);
    let params = LogParams { follow: true, tail_lines: Some(TAIL), timestamps: true, ..LogParams::default() };
    let asked = grant("get", "pods/log", Some(&key.namespace));
    let stream = api.log_stream(&key.name, &params).await.map_err(|error| fault(&key.name, &error, Some(asked)).1)?;
    // An empty batch says that the log is being read.
    let told = |lines| Event::Pod(PodEvent::Logged { key: key.clone(), epoch, lines });
    if events.send(told(Vec::new())).await.is_err() {
        return Ok(());
    }
    let shown = |line: &str| plain::line(line).into_owned();
    let mut lines = stream.lines();
    while let Some(line) = lines.next().await {
        let mut batch = vec![shown(&line.map_err(|error| of_io(&key.cluster, &error))?)];
        while batch.len() < BATCH {
            match tokio::time::timeout(GATHER, lines.next()).await {
                Ok(Some(line)) => batch.push(shown(&line.map_err(|error| of_io(&key.cluster, &error))?)),
                Ok(None) | Err(_) => break,
            }
        }
        if events.send(told(batch)).await.is_err() {
            break;
        }
    }
    Ok(())
}
