//! Starts sessions from the dashboard: this program once more, by arguments that no shell reads.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::environment;
use crate::cluster::descriptors::with_inherited;
use brow_model::shell::ShellPlace;

/// The way in which sessions are started.
#[derive(Debug, Clone, Default)]
pub struct Launcher {
    pub program: PathBuf,
    /// The options before the command: config, kubeconfig.
    pub options: Vec<OsString>,
    /// Variables that differ from ours.
    pub env: Vec<(String, OsString)>,
    /// The command that opens a new pane, if we are in a program that has them.
    pub pane: Option<Vec<&'static str>>,
}

impl Launcher {
    /// Returns the command that opens a pane of tmux or zellij, if we run in one.
    pub fn pane_of(is_set: impl Fn(&str) -> bool) -> Option<Vec<&'static str>> {
        if is_set("ZELLIJ") {
            return Some(vec!["zellij", "action", "new-pane", "--close-on-exit", "--"]);
        }
        is_set("TMUX").then(|| vec!["tmux", "split-window", "--"])
    }

    fn arguments(&self, place: &ShellPlace) -> Vec<OsString> {
        let ShellPlace { cluster, namespace, thing, on_node, copies } = place;
        let verb = if *copies { "cp" } else { "shell" };
        let mut own = vec![verb.to_owned(), "--wait".into(), format!("--context={cluster}")];
        // A node has none: its pod's is the config's.
        own.extend((!namespace.is_empty()).then(|| format!("--namespace={namespace}")));
        own.extend(on_node.then(|| "--node".to_owned()));
        own.extend(copies.then(|| "--ask".to_owned()));
        own.push(thing.clone());
        self.options.iter().cloned().chain(own.into_iter().map(OsString::from)).collect()
    }

    /// Starts a session in this terminal.
    ///
    /// # Errors
    /// Where the program cannot be started.
    pub fn here(&self, place: &ShellPlace) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(self.arguments(place)).envs(self.env.iter().cloned()).kill_on_drop(true);
        with_inherited(|| command.spawn())
    }

    /// Starts a session in a new pane, by arguments that no shell reads. It has our environment, as far as that is not
    /// the pane's own. To be called inside a runtime.
    ///
    /// # Errors
    /// Where the program that makes the pane cannot be started.
    pub fn pane(&self, pane: &[&'static str], place: &ShellPlace) -> io::Result<Child> {
        let ours = std::env::vars_os().chain(self.env.iter().map(|(name, value)| (name.into(), value.clone())));
        let environment = environment::offer(ours)?;
        let (first, rest) = (pane.first().copied().unwrap_or_default(), pane.get(1..).unwrap_or_default());
        let mut command = Command::new(first);
        command.args(rest).arg(&self.program).args(self.arguments(place)).arg("--environment").arg(environment);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        with_inherited(|| command.spawn())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_row_says_is_one_argument_each() {
        let launcher = Launcher { options: vec!["--config".into(), "/c".into()], ..Launcher::default() };
        let thing = "pod/web-0".to_owned();
        let place =
            ShellPlace { cluster: "--yes; rm".into(), namespace: "-x".into(), thing, on_node: false, copies: false };
        let wanted = ["--config", "/c", "shell", "--wait", "--context=--yes; rm", "--namespace=-x", "pod/web-0"];
        assert_eq!(launcher.arguments(&place), wanted.map(OsString::from));
        let node = ShellPlace { namespace: String::new(), on_node: true, ..place };
        let wanted = ["--config", "/c", "shell", "--wait", "--context=--yes; rm", "--node", "pod/web-0"];
        assert_eq!(launcher.arguments(&node), wanted.map(OsString::from));
        let copy = ShellPlace { on_node: false, copies: true, ..node };
        let wanted = ["--config", "/c", "cp", "--wait", "--context=--yes; rm", "--ask", "pod/web-0"];
        assert_eq!(launcher.arguments(&copy), wanted.map(OsString::from));
    }

    #[test]
    fn a_pane_is_opened_by_the_program_that_we_run_in() {
        let pane = |set: &'static [&str]| Launcher::pane_of(|name| set.contains(&name)).map(|pane| pane[0]);
        assert_eq!(pane(&["TMUX"]), Some("tmux"));
        assert_eq!(pane(&["ZELLIJ", "TMUX"]), Some("zellij"));
        assert_eq!(pane(&["TERM"]), None);
    }
}
