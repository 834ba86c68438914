//! A session among the running instances, and in the audit log.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::cli::print::{self, FAILED};
use crate::cli::signals::{Signals, ended_by};
use crate::cli::{EVENT_CAPACITY, Globals};
use crate::events::EventSender;
use crate::instance::{self, Instance};
use crate::shell::Outcome;
use crate::store::AuditLog;
use crate::text::Text;
use brow_model::effect::AuditEntry;
use brow_model::event::Event;
use brow_model::fault::What;
use brow_model::forward::ForwardId;
use brow_model::instance::{Report, Role};
use brow_model::proxy::PodKey;
use brow_model::request::Request;
use brow_model::shell::{NodeSession, ShellRecord, ShellReport};
use brow_model::ttl::Ttl;
use kube_tunnel::exec::Ended;

/// The exit code where the shell or command is not there, as shells have it.
const NOT_FOUND: u8 = 127;
/// The exit code where nobody reads the output any more, as shells have it: 128 + SIGPIPE.
const BROKEN_PIPE: u8 = 141;
/// The number of SIGTERM, which an end from elsewhere counts as.
const TERMINATED: u8 = 15;
/// The number of the session in its instance, which has no other.
const SESSION: u64 = 1;
/// The interval at which others are told when the session was last used.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);
/// The longest wait for the other instances to be told of the end.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// A session, or a copy, in the audit log.
pub(in crate::cli) struct Journal {
    key: PodKey,
    pub record: ShellRecord,
    audit: AuditLog,
}

impl Journal {
    pub(in crate::cli) fn new(globals: &Globals, key: PodKey, record: ShellRecord) -> Self {
        Self { key, record, audit: AuditLog::new(&globals.paths) }
    }

    /// Writes a line; says so where that fails.
    pub(in crate::cli) fn write(&mut self, text: &Text, action: &'static str, fault: Option<What>) {
        let entry = AuditEntry {
            at: Utc::now(),
            action,
            thing: self.key.name.clone(),
            by: None,
            cluster: Some(self.key.cluster.clone()),
            namespace: Some(self.key.namespace.clone()),
            agent: None,
            fault,
            shell: Some(Box::new(self.record.clone())),
        };
        if let Err(fault) = self.audit.write(&entry) {
            print::err(&text.fill("cli.shell-not-logged", &[("detail", &fault.detail)]));
        }
    }
}

/// The end of a session.
pub(super) struct End {
    /// The exit code.
    pub code: u8,
    /// The container has no shell.
    pub has_no_shell: bool,
    /// Another is to follow.
    pub again: bool,
}

/// The session among the running instances, and in the audit log.
pub(super) struct Session {
    journal: Journal,
    active: Arc<AtomicI64>,
    events: mpsc::Receiver<Event>,
    instance: Option<(Instance, JoinHandle<()>)>,
    token: CancellationToken,
    /// The time without a byte after which it ends.
    idle: Option<Duration>,
    /// The node that it is on.
    node: Option<NodeSession>,
}

impl Session {
    pub(super) fn begin(
        globals: &Globals,
        text: &Text,
        key: PodKey,
        record: ShellRecord,
        active: Arc<AtomicI64>,
        on_node: Option<(NodeSession, Duration)>,
    ) -> Self {
        let (sender, events) = EventSender::channel(EVENT_CAPACITY);
        let token = CancellationToken::new();
        // Without a place among the others it works all the same.
        let joined = instance::join(&globals.runtime, Role::Shell, sender, token.clone()).ok();
        let instance = joined.map(|(instance, running)| (instance, tokio::spawn(running)));
        let journal = Journal::new(globals, key, record);
        let (node, idle) = on_node.unzip();
        let mut session = Self { journal, active, events, instance, token, idle, node };
        session.journal.write(text, "open-shell", None);
        session.publish();
        session
    }

    fn publish(&self) {
        let Some((instance, _)) = &self.instance else { return };
        instance.publish(|pid, role| {
            let PodKey { cluster, namespace, name } = self.journal.key.clone();
            let active = DateTime::from_timestamp(self.active.load(Ordering::Relaxed), 0).unwrap_or_default();
            let (container, began) = (self.journal.record.container.clone(), self.journal.record.began);
            let (id, pod, node) = (SESSION, name, self.node.clone());
            let shell = ShellReport { id, cluster, namespace, pod, container, began, active, node };
            Report { shells: vec![shell], ..Report::empty(pid, role) }
        });
    }

