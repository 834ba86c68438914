//! The command line: what it takes, and the dashboard as its main job.

mod check;

use std::path::PathBuf;
use std::process::ExitCode;

use chrono::Utc;
use clap::Parser;
use color_eyre::eyre::{self, WrapErr};
use tokio::sync::mpsc;

use crate::app::{App, Surroundings};
use crate::cluster::Clusters;
use crate::effects::Effects;
use crate::model::Model;
use crate::model::event::{Event, StoreEvent};
use crate::model::fault::Fault;
use crate::practice::Practice;
use crate::proxy;
use crate::store::{self, Paths};
use crate::term::{self, Term};
use crate::text::Text;
use crate::view;

/// Events that may wait for the loop; a source that is faster waits for room.
const EVENTS: usize = 1_024;

/// A full-screen dashboard for reaching what only a Kubernetes cluster can reach.
#[derive(Debug, Parser)]
#[command(name = "brow-tui", version, about)]
pub struct Args {
    /// Kubeconfig to use instead of $KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    #[arg(long, value_name = "FILE", help = "Config to use instead of $BROW_CONFIG or ~/.config/brow/config.toml")]
    config: Option<PathBuf>,
    /// Open a practice cluster that lives in this program alone; nothing of yours is read or written
    #[arg(long, conflicts_with_all = ["kubeconfig", "config"])]
    practice: bool,
    #[command(flatten)]
    check: check::Options,
}

/// Parses the command line and does what it says; the exit code is 0, or 1 where something stopped the program;
/// with `--check` those of its help.
///
/// # Errors
/// What a person must know and the screen could not tell them.
pub fn run() -> eyre::Result<ExitCode> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .wrap_err("the runtime could not be started")?;
    let code = runtime.block_on(enter(args))?;
    // A name look-up or a plugin that hangs must not keep the shell waiting.
    runtime.shutdown_background();
    Ok(code)
}

/// Does what was asked for, over a practice cluster where that is wished for; it ends with the program, however that ended.
async fn enter(mut args: Args) -> eyre::Result<ExitCode> {
    if !args.practice {
        let paths = Paths::find(args.config.take());
        return over(args, paths).await;
    }
    let practice = Practice::start().await.wrap_err("the practice cluster could not be started")?;
    args.kubeconfig = Some(practice.kubeconfig());
    let (config, state_dir) = (practice.config(), practice.state());
    // Nobody has used the older tool here.
    let legacy = state_dir.join("none");
    let ended = over(args, Ok(Paths { config, state_dir, legacy })).await;
    practice.end().await.wrap_err("the practice cluster's files could not be removed")?;
    ended
}

async fn over(args: Args, paths: Result<Paths, Fault>) -> eyre::Result<ExitCode> {
    if args.check.wanted() {
        return Ok(check::run(args.check, args.kubeconfig, paths).await);
    }
    dashboard(args, paths).await?;
    Ok(ExitCode::SUCCESS)
}

async fn dashboard(args: Args, paths: Result<Paths, Fault>) -> eyre::Result<()> {
    let surroundings = surroundings();
    let text = Text::new(Text::locale(&surroundings.locale));
    let spoken = |fault| eyre::eyre!(text.fault(&fault).in_full());
    let me = proxy::owner();
    let mut model = Model::new(Utc::now(), me.clone());

    model.practice = args.practice;
    let paths = paths.map_err(spoken)?;
    let first = match store::load(&paths) {
        Ok(loaded) => StoreEvent::Loaded(Box::new(loaded)),
        Err(fault) => StoreEvent::Broken(fault),
    };
    let clusters = Clusters::unread(args.kubeconfig);
    let contexts = clusters.read_again();
    let (sender, events) = mpsc::channel(EVENTS);
    let mut effects = Effects::start(clusters, paths, me, sender);
    for event in [Event::Store(first), Event::Contexts(contexts)] {
        for effect in model.update(event) {
            effects.run(effect);
        }
    }
    term::restore_on_panic();
    let mut term = Term::take(model.settings.mouse).wrap_err("the terminal could not be taken")?;
    let mut app = App::new(model, effects, events, surroundings);
    let end = app.run(&mut term).await;
    drop(term);
    app.finish().await;
    end.wrap_err("the dashboard could not go on")
}

/// What the environment says of the terminal.
fn surroundings() -> Surroundings {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    Surroundings {
        locale: ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set).unwrap_or_default(),
        colors: view::Surroundings { no_color: set("NO_COLOR"), colorterm: set("COLORTERM"), term: set("TERM") },
    }
}
