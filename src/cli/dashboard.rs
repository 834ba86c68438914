//! The dashboard, as the command line starts it.

use std::ffi::OsString;
use std::path::Path;

use chrono::Utc;
use color_eyre::eyre::{self, WrapErr};

use super::globals::{EVENT_CAPACITY, Globals, identity, surroundings};
use super::print;
use crate::app::{App, TerminalInfo};
use crate::cluster::{Clusters, descriptors};
use crate::effects::Effects;
use crate::log;
use crate::shell::Launcher;
use crate::store;
use crate::term::{self, Term};
use brow_model::Model;
use brow_model::event::{Event, StoreEvent};
use brow_model::instance::Role;

/// Runs the dashboard.
pub(super) async fn run(globals: Globals) -> eyre::Result<()> {
    descriptors::raise();
    let surroundings = TerminalInfo { shells: launcher(&globals), ..surroundings() };
    let (me, trouble) = identity(&globals.paths);
    let mut model = Model::new(Utc::now(), me.owner.clone());
    model.installation = me.installation.clone();
    model.practice = globals.practice;
    model.screen.log.file = globals.logging.file().map(|path| path.display().to_string()).unwrap_or_default();
    let first = match store::load(&globals.paths) {
        Ok(loaded) => StoreEvent::Loaded(Box::new(loaded)),
        Err(fault) => StoreEvent::Broken(fault),
    };
    let clusters = Clusters::empty(globals.kubeconfig);
    let contexts = clusters.reload();
    let (sender, events) = crate::events::EventSender::channel(EVENT_CAPACITY);
    let mut effects = Effects::start(clusters, globals.paths, me, sender);
    model.instances.set_own_name(effects.join(globals.runtime, Role::Dashboard));
    effects.follow_kubeconfig();
    let trouble = trouble.map(|fault| Event::Store(StoreEvent::Trouble(fault)));
    for event in [Event::Store(first), Event::Contexts(contexts)].into_iter().chain(trouble) {
        for effect in log::update(&mut model, event) {
            effects.run(effect);
        }
    }
    term::restore_on_panic();
    let mut term = Term::take(model.config.settings().mouse).wrap_err("the terminal could not be taken")?;
    let mut app = App::new(model, effects, events, surroundings);
    let end = app.run(&mut term).await;
    drop(term);
    app.finish(print::err).await;
    end.wrap_err("the dashboard could not go on")
}

/// Returns how the dashboard starts sessions in containers: with the same files.
fn launcher(globals: &Globals) -> Launcher {
    let mut options = vec!["--config".into(), globals.paths.config.clone().into_os_string()];
    if let Some(path) = &globals.kubeconfig {
        options.extend(["--kubeconfig".into(), std::path::absolute(path).unwrap_or_else(|_| path.clone()).into()]);
    }
    // The practice cluster's state is not where the system keeps such.
    let state = globals.paths.state_dir.parent().filter(|_| globals.practice);
    let of_practice =
        |state: &Path| [("XDG_STATE_HOME", state.as_os_str().to_owned()), ("XDG_RUNTIME_DIR", OsString::new())];
    let env = state.map(of_practice).into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect();
    let program = std::env::current_exe().unwrap_or_else(|_| "brow-tui".into());
    Launcher { program, options, env, pane: Launcher::pane_of(|name| std::env::var_os(name).is_some()) }
}