    /// Waits for the end of the session: its own, a signal's, or that another instance asks for.
    pub(super) async fn watch(
        &mut self,
        mut running: Pin<Box<impl Future<Output = Outcome>>>,
        signals: &mut Signals,
    ) -> (Result<Outcome, u8>, bool) {
        let mut ticks = interval(REPORT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                outcome = &mut running => return (Ok(outcome), false),
                number = signals.next() => return (Err(ended_by(number)), false),
                Some(event) = self.events.recv() => {
                    if event == Event::Request(Request::Stop(ForwardId(SESSION))) {
                        return (Ok(Outcome::Left), true);
                    }
                }
                _ = ticks.tick() => {
                    self.publish();
                    if is_idle(self.active.load(Ordering::Relaxed), self.idle, Utc::now()) {
                        return (Ok(Outcome::Idle), false);
                    }
                }
            }
        }
    }

    /// Says how it ended, where that is not plain.
    pub(super) async fn finish(mut self, text: &Text, thing: &str, end: Result<Outcome, u8>, stopped: bool) -> End {
        let (mut has_no_shell, again) = (false, matches!(end, Ok(Outcome::Again)));
        let with = |detail: &str| [("thing", thing.to_owned()), ("detail", detail.to_owned())];
        let say = |key: &str, detail: &str| {
            let with = with(detail);
            print::err(&text.fill(key, &with.each_ref().map(|(name, value)| (*name, value.as_str()))));
        };
        let (code, fault) = match end {
            Err(code) => (code, None),
            Ok(Outcome::Ended(Ended { code: Some(code), .. })) => (u8::try_from(code & 0xff).unwrap_or(FAILED), None),
            Ok(Outcome::Ended(Ended { code: None, text: words })) => {
                let is_missing = words.contains("executable file not found") || words.contains("no such file");
                print::err(words.trim());
                if is_missing && self.journal.record.command.len() <= 1 {
                    let name = self.journal.record.command.first().map_or("sh", String::as_str);
                    print::err(&text.fill("cli.shell-none", &[("thing", thing), ("name", name)]));
                    has_no_shell = true;
                }
                (if is_missing { NOT_FOUND } else { FAILED }, Some(What::Server))
            }
            Ok(Outcome::Left) => {
                say(if stopped { "cli.shell-ended-elsewhere" } else { "cli.shell-left" }, "");
                // What was under way did not come to its end.
                (if stopped { ended_by(TERMINATED) } else { 0 }, None)
            }
            Ok(Outcome::Again) => (0, None),
            Ok(Outcome::Idle) => {
                say(
                    "cli.shell-idle",
                    &self
                        .idle
                        .and_then(|idle| Ttl::from_secs(idle.as_secs()))
                        .map_or_else(String::new, |idle| idle.to_string()),
                );
                (ended_by(TERMINATED), None)
            }
            Ok(Outcome::Lost(error)) => {
                say("cli.shell-lost", &error.to_string());
                (FAILED, Some(What::Tunnel))
            }
            Ok(Outcome::Hangup) => (ended_by(1), None),
            Ok(Outcome::Local(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => (BROKEN_PIPE, None),
            Ok(Outcome::Local(error)) => {
                print::err(&error.to_string());
                (FAILED, Some(What::Internal))
            }
        };
        self.journal.record.exit_code = Some(code.into());
        self.journal.write(text, "close-shell", fault);
        self.token.cancel();
        if let Some((_, running)) = self.instance.take() {
            // Its socket goes with it.
            let _left = timeout(LEAVE_TIMEOUT, running).await;
        }
        End { code, has_no_shell, again }
    }
}

/// Returns whether nothing came or went for too long since a Unix time.
fn is_idle(active: i64, idle: Option<Duration>, now: DateTime<Utc>) -> bool {
    let active = DateTime::from_timestamp(active, 0).unwrap_or(now);
    let silent = (now - active).to_std().unwrap_or_default();
    idle.is_some_and(|idle| silent >= idle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_idle_after_its_time_if_it_has_one() {
        let now = |secs: i64| DateTime::from_timestamp(1_000 + secs, 0).unwrap();
        let idle = Some(Duration::from_mins(30));
        assert!(!is_idle(1_000, idle, now(1_799)));
        assert!(is_idle(1_000, idle, now(1_800)));
        // A clock that was set back, and a session without such a time.
        assert!(!is_idle(1_000, idle, now(-60)));
        assert!(!is_idle(1_000, None, now(99_999)));
    }
}
