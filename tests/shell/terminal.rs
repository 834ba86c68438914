//! The terminal of a session: suspended, hung up, and a pane of its own.

use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;

use crate::common::kube::{kubeconfig, until};
use crate::common::{Home, Start};
use crate::{Pods, audit, pod, type_line};

/// A tmux that opens no pane: it runs what it is to run in one, in an environment of its own.
const TMUX: &str = "#!/bin/sh\n[ \"$1\" = split-window ] || exit 9\nshift 2\n\
                    env -i PATH=/usr/bin:/bin HOME=/nowhere \"$@\" </dev/null >\"$BROW_PANE\" 2>&1\n";

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
    std::fs::write(bin.join("tmux"), TMUX).unwrap();
    std::fs::set_permissions(bin.join("tmux"), std::fs::Permissions::from_mode(0o755)).unwrap();
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
    assert!(!words().contains("cannot be fetched"), "{}", words());
    screen.wait_for("opened in a new pane");
    crate::common::arrange::quit(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_paste_in_pieces_is_not_obeyed() {
    let (pods, home) = (Pods::new("pieces", &[pod("one", &["main"])]), Home::new(""));
    let mut screen = pods.screen(&home, kubeconfig(), &["pod/one"]);
    type_line(&mut screen, "echo re''ady; cat >/dev/null; echo $((6*7))");
    screen.wait_for("ready");
    screen.press(&"a first long piece of a paste\n".repeat(10));
    screen.press("~.\n");
    screen.press("\x04");
    screen.wait_for("42");
    screen.press("\r~.");
    assert!(screen.wait_end().success(), "{}", screen.text());
}
