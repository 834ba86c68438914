//! `pods/log`: what a container has written, and what it writes from now on.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use tokio::sync::mpsc;

use super::kinds::Kind;
use super::kubelet::container;
use super::response::{Refusal, Response, stream};
use super::store::Key;
use super::world::{World, words};

/// Pieces that wait for a client that reads slowly.
const PIPE_PIECES: usize = 16;

pub(super) fn answer(
    world: &Arc<World>,
    kind: &Kind,
    key: &Key,
    query: &HashMap<String, String>,
) -> Result<Response, Refusal> {
    let pod = world.store.get(key).ok_or_else(|| Refusal::no_such(kind, &key.name))?;
    let name = container(&pod);
    let wanted = query.get("container").filter(|wanted| !wanted.is_empty());
    if let Some(wanted) = wanted.filter(|wanted| *wanted != name) {
        return Err(Refusal::bad(format!("container {wanted} is not valid for pod {}", key.name)));
    }
    let state = &pod["status"]["containerStatuses"][0]["state"];
    if state.is_null() || state["waiting"].is_object() {
        let why = match words(&state["waiting"]["reason"]) {
            "" | "ContainerCreating" => "ContainerCreating",
            _ => "trying and failing to pull image",
        };
        let words = format!("container \"{name}\" in pod \"{}\" is waiting to start: {why}", key.name);
        return Err(Refusal::bad(words));
    }
    let flag = |name: &str| query.get(name).is_some_and(|value| value == "true" || value == "1");
    let (follow, stamps) = (flag("follow"), flag("timestamps"));
    let tail = query.get("tailLines").and_then(|lines| lines.parse().ok()).unwrap_or(usize::MAX);
    let run = world.run(words(&pod["metadata"]["uid"]));
    let (sender, queue) = mpsc::channel(PIPE_PIECES);
    world.spawn(async move {
        let mut written = run.log.subscribe();
        let mut next = run.log.from(0).len().saturating_sub(tail);
        loop {
            written.mark_unchanged();
            let lines = run.log.from(next);
            next += lines.len();
            if !lines.is_empty() && sender.send(page(&lines, stamps).into()).await.is_err() {
                return;
            }
            if !follow {
                return;
            }
            tokio::select! {
                _ = written.changed() => {}
                () = run.stopped.cancelled() => return,
                () = sender.closed() => return,
            }
        }
    });
    Ok(stream("text/plain", queue))
}

fn page(lines: &[(DateTime<Utc>, String)], stamps: bool) -> String {
    let mut page = String::new();
    for (at, line) in lines {
        let stamp = if stamps { at.to_rfc3339_opts(SecondsFormat::Nanos, true) + " " } else { String::new() };
        let _infallible = writeln!(page, "{stamp}{line}");
    }
    page
}
