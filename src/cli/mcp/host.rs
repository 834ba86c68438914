//! The instance in the background that forwards for agents while there is no dashboard. It ends with the last session.

use std::process::ExitCode;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::cli::detach;
use crate::cli::headless::{Headless, HeadlessCommand, SideTask, Snapshot, Step};
use crate::cli::print::{Failure, err};
use crate::cli::{FAILED, Globals};
use crate::cluster::descriptors;
use crate::text::Text;
use brow_model::Model;
use brow_model::instance::Role;
use brow_model::request::Request;

/// The longest wait for the first session.
const FIRST_SESSION_TIMEOUT: Duration = Duration::from_secs(20);

/// The instance that forwards for agents.
struct Host {
    /// True once there was a session.
    had_session: bool,
    /// Ends the one of a practice cluster; one in the background ends with the last session.
    practice: Option<CancellationToken>,
}

pub(super) async fn run(globals: Globals) -> ExitCode {
    descriptors::raise();
    if let Err(error) = detach::leave_session() {
        err(&error.to_string());
        return ExitCode::from(FAILED);
    }
    open(globals, Host { had_session: false, practice: None }).await
}

/// Forwards in this process until the token is cancelled.
pub(super) async fn practise(globals: Globals, ended: CancellationToken) -> ExitCode {
    descriptors::raise();
    open(globals, Host { had_session: false, practice: Some(ended) }).await
}

async fn open(globals: Globals, mut host: Host) -> ExitCode {
    match Headless::open(globals) {
        Ok(headless) => Box::pin(headless.run(&mut host)).await,
        Err(failure) => failure.print(),
    }
}

impl HeadlessCommand for Host {
    fn start(&mut self, _: &Model, _: &Text) -> Result<Vec<Request>, Failure> {
        if self.practice.is_none() {
            detach::let_go();
        }
        Ok(Vec::new())
    }

    fn on_update(&mut self, snapshot: &Snapshot<'_>) -> Step {
        let has_session = !snapshot.model.agents.all().is_empty();
        self.had_session |= has_session;
        let waits = self.practice.is_some() || !self.had_session && snapshot.age < FIRST_SESSION_TIMEOUT;
        if has_session || waits { Step::Wait } else { Step::End(0) }
    }

    fn side_task(&mut self) -> Option<SideTask> {
        let ended = self.practice.clone()?;
        Some(Box::pin(async move {
            ended.cancelled().await;
            0
        }))
    }

    fn role(&self) -> Option<Role> {
        Some(Role::Agents)
    }

    fn on_signal(&mut self, _: u8) -> Option<u8> {
        Some(0)
    }

    fn deletes_pods(&self) -> Option<bool> {
        Some(true)
    }
}
