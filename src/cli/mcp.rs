//! `mcp`: lets coding agents reach the targets that the config offers them, over the Model Context Protocol.
//!
//! This process only speaks the protocol. The instance that it is connected to does what an agent asks for, refuses it
//! or asks a person; what it opens ends with that connection.

mod consent;
mod host;
mod link;
mod server;
mod stdio;
mod tools;

use std::process::ExitCode;
use std::sync::Arc;

use rmcp::ServiceExt as _;
use rmcp::service::ServerInitializeError;

use super::Globals;
use super::print::{self, FAILED, Failure};
use link::Link;
use server::Server;
use stdio::Stdio;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// This is the instance that forwards for agents while there is no dashboard
    #[arg(long, hide = true)]
    host: bool,
}

pub(super) async fn run(globals: Globals, args: Args) -> ExitCode {
    if globals.practice {
        return Failure::usage(super::text_of(&globals).get("cli.practice-ends")).print();
    }
    if args.host {
        return Box::pin(host::run(globals)).await;
    }
    let stdio = Stdio::start();
    let server = Server::new(Arc::new(Link::new(globals)), stdio.ended());
    let failure = match server.serve(stdio).await {
        Ok(running) => running.waiting().await.err().map(|error| error.to_string()),
        // Nobody has asked for anything.
        Err(ServerInitializeError::ConnectionClosed(_)) => None,
        Err(error) => Some(error.to_string()),
    };
    failure.map_or(ExitCode::SUCCESS, |why| {
        print::err(&why);
        ExitCode::from(FAILED)
    })
}
