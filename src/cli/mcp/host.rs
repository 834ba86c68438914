//! The instance in the background that forwards for agents while there is no dashboard. It ends with the last session.

use std::process::ExitCode;
use std::time::Duration;

use crate::cli::detach;
use crate::cli::headless::{Headless, HeadlessCommand, Snapshot, Step};
use crate::cli::print::{Failure, err};
use crate::cli::{FAILED, Globals};
use crate::cluster::descriptors;
use crate::text::Text;
use brow_model::Model;
use brow_model::instance::Role;
use brow_model::request::Request;

/// The longest wait for the first session.
const FIRST_SESSION_TIMEOUT: Duration = Duration::from_secs(20);

/// True once there was a session.
struct Host {
    had_session: bool,
}

pub(super) async fn run(globals: Globals) -> ExitCode {
    descriptors::raise();
    if let Err(error) = detach::leave_session() {
        err(&error.to_string());
        return ExitCode::from(FAILED);
    }
    match Headless::open(globals) {
        Ok(headless) => headless.run(&mut Host { had_session: false }).await,
        Err(failure) => failure.print(),
    }
}

impl HeadlessCommand for Host {
    fn start(&mut self, _: &Model, _: &Text) -> Result<Vec<Request>, Failure> {
        detach::let_go();
        Ok(Vec::new())
    }

    fn on_update(&mut self, snapshot: &Snapshot<'_>) -> Step {
        let has_session = !snapshot.model.agents.all().is_empty();
        self.had_session |= has_session;
        let waits = !self.had_session && snapshot.age < FIRST_SESSION_TIMEOUT;
        if has_session || waits { Step::Wait } else { Step::End(0) }
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
