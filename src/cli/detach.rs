//! `connect --detach`: the same program again, without a terminal, told what it says until it is ready.

use std::fs::OpenOptions;
use std::io::{self, Read as _, stdin};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::spawn_blocking;

use super::Globals;
use super::connect::{ConnectOptions, OnQuit};
use super::headless::SideTask;
use super::print::{self, FAILED};
use super::signals::{Signals, ended_by};

/// The line by which the instance in the background says that all is ready (EOT, which no name holds).
const READY: &str = "\u{4}";

/// Starts an instance in the background that forwards targets, and says what it says until it is ready or has failed.
pub(super) async fn start(globals: &Globals, options: &ConnectOptions, names: &[String]) -> ExitCode {
    // Before there is anything to be left behind.
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(failure) => return failure.print(),
    };
    let started = command(globals, options, names).and_then(|mut command| command.spawn());
    let code = match started {
        Ok(child) => until_ready(child, &mut signals).await,
        Err(error) => {
            print::err(&error.to_string());
            FAILED
        }
    };
    ExitCode::from(code)
}

/// Returns the command line of this program with the same files.
pub(super) fn same_program(globals: &Globals) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--config").arg(&globals.paths.config);
    if let Some(path) = &globals.kubeconfig {
        command.arg("--kubeconfig").arg(std::path::absolute(path)?);
    }
    command.args(globals.logging.arguments()?);
    Ok(command)
}

/// The command line of the instance in the background.
fn command(globals: &Globals, options: &ConnectOptions, names: &[String]) -> io::Result<Command> {
    let mut command = same_program(globals)?;
    command.args(["connect", "--detached", "--timeout", &options.timeout.to_string()]);
    if let Some(lasts) = options.lasts {
        command.args(["--for", &lasts.to_string()]);
    }
    if let Some(on_quit) = options.on_quit {
        command.args(["--on-quit", if on_quit == OnQuit::Delete { "delete" } else { "leave" }]);
    }
    let flags = [(options.json, "--json"), (options.quiet, "--quiet"), (options.verbose, "--verbose")];
    command.args(flags.into_iter().filter_map(|(wished, flag)| wished.then_some(flag)));
    command.args(options.once.arguments()).arg("--").args(names);
    // Until it is ready it ends with us, even where we are killed: its standard input ends then.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Ok(command)
}

/// Passes on what the instance says until it is ready, or has ended; the exit code.
async fn until_ready(mut child: Child, signals: &mut Signals) -> u8 {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let saying = async { tokio::join!(pass_on(out, print::out), pass_on(err, print::err)) };
    tokio::pin!(saying);
    let mut ended = None;
    let ready = loop {
        tokio::select! {
            biased;
            number = signals.next() => {
                ended = ended.or(Some(number));
                // It lets go of what it has made; told a second time, it does not wait for that.
                let _ended = pid.map(|pid| kill_process(pid, Signal::TERM));
            }
            (ready, _) = &mut saying => break ready,
        }
    };
    if ready && ended.is_none() {
        // From here on it goes its own way.
        std::mem::forget(child);
        return 0;
    }
    let code = child.wait().await.ok().and_then(|status| status.code());
    let code = code.and_then(|code| u8::try_from(code).ok()).unwrap_or(FAILED);
    ended.map_or(code, ended_by)
}

/// Passes lines on until there are no more; whether one of them said that all is ready.
pub(super) async fn pass_on(from: Option<impl AsyncRead + Unpin>, to: impl Fn(&str)) -> bool {
    let mut ready = false;
    let Some(from) = from else { return ready };
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line == READY {
            ready = true;
        } else {
            to(&line);
        }
    }
    ready
}

/// Leaves the terminal that we were started from: what becomes of it is nothing to us any more.
///
/// # Errors
/// Where we lead a group of processes, which whoever starts us as above does not make us do.
pub(super) fn leave_session() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

/// Waits until whoever started us has gone before all was ready; the exit code then.
pub(super) fn abandoned(ready: Arc<AtomicBool>) -> SideTask {
    Box::pin(async move {
        // Nothing is ever written there.
        let _end = spawn_blocking(|| stdin().read(&mut [0])).await;
        if ready.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        ended_by(u8::try_from(Signal::HUP.as_raw()).unwrap_or_default())
    })
}

/// Says that all is ready, and lets go of whoever listens.
pub(super) fn let_go() {
    print::colored(READY);
    if let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") {
        // What cannot be let go of is written to nobody.
        let _kept =
            (rustix::stdio::dup2_stdin(&null), rustix::stdio::dup2_stdout(&null), rustix::stdio::dup2_stderr(&null));
    }
}
