//! Follows changes of the kubeconfig and of the files that it names: a login, a new context, one that is gone.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::cluster::Clusters;
use crate::events::EventSender;
use crate::store::Watch;
use brow_model::cluster::Context;
use brow_model::event::{Event, StoreEvent};
use brow_model::fault::Fault;
use kube_tunnel::contain::contain_blocking;

/// A change is looked at once the directory has been quiet for so long: kubectl and its like write in several steps.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// A directory that is never quiet does not keep us from looking for longer than this.
const MAX_DEBOUNCE: Duration = Duration::from_secs(2);
/// The time for which a kubeconfig with errors may be one that is just being written.
const PARTIAL_WRITE_GRACE: Duration = Duration::from_secs(1);

/// The name of this task in the fault of a panic.
pub(super) const NAME: &str = "kubeconfig";

/// The contexts, as of one reading.
type Contexts = Result<Vec<Context>, Fault>;

/// Runs `reading`; a panic becomes its fault.
pub(super) async fn read(reading: impl FnOnce() -> Contexts + Send + 'static) -> Contexts {
    contain_blocking(reading).await.unwrap_or_else(|words| Err(super::internal(NAME, words)))
}

/// Follows the kubeconfig until the loop has ended, and reports each change.
pub(super) async fn follow(clusters: Clusters, events: EventSender) {
    let (nudge, mut changed) = mpsc::channel(1);
    let files = clusters.files();
    let watching = spawn_blocking(move || Watch::new(&files, nudge)).await;
    let mut watch = match watching {
        Ok(Ok(watch)) => watch,
        Ok(Err(fault)) => {
            events.send(Event::Store(StoreEvent::Trouble(fault))).await;
            return;
        }
        // It panicked, and the hook has told.
        Err(_) => return,
    };
    let mut known: Contexts = Ok(clusters.contexts());
    // Who began without one has been told.
    let mut told = known.as_ref().is_ok_and(Vec::is_empty);
    loop {
        let Some((back, mut found)) = look(&clusters, watch).await else { return };
        watch = back;
        if found.is_err() && found != known {
            sleep(PARTIAL_WRITE_GRACE).await;
            let Some((back, again)) = look(&clusters, watch).await else { return };
            (watch, found) = (back, again);
        }
        if found != known {
            known.clone_from(&found);
            if std::mem::take(&mut told) && found.is_err() {
                // Nothing new.
            } else if !events.send(Event::Contexts(found)).await {
                return;
            }
        }
        if changed.recv().await.is_none() {
            return;
        }
        let latest = Instant::now() + MAX_DEBOUNCE;
        while let Ok(Ok(Some(()))) = timeout_at(latest, timeout(DEBOUNCE, changed.recv())).await {}
    }
}

/// Reads the kubeconfig, after watching the files that it depends on: later changes are noticed.
async fn look(clusters: &Clusters, mut watch: Watch) -> Option<(Watch, Contexts)> {
    loop {
        let files = clusters.files();
        let (again, followed) = (clusters.clone(), files.clone());
        let following = spawn_blocking(move || {
            // What cannot be watched is read with the next change of another.
            _ = watch.follow(&followed);
            watch
        });
        watch = following.await.ok()?;
        let found = read(move || again.reload()).await;
        // Those that it names may be others now.
        if clusters.files() == files {
            return Some((watch, found));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::path::Path;
    use std::process::Command;

    use rustix::fs::OFlags;

    use super::*;

    /// A pipe's other end, once somebody reads it.
    async fn reader_of(pipe: &Path) -> File {
        loop {
            let flags = OFlags::NONBLOCK.bits().cast_signed();
            match OpenOptions::new().write(true).custom_flags(flags).open(pipe) {
                Ok(file) => return file,
                Err(_) => sleep(Duration::from_millis(5)).await,
            }
        }
    }

    #[tokio::test]
    async fn a_file_that_is_newly_named_is_watched_before_it_is_read() {
        use std::io::Write as _;
        let dir = tempfile::tempdir().unwrap();
        let (path, far) = (dir.path().join("kubeconfig"), dir.path().join("far"));
        let (pipe, beside) = (far.join("pipe"), far.join("token"));
        std::fs::create_dir(&far).unwrap();
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        std::fs::write(&path, "contexts: []\n").unwrap();
        let (clusters, _) = Clusters::read(Some(&path)).unwrap();
        let (nudge, mut changed) = mpsc::channel(1);
        let watch = Watch::new(&clusters.files(), nudge).unwrap();
        let text = serde_json::json!({
            "clusters": [{ "name": "c", "cluster": { "server": "https://127.0.0.1:1" } }],
            "users": [{ "name": "ann", "user": { "tokenFile": pipe } }],
            "contexts": [{ "name": "dev", "context": { "cluster": "c", "user": "ann" } }],
        });
        std::fs::write(&path, text.to_string()).unwrap();
        let again = clusters.clone();
        let looking = tokio::spawn(async move { look(&again, watch).await.unwrap().1 });
        // Read once, it is known by name; read again, it has to be watched. That reading waits for the pipe.
        writeln!(reader_of(&pipe).await, "x").unwrap();
        let mut second = loop {
            let reader = reader_of(&pipe).await;
            if clusters.files().contains(&pipe) {
                break reader;
            }
        };
        while changed.try_recv().is_ok() {}
        std::fs::write(&beside, "").unwrap();
        assert_eq!(timeout(Duration::from_mins(1), changed.recv()).await, Ok(Some(())));
        writeln!(second, "y").unwrap();
        drop(second);
        assert_eq!(looking.await.unwrap().unwrap().len(), 1);
    }
}
