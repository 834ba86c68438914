//! The terminal goes away, however it does: the program ends in order, and nothing stays behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::kube::{Namespace, until};
use crate::common::{Home, Start};
use crate::{CONFIG, CONTEXTS};

/// The parent of the program in the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parent {
    /// Nobody: it is the terminal's only process, and the kernel hangs up on it.
    Terminal,
    /// A shell that ignores the hang-up, so that nobody tells the program; the shell writes down its exit code.
    DeafShell,
}

/// The command line of the program under such a parent; the exit code goes to `code`.
fn command(parent: Parent, code: &Path, args: &[&str]) -> Vec<String> {
    let mut command = match parent {
        Parent::Terminal => Vec::new(),
        Parent::DeafShell => {
            let script = "trap '' HUP; \"$@\"; echo $? >\"$0.new\"; mv \"$0.new\" \"$0\"";
            vec!["sh".to_owned(), "-c".to_owned(), script.to_owned(), code.display().to_string()]
        }
    };
    command.push(env!("CARGO_BIN_EXE_brow-tui").to_owned());
    command.extend(args.iter().map(|arg| (*arg).to_owned()));
    command
}

/// A tmux server of a test's own.
struct Tmux<'a> {
    home: &'a Home,
    kubeconfig: PathBuf,
}

