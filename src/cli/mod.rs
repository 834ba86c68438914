//! The command line: what it takes, the dashboard as its main job, and the same things without a screen.

mod check;
mod choose;
mod clusters;
mod complete;
mod config;
mod connect;
mod consent;
mod cp;
mod dashboard;
mod detach;
mod edit;
mod exec;
mod find;
mod forward;
mod gateway;
mod globals;
mod headless;
mod logging;
mod man;
mod mcp;
mod pod;
mod print;
mod report;
mod shell;
mod signals;
mod status;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, Subcommand, ValueHint};
use color_eyre::eyre::{self, WrapErr};

use self::globals::{EVENT_CAPACITY, Globals, identity, surroundings, text, text_of};
use self::logging::Logging;
use self::print::{FAILED, Failure};
use crate::cluster;
use crate::store::Paths;
use crate::term::Term;
use brow_model::fault::{Fault, What};

/// The time for which blocking work may keep the program from ending.
const LAST_TASKS_TIMEOUT: Duration = Duration::from_millis(500);

/// A full-screen dashboard for reaching what only a Kubernetes cluster can reach.
///
/// Without a command it opens the dashboard. The commands do the same things without a screen.
#[derive(Debug, Parser)]
#[command(name = "brow-tui", version, about, after_help = EXIT_CODES)]
pub struct Args {
    /// Kubeconfig to use instead of $KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, global = true, display_order = 900)]
    kubeconfig: Option<PathBuf>,
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        global = true,
        display_order = 900,
        help = "Config to use instead of $BROW_CONFIG or ~/.config/brow/config.toml"
    )]
    config: Option<PathBuf>,
    /// Use a built-in demo cluster; it touches nothing of yours
    #[cfg(feature = "practice")]
    #[arg(long, global = true, display_order = 900, conflicts_with_all = ["kubeconfig", "config"])]
    practice: bool,
    #[command(flatten)]
    logging: Logging,
    #[command(flatten)]
    check: check::Alias,
    #[command(subcommand)]
    command: Option<Command>,
}

/// The help about exit codes.
const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 something failed, and standard error says what and what to do; 2 wrong usage; 3 not found; \
128 + N ended by signal N before it was done. connect --exec and shell exit with their command's code (126 it cannot be run, 127 not \
found).";

#[derive(Debug, Subcommand)]
enum Command {
    /// List, show and change saved targets
    #[command(subcommand)]
    Config(config::Command),
    /// Forward targets, or destinations such as 10.0.0.1:3306 and svc/web:http, creating proxy pods where needed, until
    /// Ctrl-C or a command ends
    Connect(connect::Args),
    /// Start forwards in the background, list and stop those of all running instances
    #[command(subcommand)]
    Forward(forward::Command),
    /// Create, list, show and delete proxy pods
    #[command(subcommand)]
    Pod(pod::Command),
    /// Open a shell in a pod, or run a command there
    Shell(shell::Args),
    /// Copy a file or folder out of a container or into one
    Cp(cp::Args),
    /// Edit a custom object (or, with --new, create one) in your editor: you see what would change, then it is applied
    Edit(edit::Args),
    /// Apply the manifest of a custom object from a file: you see what would change, then it is applied
    Apply(edit::ApplyArgs),
    /// Find objects of clusters by name, kind, namespace and label
    Find(find::Args),
    /// Find out why something in a cluster cannot be reached: each step on the way, and what to do about it
    Why(why::Args),
    /// Reach ports of a local k3d, kind or minikube cluster through a container that outlives brow-tui
    #[command(subcommand)]
    Gateway(gateway::Command),
    /// Diagnose kubeconfig, clusters, permissions, config and terminal, and say how to fix what is wrong
    Check(check::Options),
    /// Show the state of all running instances' forwards; --short prints one line for a status bar
    Status(status::Args),
    /// Serve coding agents over MCP (standard input and output): they reach only targets that the config offers
    Mcp(mcp::Args),
    /// Print a shell's completion script, which also completes targets, contexts, pods and forwards
    Completions {
        /// The shell
        shell: complete::Shell,
    },
    /// Pack version, check, config and the end of the log into one file for an issue, without secrets
    Report(report::Args),
    /// Print the manual page: brow-tui man >brow-tui.1 && man ./brow-tui.1
    Man,
    /// Run a command in a session of its own, without a terminal
    #[command(hide = true)]
    NewSession {
        /// The command and its arguments
        #[arg(required = true, last = true)]
        command: Vec<String>,
    },
}

/// Parses the command line and does what it says. The exit codes are in the help; for the dashboard it is 0, or 1 where
/// something stopped the program.
///
/// # Errors
/// What a person must know and the screen could not tell them.
pub fn run() -> eyre::Result<ExitCode> {
    complete::answer(Args::command);
    let code = obey(Args::parse())?;
    Ok(match print::unwritten() {
        // Any other exit code tells more than a failed write.
        Some(why) if code == ExitCode::SUCCESS => {
            Failure { code: FAILED, message: text().fill("cli.unwritten", &[("detail", why)]) }.print()
        }
        _ => code,
    })
}

