//! A program that runs in a container for a copy, between pipes.

use super::{RemoteContainer, Trouble};
use crate::shell::open;
use bytes::Bytes;
use kube_tunnel::Error;
use kube_tunnel::exec::{Input, Output, Process, Stdio, Target};

/// The most words of standard error that are kept.
const MAX_WORDS: usize = 8 * 1024;

/// A program in a container.
pub(super) struct Running {
    process: Process,
    program: &'static str,
}

/// The end of a program.
#[derive(Debug, Default)]
pub(super) struct Ran {
    pub code: i32,
    pub stderr: String,
}

impl Running {
    /// Starts a program, with a standard input if asked for.
    ///
    /// # Errors
    /// The container cannot be reached.
    pub(super) async fn start(
        at: RemoteContainer<'_>,
        program: &'static str,
        args: &[&str],
        stdin: bool,
    ) -> Result<Self, Trouble> {
        let command = std::iter::once(program).chain(args.iter().copied()).map(str::to_owned).collect();
        let target = Target::Exec(command);
        let process = open::start(at.clusters, at.key, at.container, &target, Stdio { stdin, tty: false }).await;
        Ok(Self { process: process.map_err(Trouble::Fault)?, program })
    }

    /// Takes its standard input.
    pub(super) fn input(&mut self) -> Option<Input> {
        self.process.input.take()
    }

    /// Gives its standard output away until it ends; `None` where nobody takes any more.
    ///
    /// # Errors
    /// The connection was lost, or the container has no such program.
    pub(super) async fn read(&mut self, mut take: impl AsyncFnMut(Bytes) -> bool) -> Result<Option<Ran>, Trouble> {
        let mut words = Vec::new();
        let ended = loop {
            match self.process.output.recv().await {
                Some(Ok(Output::Stdout(bytes))) => {
                    if !take(bytes).await {
                        return Ok(None);
                    }
                }
                Some(Ok(Output::Stderr(bytes))) => {
                    words.extend_from_slice(&bytes[..bytes.len().min(MAX_WORDS.saturating_sub(words.len()))]);
                }
                Some(Ok(Output::Ended(ended))) => break ended,
                Some(Err(error)) => return Err(Trouble::Lost(error)),
                None => return Err(Trouble::Lost(Error::Closed)),
            }
        };
        let stderr = String::from_utf8_lossy(&words).into_owned();
        match ended.code {
            // A runtime says it in its own words, or as shells do.
            None if is_missing(&ended.text) => Err(Trouble::NoProgram(self.program)),
            Some(126 | 127) if stderr.is_empty() || is_missing(&stderr) => Err(Trouble::NoProgram(self.program)),
            None => Err(Trouble::There(ended.text)),
            Some(code) => Ok(Some(Ran { code, stderr })),
        }
    }
}

fn is_missing(words: &str) -> bool {
    ["executable file not found", "no such file or directory", "not found"].iter().any(|sign| words.contains(sign))
}