impl Tmux<'_> {
    fn run(&self, args: &[&str]) -> String {
        let mut tmux = Command::new("tmux");
        tmux.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        let home = self.home.path();
        tmux.env("HOME", home).env("TMPDIR", home).env("KUBECONFIG", &self.kubeconfig);
        tmux.envs([("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("USER", "ann")]);
        let output = tmux.arg("-S").arg(home.join("tmux")).args(["-u", "-f", "/dev/null"]).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Starts a program in a session of its own.
    fn start(&self, command: &[String]) {
        let mut args = vec!["new-session", "-d", "-s", "pane", "-x", "120", "-y", "40"];
        args.extend(command.iter().map(String::as_str));
        self.run(&args);
    }

    #[track_caller]
    fn wait_for(&self, needle: &str) {
        until(needle, || self.run(&["capture-pane", "-p", "-t", "pane"]).contains(needle));
    }

    fn press(&self, key: &str) {
        self.run(&["send-keys", "-t", "pane", key]);
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        self.run(&["kill-server"]);
    }
}

/// The files below a directory of the program's state.
fn files(home: &Path, dir: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(home.join(".local/state/brow").join(dir)).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Waits until the program has ended, and looks at what it left.
#[track_caller]
fn ended_in_order(home: &Path, code: Option<&Path>, audited: &str, how: &str) {
    until(&format!("the end, its socket gone ({how})"), || {
        files(home, "run").iter().all(|path| path.extension().is_none_or(|extension| extension != "sock"))
    });
    let audit = || -> String { files(home, "audit").iter().map(|path| fs::read_to_string(path).unwrap()).collect() };
    until(&format!("{audited} in the audit log ({how})"), || audit().contains(audited));
    if let Some(code) = code {
        until(&format!("an exit code ({how})"), || code.exists());
        assert_eq!(fs::read_to_string(code).unwrap().trim(), "0", "{how}");
    }
}

/// The three ways in which tmux takes a terminal away.
const WAYS: [&[&str]; 3] = [&["kill-session", "-t", "pane"], &["kill-pane", "-t", "pane"], &["kill-server"]];

#[test]
fn a_pane_that_is_closed_ends_the_program_in_order() {
    for parent in [Parent::Terminal, Parent::DeafShell] {
        for way in WAYS {
            let home = Home::new(&CONFIG.replace("local_port = 3306\n", ""));
            let tmux = Tmux { kubeconfig: home.kubeconfig(CONTEXTS), home: &home };
            let code = home.path().join("code");
            tmux.start(&command(parent, &code, &[]));
            tmux.wait_for("mysql-dev");
            tmux.press("f");
            tmux.wait_for("127.0.0.1:");
            tmux.run(way);
            let code = Some(code.as_path()).filter(|_| parent == Parent::DeafShell);
            ended_in_order(home.path(), code, "close-forward", &format!("{parent:?}, {way:?}"));
        }
    }
}

#[test]
fn a_practice_that_is_closed_leaves_nothing() {
    for parent in [Parent::Terminal, Parent::DeafShell] {
        let home = Home::new("");
        let tmux = Tmux { kubeconfig: home.path().join("none"), home: &home };
        let left = || {
            let entries = fs::read_dir(home.path()).unwrap().flatten();
            entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("brow-practice-")).count()
        };
        let code = home.path().join("code");
        tmux.start(&command(parent, &code, &["--practice"]));
        tmux.wait_for("practice-team");
        assert_eq!(left(), 1);
        tmux.run(&["kill-session", "-t", "pane"]);
        until(&format!("nothing is left ({parent:?})"), || left() == 0);
        if parent == Parent::DeafShell {
            until("an exit code", || code.exists());
            assert_eq!(fs::read_to_string(code).unwrap().trim(), "0");
        }
    }
}

/// A process that has the program in a bare pseudo-terminal, and is simply gone.
#[test]
fn a_bare_terminal_that_is_dropped_ends_the_program_in_order() {
    let set = |name| std::env::var(name).ok();
    if let (Some(home), Some(parent)) = (set("BROW_TEST_WINDOW"), set("BROW_TEST_PARENT")) {
        let parent = if parent == "Terminal" { Parent::Terminal } else { Parent::DeafShell };
        let command = command(parent, &Path::new(&home).join("code"), &[]);
        let own = Home::new("");
        let mut start = Start::new(&own).program(&command[0]).kubeconfig(Path::new(&home).join("kubeconfig"));
        for arg in &command[1..] {
            start = start.arg(arg);
        }
        let mut screen = start.env("HOME", &home).run();
        screen.wait_for("mysql-dev");
        screen.press("f");
        screen.wait_for("127.0.0.1:");
        drop(own);
        // No destructor runs: the window is simply gone.
        std::process::abort();
    }
    for parent in [Parent::Terminal, Parent::DeafShell] {
        let home = Home::new(&CONFIG.replace("local_port = 3306\n", ""));
        home.kubeconfig(CONTEXTS);
        let mut window = Command::new(std::env::current_exe().unwrap());
        window.args(["--exact", "gone::a_bare_terminal_that_is_dropped_ends_the_program_in_order"]);
        window.env("BROW_TEST_WINDOW", home.path()).env("BROW_TEST_PARENT", format!("{parent:?}"));
        let output = window.output().unwrap();
        let says = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && !says.contains("panicked"), "the window was closed: {says}");
        let code = home.path().join("code");
        let code = Some(code.as_path()).filter(|_| parent == Parent::DeafShell);
        ended_in_order(home.path(), code, "close-forward", &format!("{parent:?}"));
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_pane_that_is_closed_takes_its_pods_along_where_that_is_set() {
    for parent in [Parent::Terminal, Parent::DeafShell] {
        let config =
            "on_quit = \"delete\"\n[[target]]\nname = \"inner\"\ncluster = \"story\"\naddress = \"10.99.0.10:8080\"\n";
        let (home, space) = (Home::new(config), Namespace::new("closed"));
        let tmux = Tmux { kubeconfig: space.kubeconfig(&home), home: &home };
        let code = home.path().join("code");
        tmux.start(&command(parent, &code, &[]));
        tmux.wait_for("inner");
        tmux.press("f");
        until("its pod", || space.pods().len() == 1);
        tmux.wait_for("127.0.0.1:");
        tmux.run(&["kill-session", "-t", "pane"]);
        let code = Some(code.as_path()).filter(|_| parent == Parent::DeafShell);
        ended_in_order(home.path(), code, "delete-pod", &format!("{parent:?}"));
        assert_eq!(space.pods(), Vec::<String>::new(), "{parent:?}");
    }
}