fn obey(mut args: Args) -> eyre::Result<ExitCode> {
    match (std::mem::take(&mut args.check).options(), &args.command) {
        (Some(_), Some(_)) => return Ok(Failure::usage(text().get("cli.check-alone")).print()),
        (Some(options), None) => args.command = Some(Command::Check(options)),
        (None, _) => {}
    }
    match args.command {
        Some(Command::Completions { shell }) => return Ok(complete::script(shell)),
        Some(Command::Man) => {
            print::out(man::page(Args::command()).trim_end());
            return Ok(ExitCode::SUCCESS);
        }
        Some(Command::NewSession { ref command }) => return Ok(exec::become_command(command)),
        // It packs the log, and writes nothing of its own there.
        Some(Command::Report(_)) => {}
        Some(
            Command::Config(_)
            | Command::Connect(_)
            | Command::Forward(_)
            | Command::Pod(_)
            | Command::Shell(_)
            | Command::Cp(_)
            | Command::Find(_)
            | Command::Edit(_)
            | Command::Apply(_)
            | Command::Why(_)
            | Command::Gateway(_)
            | Command::Check(_)
            | Command::Status(_)
            | Command::Mcp(_),
        )
        | None => {
            if let Err(failure) = args.logging.start(&text()) {
                return Ok(failure.print());
            }
        }
    }
    cluster::plugins_through(std::env::current_exe().ok());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .wrap_err("the runtime could not be started")?;
    let code = runtime.block_on(Box::pin(enter(args)))?;
    // Tasks are dropped, and login plugins that still run end with them. A name look-up that hangs must not keep the
    // shell waiting.
    runtime.shutdown_timeout(LAST_TASKS_TIMEOUT);
    Ok(code)
}

/// Does what the command line says.
async fn enter(args: Args) -> eyre::Result<ExitCode> {
    #[cfg(feature = "practice")]
    if args.practice {
        return practise(args).await;
    }
    match Paths::find(args.config) {
        Ok(paths) => {
            let runtime = paths.runtime();
            let globals =
                Globals { kubeconfig: args.kubeconfig, paths, runtime, practice: false, logging: args.logging };
            Box::pin(through(globals, args.command)).await
        }
        Err(fault) => Ok(print::fault(&text(), &fault)),
    }
}

/// Does what the command line says over a practice cluster; it ends with the program, however that ended.
#[cfg(feature = "practice")]
async fn practise(args: Args) -> eyre::Result<ExitCode> {
    let practice = brow_practice::Practice::start().await.wrap_err("the practice cluster could not be started")?;
    let (config, state_dir) = (practice.config(), practice.state());
    // Nobody has used the older tool here.
    let legacy = state_dir.join("none");
    let runtime = state_dir.join("run");
    let paths = Paths { config, state_dir, legacy };
    let globals =
        Globals { kubeconfig: Some(practice.kubeconfig()), paths, runtime, practice: true, logging: args.logging };
    let ended = Box::pin(through(globals, args.command)).await;
    practice.end().await.wrap_err("the practice cluster's files could not be removed")?;
    ended
}

async fn through(globals: Globals, command: Option<Command>) -> eyre::Result<ExitCode> {
    Ok(match command {
        None if !Term::is_there() => print::fault(&text(), &Fault::new(What::NoTerminal, "brow-tui", "")),
        None => {
            Box::pin(dashboard::run(globals)).await?;
            ExitCode::SUCCESS
        }
        // Handled above.
        Some(Command::Completions { .. } | Command::Man | Command::NewSession { .. }) => ExitCode::SUCCESS,
        Some(Command::Config(command)) => Box::pin(config::run(globals, command)).await,
        Some(Command::Connect(args)) => Box::pin(connect::run(globals, args)).await,
        Some(Command::Forward(command)) => Box::pin(forward::run(globals, command)).await,
        Some(Command::Pod(command)) => Box::pin(pod::run(globals, command)).await,
        Some(Command::Shell(args)) => Box::pin(shell::run(globals, args)).await,
        Some(Command::Cp(args)) => Box::pin(cp::run(globals, args)).await,
        Some(Command::Edit(args)) => Box::pin(edit::run(globals, args)).await,
        Some(Command::Apply(args)) => Box::pin(edit::apply(globals, args)).await,
        Some(Command::Find(args)) => Box::pin(find::run(globals, args)).await,
        Some(Command::Why(args)) => Box::pin(why::run(globals, args)).await,
        Some(Command::Gateway(command)) => Box::pin(gateway::run(globals, command)).await,
        Some(Command::Check(options)) => Box::pin(check::run(globals, options)).await,
        Some(Command::Status(args)) => status::run(&globals, &args).await,
        Some(Command::Report(args)) => Box::pin(report::run(globals, args)).await,
        Some(Command::Mcp(args)) => Box::pin(mcp::run(globals, args)).await,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_makes_sense() {
        Args::command().debug_assert();
    }
}
