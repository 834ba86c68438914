//! The instances of this program that run for one person know each other: each has a Unix socket that answers who
//! forwards what, and closes a forward, or ends a session in a container, when asked to.
//!
//! The sockets are in a directory that only their owner may enter. One whose program was killed answers nobody, holds
//! no lock any more, and is removed by whoever notices.

mod agent;
mod board;
mod follow;
mod lock_file;
mod serve;
mod wire;

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::events::EventSender;
use crate::text::Text;
use agent::{Published, Sessions};
use brow_model::Model;
use brow_model::agent::Consent;
use brow_model::event::Event;
use brow_model::fault::{Fault, What};
use brow_model::instance::{Report, Role};
use brow_model::settings::Language;
use lock_file::LockFile;
use wire::{Query, Reply};

pub use agent::{Orders, View, Views, begin as begin_agent};
pub use board::{Board, ClusterRow, ForwardRow, PodRow, TargetRow};

/// The longest wait for an instance's answer. One that takes longer hangs, or is suspended.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The interval of an instance's reports to its watchers, changed or not.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// The silence after which an instance counts as hanging or suspended.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(12);
/// The longest wait for an instance to close a forward.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(6);
/// The extension of the sockets' names.
const SOCKET: &str = "sock";

/// This instance among the others.
pub struct Instance {
    /// Its name among the others.
    pub name: String,
    role: Role,
    reports: watch::Sender<Report>,
    published: watch::Sender<Published>,
    /// The words for agents, who read English.
    text: Text,
}

impl Instance {
    /// Sends a report to the watchers if it changed.
    pub fn publish(&self, report: impl FnOnce(u32, Role) -> Report) {
        replace(&self.reports, report(std::process::id(), self.role));
    }

    /// Sends the state to agents if it changed.
    pub fn show(&self, model: &Model) {
        replace(&self.published, Published::new(model, || Board::new(model, &self.text)));
    }
}

/// Sends a value unless it is the last one.
fn replace<T: PartialEq>(sender: &watch::Sender<T>, value: T) {
    sender.send_if_modified(|known| {
        let differs = *known != value;
        *known = value;
        differs
    });
}

/// Becomes known to the others, and gets to know them: events tell of each, and then that all are known. What is
/// returned is to be spawned; it ends with `token`, and takes the socket along.
///
/// # Errors
/// [`What::FileUnwritable`] where there can be no socket.
pub fn join(
    dir: &Path,
    role: Role,
    events: EventSender,
    token: CancellationToken,
) -> Result<(Instance, impl Future<Output = ()> + Send + 'static), Fault> {
    let fault = |error: &io::Error| Fault::new(What::FileUnwritable, dir.display().to_string(), error.to_string());
    prepare(dir).map_err(|error| fault(&error))?;
    let name = format!("{}-{:08x}", std::process::id(), rand::random::<u32>());
    let (listener, socket) = listen(dir, &name).map_err(|error| fault(&error))?;
    let (reports, told) = watch::channel(Report::empty(std::process::id(), role));
    let (discovered, names) = mpsc::channel(64);
    let following = follow::follow(dir.to_owned(), name.clone(), names, events.about(Event::Instance));
    let (published, seen) = watch::channel(Published::default());
    let serving = serve::serve(listener, (told, Sessions::new(seen)), discovered, events, token);
    let running = async move {
        let _socket = socket;
        tokio::select! {
            () = following => {}
            () = serving => {}
        }
    };
    Ok((Instance { name, role, reports, published, text: Text::new(Language::En) }, running))
}

/// Takes the lock of whoever starts an instance for agents; it is released when it is dropped.
///
/// # Errors
/// `WouldBlock` where somebody else has it, and others where there can be none.
pub fn lock_start(dir: &Path) -> io::Result<impl Sized + use<>> {
    prepare(dir)?;
    LockFile::new(dir, "start")
}

/// The forwards of all running instances.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// The names and reports of the instances that answered.
    pub reports: Vec<(String, Report)>,
    /// The faults of those that did not answer ([`What::InstanceUnheard`]), or the reason why none could be asked.
    pub silent: Vec<Fault>,
}

/// Asks every running instance for its forwards. Sockets of ended instances are removed.
pub async fn all(dir: &Path) -> Census {
    // A directory that somebody else made, or may enter, can hold sockets of theirs.
    match check(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Census::default(),
        Err(error) => {
            let fault = Fault::new(What::FileUnreadable, dir.display().to_string(), error.to_string());
            return Census { reports: Vec::new(), silent: vec![fault] };
        }
        Ok(()) => {}
    }
    let asked = names(dir).into_iter().map(|name| async move {
        let answer = ask(dir, &name, &Query::List, ANSWER_TIMEOUT).await;
        (name, answer)
    });
    let mut census = Census::default();
    for (name, answer) in futures::future::join_all(asked).await {
        let unheard = |why: String| Fault::new(What::InstanceUnheard, pid_of(&name).to_string(), why);
        match answer {
            Ok(Reply::Report { report }) if is_plain(&report) => census.reports.push((name, report)),
            Ok(Reply::No { why }) => census.silent.push(unheard(why)),
            Ok(Reply::Report { .. } | Reply::Stopped | Reply::Answered | Reply::View { .. }) => {
                census.silent.push(unheard("its answer is malformed".into()));
            }
            Err(error) if is_gone(&error) => {}
            Err(error) if error.kind() == ErrorKind::TimedOut => census.silent.push(unheard(String::new())),
            Err(error) => census.silent.push(unheard(error.to_string())),
        }
    }
    census
}

