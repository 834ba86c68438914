//! `mcp`: lets coding agents reach the targets that the config offers them, over the Model Context Protocol.
//!
//! This process only speaks the protocol. The instance that it is connected to does what an agent asks for, refuses it
//! or asks a person; what it opens ends with that connection.

mod batch;
mod calls;
mod consent;
mod find;
mod host;
mod link;
mod schema;
mod server;
mod stdio;
mod tools;

use std::process::ExitCode;
use std::sync::Arc;

use rmcp::ServiceExt as _;
use rmcp::service::ServerInitializeError;
use tokio_util::sync::CancellationToken;

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
    if args.host {
        if globals.practice {
            return Failure::usage(super::text_of(&globals).get("cli.practice-ends")).print();
        }
        return Box::pin(host::run(globals)).await;
    }
    if !globals.practice {
        return serve(globals).await;
    }
    // The practice cluster is in this process: so is the instance that forwards.
    let ended = CancellationToken::new();
    let mut hosting = Box::pin(host::practise(globals.clone(), ended.clone()));
    tokio::select! {
        code = serve(globals) => {
            ended.cancel();
            let _code = hosting.await;
            code
        }
        // By a signal.
        code = &mut hosting => code,
    }
}

/// Speaks the protocol until the input ends.
async fn serve(globals: Globals) -> ExitCode {
    let (stdio, written) = Stdio::start();
    let failure = match Server::new(Arc::new(Link::new(globals)), stdio.ended()) {
        Ok(server) => match server.serve(stdio).await {
            Ok(running) => running.waiting().await.err().map(|error| error.to_string()),
            // Nobody has asked for anything.
            Err(ServerInitializeError::ConnectionClosed(_)) => None,
            Err(error) => Some(error.to_string()),
        },
        Err(why) => Some(why),
    };
    written.end().await;
    failure.map_or(ExitCode::SUCCESS, |why| {
        print::err(&why);
        ExitCode::from(FAILED)
    })
}
