//! The instances of this program that run for one person know each other: each has a Unix socket that answers who
//! forwards what, and closes a forward, or ends a session in a container, when asked to.
//!
//! The sockets are in a directory that only their owner may enter. One whose program was killed answers nobody, holds
//! no lock any more, and is removed by whoever notices.

mod agent;
mod board;
mod follow;
mod lock_file;
mod name;
mod serve;
mod socket;
mod wire;

use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

use tokio::io::BufReader;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::events::EventSender;
use crate::text::Text;
use agent::Sessions;
use board::Published;
use brow_model::Model;
use brow_model::agent::Consent;
use brow_model::event::Event;
use brow_model::fault::{Fault, What};
use brow_model::instance::{Report, Role};
use brow_model::settings::Language;
use lock_file::LockFile;
use name::pid_of;
use socket::{check, connect, listen, names, prepare};
use wire::{ANSWER_TIMEOUT, CLOSE_TIMEOUT, Query, Reply, is_plain};

pub use agent::{Orders, Views, begin as begin_agent};
pub use board::{Board, ClusterRow, ForwardRow, PodRow, TargetRow, View};

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
    let name = name::new();
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

#[cfg(test)]
mod tests;
