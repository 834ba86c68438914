//! The program as a script runs it: a home of its own, exit codes, what it prints.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use crate::common::kube::until_within;
use crate::common::{Home, TIMEOUT};

/// The program with a home of its own.
pub struct Shell<'a> {
    pub home: &'a Home,
    pub kubeconfig: Option<PathBuf>,
}

impl Shell<'_> {
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_brow-tui"));
        command.env_clear().env("HOME", self.home.path()).env("PATH", std::env::var("PATH").unwrap());
        command.env("USER", "ann").env("TMPDIR", self.home.path()).stdin(Stdio::null()).current_dir(self.home.path());
        if let Some(path) = &self.kubeconfig {
            command.env("KUBECONFIG", path);
        }
        command.args(args);
        command
    }

    pub fn run(&self, args: &[&str]) -> Done {
        Done::from(self.command(args).output().unwrap())
    }

    /// Runs to success; standard output.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        let done = self.run(args);
        assert_eq!(done.code, 0, "{args:?}: {}", done.err);
        done.out
    }

    /// Runs until it succeeds: a list fails where an instance is slow to answer.
    #[track_caller]
    pub fn list(&self, args: &[&str]) -> String {
        let end = Instant::now() + TIMEOUT;
        loop {
            let done = self.run(args);
            if done.code == 0 {
                return done.out;
            }
            assert!(Instant::now() < end, "{args:?}: {}", done.err);
        }
    }

    pub fn spawn(&self, args: &[&str]) -> Running {
        let child = self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Running(child)
    }
}

/// The result of a run.
pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// A verb that goes on; killed with the test.
pub struct Running(pub Child);

impl Running {
    /// Its next line.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        let out = self.0.stdout.as_mut().unwrap();
        let mut byte = [0];
        while out.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
            line.push(byte[0]);
        }
        let line = String::from_utf8(line).unwrap();
        if line.is_empty() {
            let mut err = String::new();
            self.0.stderr.as_mut().unwrap().read_to_string(&mut err).unwrap();
            panic!("no line: {err}");
        }
        line
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.0.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    #[track_caller]
    pub fn end(mut self) -> (i32, String) {
        until_within(2 * TIMEOUT, "it ends", || self.0.try_wait().unwrap().is_some());
        let code = self.0.wait().unwrap().code().unwrap();
        let mut err = String::new();
        self.0.stderr.as_mut().unwrap().read_to_string(&mut err).unwrap();
        (code, err)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = (self.0.kill(), self.0.wait());
    }
}

/// A config with one target in the private network, on the context `story`.
pub const WEB: &str =
    "[[target]]\nname = \"web\"\ncluster = \"story\"\naddress = \"10.99.0.10:8080\"\ntags = [\"t\"]\n";

/// The address in a line that says that a forward is ready.
pub fn address(line: &str) -> String {
    line.split(" → ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned()
}

/// The directory of the sockets.
pub fn run_dir(home: &Home) -> PathBuf {
    home.path().join(".local/state/brow/run")
}

pub fn sockets(home: &Home) -> Vec<PathBuf> {
    let files = fs::read_dir(run_dir(home)).into_iter().flatten().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "sock")).collect()
}
