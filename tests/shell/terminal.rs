//! The terminal of a session: suspended, hung up, and a pane of its own.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::common::arrange::script;
use crate::common::kube::{kubeconfig, until};
use crate::common::{Home, Start};
use crate::{Pods, audit, pod, type_line};

/// A tmux that opens no pane: it runs what it is to run in one, in an environment of its own.
const TMUX: &str = "[ \"$1\" = split-window ] || exit 9\nshift 2\n\
                    env -i PATH=/usr/bin:/bin HOME=/nowhere \"$@\" </dev/null >\"$BROW_PANE\" 2>&1";

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn what_a_program_switched_is_there_again_after_a_suspension() {
    let (pods, home) = (Pods::new("susp", &[pod("one", &["main"])]), Home::new(""));
    let script = "printf '\\033[?1049h\\033[?1000;1006h\\033[?2004h\\033=full'; cat";
    let mut screen = pods.screen(&home, kubeconfig(), &["pod/one", "--", "sh", "-c", script]);
    screen.wait("the whole screen", |text| text.trim() == "full");
    // Nobody does job control here, so the program comes back at once.
    screen.press("~\x1a");
    let undone = "\x1b[?1000l\x1b[?1006l\x1b[?1049l\x1b[?2004l\x1b>";
    let again = "\x1b[?1000h\x1b[?1006h\x1b[?1049h\x1b[?2004h\x1b=";
    let raw = |screen: &crate::common::Screen| String::from_utf8_lossy(screen.raw()).into_owned();
    screen.wait_until("the terminal as it was", |screen| {
        let raw = raw(screen);
        raw.find(undone).is_some_and(|at| raw[at..].contains(again))
    });
    screen.press("more\r");
    screen.wait_for("more");
    screen.signal(Signal::HUP);
    assert_eq!(screen.wait_end().exit_code(), 129, "{}", screen.text());
    assert!(screen.given_back() && raw(&screen).matches(undone).count() == 2, "{:?}", raw(&screen));
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_terminal_that_does_not_wait_loses_nothing() {
    let (pods, home) = (Pods::new("eagain", &[pod("one", &["main"])]), Home::new(""));
    // Standard input, output and error are one open terminal: all of them do not wait then.
    let program = env!("CARGO_BIN_EXE_brow-tui");
    let text = format!("dd oflag=nonblock if=/dev/null status=none\nexec {program} \"$@\"");
    let wrapper = script(&home.path().join("wrapper"), &text);
    let start = Start::new(&home).kubeconfig(kubeconfig()).size(90, 30).program(wrapper).arg("shell");
    let start = pods.place().iter().map(String::as_str).fold(start, Start::arg);
    let script = "stty -echo; read line; yes 0123456789abcdef | head -n 200000; echo $line";
    let mut screen = ["pod/one", "--", "sh", "-c", script].into_iter().fold(start, Start::arg).run();
    screen.wait_for("leaves");
    screen.press("the last line\r");
    assert!(screen.wait_end().success(), "{}", screen.text());
    assert!(screen.given_back() && screen.text().contains("the last line"), "{}", screen.text());
    let raw = String::from_utf8_lossy(screen.raw());
    assert_eq!(raw.matches("0123456789abcdef\r\n").count(), 200_000);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_shell_that_ignores_the_hangup_holds_nobody() {
    let (pods, home) = (Pods::new("nohup", &[pod("one", &["main"])]), Home::new(""));
    let script = "trap '' HUP TERM INT; echo re''ady; while :; do sleep 1; done";
    let open = || {
        let mut screen = pods.screen(&home, kubeconfig(), &["pod/one", "--", "sh", "-c", script]);
        screen.wait_for("ready");
        screen
    };
    for (signal, code) in [(None, 0), (Some(Signal::HUP), 129), (Some(Signal::TERM), 143)] {
        let mut screen = open();
        match signal {
            Some(signal) => screen.signal(signal),
            None => screen.press("\r~."),
        }
        assert_eq!(screen.wait_end().exit_code(), code, "{signal:?} {}", screen.text());
        assert!(screen.given_back(), "{}", screen.text());
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_container_that_restarts_ends_the_session_and_takes_the_next() {
    let mut one = pod("one", &["main"]);
    one["spec"]["containers"][0]["command"] =
        serde_json::json!(["sh", "-c", "trap 'exit 1' TERM; while :; do sleep 0.2; done"]);
    let (pods, home) = (Pods::new("again", &[one]), Home::new(""));
    let mut screen = pods.screen(&home, kubeconfig(), &["pod/one"]);
    type_line(&mut screen, "kill 1");
    // The node tells what became of the shell, or that its container is gone.
    assert!([1, 137].contains(&screen.wait_end().exit_code()), "{}", screen.text());
    assert!(screen.given_back(), "{}", screen.text());
    until("a session in the new container", || {
        let output = pods.run(&home, &["pod/one", "--", "echo", "again"], b"");
        output.status.success() && output.stdout == b"again\n"
    });
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_pane_has_the_environment_of_the_dashboard() {
    let pods = Pods::new("pane", &[pod("one", &["main"])]);
    let namespace = &pods.namespace.0;
    let target = format!(
        "[shell]\nopen = \"pane\"\n\n[[target]]\nname = \"one\"\ncluster = \"brow-admin\"\nnamespace = \"{namespace}\"\n\
         workload = \"pod/one:80\"\n"
    );
    let home = Home::new(&target);
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    script(&bin.join("tmux"), TMUX);
    let said = home.path().join("pane");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut screen = Start::new(&home)
        .kubeconfig(kubeconfig())
        .env("PATH", &path)
        .env("TMUX", "/tmp/tmux,1,0")
        .env("BROW_PANE", said.to_str().unwrap())
        .run();
    screen.wait_for("pod/one:80");
    crate::common::story::choose(&mut screen, "one");
    screen.press("s");
    // In another environment it would neither find the cluster nor this home.
    let words = || std::fs::read_to_string(&said).unwrap_or_default();
    until("the session in the pane", || audit(&home).iter().any(|line| line["action"] == "close-shell"));
    assert!(!words().contains("could not be fetched"), "{}", words());
    screen.wait_for("opened in a new pane");
    crate::common::arrange::quit(screen);
}

#[test]
fn the_practice_clusters_shell_has_the_dashboards_terminal_meanwhile() {
    let home = Home::new("");
    let mut screen = Start::new(&home).arg("--practice").size(100, 40).run();
    screen.wait_for("hello-page");
    crate::common::story::choose(&mut screen, "hello-page");
    screen.press("\r");
    screen.wait("a forward", |text| text.contains("● live"));
    screen.press("s");
    screen
        .wait("the shell instead of the dashboard", |text| text.trim_end().ends_with('$') && !text.contains("Targets"));
    // The size travels beside what is typed.
    let wait_size = |screen: &mut crate::common::Screen, size: &str| {
        until(size, || {
            screen.press("stty size\r");
            screen.look(Duration::from_millis(100));
            screen.text().contains(size)
        });
    };
    wait_size(&mut screen, "40 100");
    screen.resize(90, 30);
    wait_size(&mut screen, "30 90");
    screen.press("env\r");
    screen.wait_for("TERM=xterm-256color");
    screen.press("exit 3\r");
    screen.wait_whole("the dashboard again");
    screen.wait("the end of the session", |text| text.contains("ended") && text.contains("exit code 3"));

    // A session that is killed restores nothing by itself.
    screen.press("s");
    screen.wait("the shell", |text| text.trim_end().ends_with('$') && !text.contains("Targets"));
    let session = Command::new("pgrep").args(["-P", &screen.pid().to_string()]).output().unwrap();
    let session = rustix::process::Pid::from_raw(crate::text(&session.stdout).trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(session, rustix::process::Signal::KILL).unwrap();
    screen.wait_whole("the dashboard again");
    screen.press("s");
    screen.wait("the shell", |text| text.trim_end().ends_with('$') && !text.contains("Targets"));
    // With the dashboard its session ends.
    screen.signal(rustix::process::Signal::TERM);
    screen.wait_end();
    assert!(screen.given_back(), "{}", screen.text());
}
