//! Watches files for changes, the config among them. Directories are watched, not files: editors replace a file by a
//! new one, and a link may be pointed elsewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Config, EventKind, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use brow_model::fault::{Fault, What};

use super::disk;

/// The number of attempts to find directories that have just appeared.
const MAX_ROUNDS: usize = 8;

/// The watcher. On macOS a few directories are polled: `FSEvents` watches a whole tree, which is the home directory if
/// there is no `~/.config`, and kqueue does not report a file that is written in place.
#[cfg(target_os = "macos")]
type Native = notify::PollWatcher;
#[cfg(not(target_os = "macos"))]
type Native = notify::RecommendedWatcher;

const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// A watch on the directories that some files depend on.
pub struct Watch<W = Native> {
    watcher: W,
    watched: BTreeSet<PathBuf>,
}

impl Watch {
    /// Starts a watch that sends on `changed` when a file may have changed. One pending message is enough, so the
    /// channel's capacity may be 1.
    ///
    /// # Errors
    /// [`What::FileUnreadable`] where the system has no watches left.
    pub fn new(paths: &[PathBuf], changed: mpsc::Sender<()>) -> Result<Self, Fault> {
        Self::by(paths, changed)
    }
}

impl<W: Watcher> Watch<W> {
    fn by(paths: &[PathBuf], changed: mpsc::Sender<()>) -> Result<Self, Fault> {
        let notice = move |event: notify::Result<notify::Event>| {
            // An error (an overflow, say) may hide a change as well.
            if event.is_ok_and(|event| !is_change(&event)) {
                return;
            }
            // Full: the word is pending already. Closed: the writer has ended.
            _ = changed.try_send(());
        };
        let config = Config::default().with_poll_interval(POLL_INTERVAL);
        let watcher = W::new(notice, config).map_err(|error| unwatched(paths, &error))?;
        let mut watch = Self { watcher, watched: BTreeSet::new() };
        watch.follow(paths)?;
        Ok(watch)
    }

    /// Watches what `paths` depend on now: their directories (or the nearest above that exist), and those that links
    /// lead to.
    ///
    /// # Errors
    /// [`What::FileUnreadable`].
    pub fn follow(&mut self, paths: &[PathBuf]) -> Result<(), Fault> {
        // A directory that appears while the one above it is being watched would be missed: look again until nothing
        // has changed. Each round is a level deeper, so a few are enough.
        for _ in 0..MAX_ROUNDS {
            let wanted = depend_on(paths);
            for gone in self.watched.difference(&wanted) {
                // It may be gone from the disk, and its watch with it.
                _ = self.watcher.unwatch(gone);
            }
            // Watching again what is watched already finds a directory that was deleted and made anew.
            for dir in &wanted {
                self.watcher.watch(dir, RecursiveMode::NonRecursive).map_err(|error| unwatched(paths, &error))?;
            }
            self.watched = wanted;
            if self.watched == depend_on(paths) {
                break;
            }
        }
        Ok(())
    }
}

fn depend_on(paths: &[PathBuf]) -> BTreeSet<PathBuf> {
    paths.iter().flat_map(|path| depends_on(path)).collect()
}

/// The directories in which something has to happen for `path` to lead to another text.
fn depends_on(path: &Path) -> BTreeSet<PathBuf> {
    let file = disk::resolve(path).unwrap_or_else(|_| path.to_owned());
    let existing = |path: &Path| path.ancestors().skip(1).find(|dir| dir.is_dir()).map(Path::to_owned);
    [path, &file].into_iter().filter_map(existing).collect()
}

/// Returns true if an event may mean that a file's text changed. Reads don't count, nor do our lock and temporary
/// files.
fn is_change(event: &notify::Event) -> bool {
    let reading = match event.kind {
        EventKind::Access(kind) => kind != AccessKind::Close(AccessMode::Write),
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => false,
    };
    let ours = !event.paths.is_empty() && event.paths.iter().all(|path| disk::is_ours(path));
    !reading && !ours
}

fn unwatched(paths: &[PathBuf], error: &notify::Error) -> Fault {
    let path = paths.first().map_or_else(|| Path::new(""), PathBuf::as_path);
    let says = format!("changes made elsewhere will not be noticed: {error}");
    Fault::new(What::FileUnreadable, path.display().to_string(), says)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Whatever tells of changes, and wherever the first directory that exists lies: each step to a file that is
    /// written in place, and each of its texts, is noticed.
    async fn notices<W: Watcher>() {
        let home = tempfile::tempdir().unwrap();
        let files = [home.path().join(".config/brow/config.toml")];
        let file = &files[0];
        let (sender, mut changes) = mpsc::channel(1);
        let mut watch = Watch::<W>::by(&files, sender).unwrap();
        let steps: [&dyn Fn(); 4] = [
            &|| fs::create_dir_all(file.parent().unwrap()).unwrap(),
            &|| fs::write(file, "a = 1").unwrap(),
            &|| fs::write(file, "a = 23").unwrap(),
            &|| fs::remove_file(file).unwrap(),
        ];
        for (number, step) in steps.into_iter().enumerate() {
            step();
            let noticed = tokio::time::timeout(Duration::from_mins(1), changes.recv()).await;
            assert_eq!(noticed, Ok(Some(())), "step {number}");
            watch.follow(&files).unwrap();
            // What the same step tells more than once, and what following itself tells.
            while changes.try_recv().is_ok() {}
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_change_is_noticed_natively() {
        notices::<Native>().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_change_is_noticed_by_looking() {
        notices::<notify::PollWatcher>().await;
    }
}