/// Returns true if an error means that an instance has ended.
fn is_gone(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound, UnexpectedEof};
    matches!(error.kind(), ConnectionRefused | NotFound | UnexpectedEof | BrokenPipe | ConnectionReset)
}

/// Asks an instance to close a forward or to end a session, and waits until that is done.
///
/// # Errors
/// [`What::InstanceSilent`] where it does not.
pub async fn stop(dir: &Path, name: &str, id: u64) -> Result<(), Fault> {
    order(dir, name, &Query::Stop { id }, &Reply::Stopped).await
}

/// Answers the question of an agent that an instance has.
///
/// # Errors
/// [`What::InstanceSilent`] where it is not open any more.
pub async fn answer(dir: &Path, name: &str, question: u64, consent: Consent) -> Result<(), Fault> {
    order(dir, name, &Query::Answer { question, consent }, &Reply::Answered).await
}

/// Sends an order to an instance and waits until it is done. Succeeds if the instance has ended.
async fn order(dir: &Path, name: &str, query: &Query, done: &Reply) -> Result<(), Fault> {
    let fault = |why: String| Fault::new(What::InstanceSilent, pid_of(name).to_string(), why);
    match ask(dir, name, query, CLOSE_TIMEOUT).await {
        Ok(reply) if reply == *done => Ok(()),
        Ok(Reply::No { why }) => Err(fault(why)),
        Ok(Reply::Report { .. } | Reply::View { .. } | Reply::Stopped | Reply::Answered) => Err(fault(String::new())),
        Err(error) if error.kind() == ErrorKind::TimedOut => {
            Err(Fault::new(What::InstanceUnheard, pid_of(name).to_string(), ""))
        }
        Err(error) if is_gone(&error) => Ok(()),
        Err(error) => Err(fault(error.to_string())),
    }
}

async fn ask(dir: &Path, name: &str, query: &Query, limit: Duration) -> io::Result<Reply> {
    let asking = async {
        let mut stream = connect(dir, name).await?;
        wire::write(&mut stream, query).await?;
        wire::read(&mut BufReader::new(stream)).await?.ok_or_else(|| ErrorKind::UnexpectedEof.into())
    };
    timeout(limit, asking).await.map_err(|_| io::Error::from(ErrorKind::TimedOut))?
}

/// Connects to an instance. The socket of one that has ended is removed. One that runs and refuses is reported as timed
/// out: it is suspended, and its queue is full.
async fn connect(dir: &Path, name: &str) -> io::Result<UnixStream> {
    let path = dir.join(name).with_extension(SOCKET);
    let connected = UnixStream::connect(&path).await;
    match connected.as_ref().map_err(io::Error::kind) {
        Err(ErrorKind::ConnectionRefused) if lock_file::has_ended(dir, name) => lock_file::sweep(dir, name, &path),
        // macOS says the former of a queue that is full, Linux the latter.
        Err(ErrorKind::ConnectionRefused | ErrorKind::WouldBlock) => return Err(ErrorKind::TimedOut.into()),
        _ => {}
    }
    connected
}

/// The names of the instances that have a socket.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let name = |path: PathBuf| {
        let name = path.file_stem()?.to_str()?.to_owned();
        (path.extension()? == SOCKET && is_name(&name)).then_some(name)
    };
    entries.filter_map(|entry| name(entry.path())).collect()
}

/// Returns true if a text is an instance's name, and not a path.
fn is_name(name: &str) -> bool {
    name.split_once('-').is_some_and(|(pid, rest)| {
        !pid.is_empty()
            && pid.bytes().all(|byte| byte.is_ascii_digit())
            && rest.len() == 8
            && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// The process of an instance.
fn pid_of(name: &str) -> u32 {
    name.split('-').next().and_then(|pid| pid.parse().ok()).unwrap_or_default()
}

/// Returns true if a report has no control characters, which a terminal would obey.
fn is_plain(report: &Report) -> bool {
    report.texts().all(|text| !text.chars().any(char::is_control))
}

/// Creates the directory with mode 0700.
fn prepare(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    check(dir)
}

/// Checks that the directory is ours alone, and not a link.
fn check(dir: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(dir)?;
    if !found.is_dir() || found.uid() != rustix::process::getuid().as_raw() || found.mode() & 0o077 != 0 {
        return Err(io::Error::other("it must be your own directory with mode 0700"));
    }
    Ok(())
}

/// The socket's file, removed with this, and then the lock.
struct Socket {
    path: PathBuf,
    _lock_file: Option<LockFile>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.path);
    }
}

/// Listens on a socket of our own. It is renamed into place once it listens, so that nobody takes it for a stale one.
fn listen(dir: &Path, name: &str) -> io::Result<(UnixListener, Socket)> {
    let lock_file = LockFile::new(dir, name)?;
    let making = Socket { path: dir.join(format!(".{name}")), _lock_file: None };
    let listener = UnixListener::bind(&making.path)?;
    fs::set_permissions(&making.path, fs::Permissions::from_mode(0o600))?;
    let socket = Socket { path: dir.join(name).with_extension(SOCKET), _lock_file: Some(lock_file) };
    fs::rename(&making.path, &socket.path)?;
    Ok((listener, socket))
}

#[cfg(test)]
mod tests;
