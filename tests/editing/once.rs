//! A target that is connected once from the form, and the log, searched and copied.

use super::common::arrange::clipboard;
use super::common::kube::until;
use super::common::{Home, Start};
use super::{CONFIG, dashboard, quit};

#[test]
fn a_form_is_connected_without_saving_it() {
    let home = Home::new(CONFIG);
    let mut screen = dashboard(&home, 120, 30);
    screen.press("n");
    screen.wait_for("connect once");
    // A part of the context's name finds it.
    screen.press("\t\x15ag");
    screen.wait("the context like it", |text| {
        text.lines().skip_while(|line| !line.contains("Cluster     ag ")).take(2).any(|line| line.contains("  stage "))
    });
    screen.press("\t");
    screen.wait_for("stage");
    screen.press("\t10.0.0.9:6379\x12");
    screen.wait_gone("New target");
    let shown = screen.wait_for("not saved");
    assert!(shown.contains("10.0.0.9:6379"), "{shown}");
    assert_eq!(home.read_config(), CONFIG);
    // An edit saves it.
    screen.press("e");
    screen.wait_for("Edit 10.0.0.9:6379");
    screen.press("\x15cache\r");
    until("it is saved", || home.read_config().contains("name = \"cache\"\ncluster = \"stage\""));
    screen.wait_gone("not saved");
    // A forward is open: it is asked.
    screen.press("q");
    screen.wait_for("Quit?");
    screen.press("y");
    assert!(screen.wait_end().success());
}

#[test]
fn the_log_is_searched_as_it_is_read_and_copied_by_entry() {
    let home = Home::new(CONFIG);
    let mut screen = Start::new(&home).kubeconfig(home.kubeconfig(&["dev", "stage"])).size(120, 30).run();
    screen.wait_for("redis");
    // Three entries: two undo nothing, one that is about something else between them.
    screen.press("u");
    screen.wait_for("Nothing to undo");
    screen.press("C");
    screen.wait_for("Nothing to clean up");
    screen.press("uL/to undo");
    screen.wait("the entries that are found", |text| text.matches("Nothing to undo").count() >= 2);
    screen.press("\r");
    screen.wait_gone("Nothing to clean up");
    screen.press("k");
    screen.wait_for("1 more ↓");
    screen.press("y");
    screen.wait_for("Copied: 1 entry of the log");
    assert_eq!(clipboard(screen.raw()).unwrap(), "Nothing to undo\n");
    screen.press("jY");
    screen.wait_for("Copied: 2 entries of the log");
    assert_eq!(clipboard(screen.raw()).unwrap().lines().count(), 2);
    screen.press("L");
    quit(&mut screen);
}
