//! The options and the surroundings that all commands share.

use std::path::PathBuf;

use super::logging::Logging;
use crate::app::{Notifier, TerminalInfo};
use crate::proxy;
use crate::shell::Launcher;
use crate::store::{self, Paths};
use crate::term::Clipboard;
use crate::text::Text;
use crate::view;
use brow_model::fault::Fault;
use brow_model::installation::Identity;

/// Events that may wait for the loop; a source that is faster waits for room.
pub(super) const EVENT_CAPACITY: usize = 1_024;

/// The options that all commands share: paths, kubeconfig, practice, logging.
#[derive(Debug, Clone)]
pub(super) struct Globals {
    pub(super) kubeconfig: Option<PathBuf>,
    pub(super) paths: Paths,
    /// The directory of the instances' sockets.
    pub(super) runtime: PathBuf,
    pub(super) practice: bool,
    pub(super) logging: Logging,
}

/// Our owner name and installation, with a fault if the installation cannot be saved.
pub(super) fn identity(paths: &Paths) -> (Identity, Option<Fault>) {
    let (installation, trouble) = store::installation(&paths.state_dir);
    (Identity { owner: proxy::owner(), installation }, trouble)
}

/// The words of the config's language, or the locale's, for what reads no more of the config.
pub(super) fn text_of(globals: &Globals) -> Text {
    let loaded = store::load(&globals.paths).ok();
    loaded.and_then(|loaded| loaded.settings.language).map_or_else(text, Text::new)
}

/// The words of the locale's language, before any config was read.
pub(super) fn text() -> Text {
    Text::new(Text::locale(&surroundings().locale))
}

/// Reads the environment variables that describe the terminal.
pub(super) fn surroundings() -> TerminalInfo {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    TerminalInfo {
        locale: ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set).unwrap_or_default(),
        colors: view::ColorEnv { no_color: set("NO_COLOR"), colorterm: set("COLORTERM"), term: set("TERM") },
        notifier: Notifier::new(set),
        clipboard: Clipboard::of(|name| std::env::var(name).ok()),
        shells: Launcher::default(),
        editor: crate::edit::Editor::set(|name| std::env::var(name).ok()),
    }
}
