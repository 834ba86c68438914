//! The same from the keyboard: the terminal is lent to the editor and taken back, and a dialog asks.

use std::path::PathBuf;

use tempfile::TempDir;

use super::common::arrange::{self, quit, script, wait_says};
use super::common::kube::{kubectl, until};
use super::common::{Home, Screen, Start};
use super::lamps::{Lamps, Plans, audit, kept};

/// An editor that shows itself, waits for a key, and makes that change.
fn editor(home: &Home, change: &str) -> PathBuf {
    // It leaves the terminal as badly as it can.
    let text = format!(
        "printf 'editing %s\\r\\n' \"$1\"\nstty -echo raw\ndd bs=1 count=1 2>/dev/null >/dev/null\n\
         printf '\\033[?1049h\\033[?25l'\nsed -i '{change}' \"$1\"\n"
    );
    script(&home.path().join("editor"), &text)
}

/// The dashboard over the lamps.
fn open(home: &Home, lamps: &Lamps, kubeconfig: PathBuf, editor: &str) -> Screen {
    let mut screen = Start::new(home).kubeconfig(kubeconfig).size(120, 40).env("EDITOR", editor).run();
    screen.wait("the contexts", |text| text.contains("brow-edit") || text.contains("story"));
    screen.press("1");
    screen.wait("a row", |text| text.contains("● ready") || text.contains("○"));
    if !screen.text().contains("● ready") {
        screen.press("\r");
    }
    screen.wait_for("● ready");
    screen.press("K");
    screen.wait_for("─ Kinds of ");
    screen.wait_for("ConfigMap");
    list(&mut screen, &lamps.group);
    screen
}

/// Opens the table of the kind that a filter leaves first.
fn list(screen: &mut Screen, kind: &str) {
    screen.press(kind);
    screen.wait("the kind first", |text| text.lines().any(|line| line.contains('▌') && line.contains(kind)));
    screen.press("\r");
    screen.wait("its objects", |text| !text.contains("─ Kinds of "));
}

#[track_caller]
fn leave(mut screen: Screen) {
    screen.press("\x1b[27u\x1b[27u\x1b[27u\x1b[27u");
    screen.wait("no browser", |text| !text.contains("─ Kinds of ") && !text.contains("─ Lamp of"));
    quit(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_row_is_edited_created_and_deleted_from_the_keyboard() {
    let (home, lamps) = (Home::new("[cluster.brow-edit]\nproduction = true\n"), Lamps::new("editkeys"));
    lamps.add("beacon", "{ color: red }");
    let path = editor(&home, "s/color: red/color: green/");
    let mut screen = open(&home, &lamps, lamps.kubeconfig(&home), path.to_str().unwrap());
    screen.wait_for("beacon");
    screen.press("\x0f");
    screen.wait_for("editing ");
    screen.press("x");
    let shown = wait_says(&mut screen, &["Edit lamp/beacon", "-   color: red", "+   color: green", "production"]);
    assert!(shown.contains("▸Leave") && shown.contains("spec.color (helm)"), "{shown}");
    assert_eq!(lamps.get("beacon", "{.spec.color}"), "red", "nothing is changed before the answer");
    screen.press("y");
    until("it is green", || lamps.get("beacon", "{.spec.color}") == "green");
    screen.wait_gone("─ Edit lamp/beacon");
    assert!(kept(&home).is_empty());
    // A new one, which is left and kept.
    screen.press("\x0e");
    screen.wait_for("editing ");
    screen.press("x");
    wait_says(&mut screen, &["nothing changed"]);
    // An editor that changes nothing; then one that is deleted.
    screen.press("\x1b[3;5~");
    wait_says(&mut screen, &["Delete Lamp beacon?", "brow-edit", "production"]);
    screen.press("y");
    until("it is gone", || {
        kubectl(&["-n", lamps.space(), "get", &format!("lamps.{}", lamps.group), "-o", "name"]).is_empty()
    });
    until("both are in the audit log", || {
        let audit = audit(&home);
        audit.contains("edit-object") && audit.contains("delete-object")
    });
    // On its page, by the same key as well.
    lamps.add("lantern", "{ color: red }");
    screen.wait("it, and it alone", |text| text.contains("lantern") && !text.contains("beacon"));
    screen.press("\r");
    screen.wait_for("1 Summary");
    screen.wait("its labels", |text| text.lines().any(|line| line.contains("age")));
    for key in ["D", "\x1b[3;5~"] {
        screen.press(key);
        wait_says(&mut screen, &["Delete Lamp lantern?", "brow-edit", "production"]);
        screen.press("n");
        screen.wait_gone("Delete Lamp");
    }
    screen.press("D");
    wait_says(&mut screen, &["Delete Lamp lantern?"]);
    screen.press("y");
    wait_says(&mut screen, &["This object was deleted."]);
    until("both deletions are in the audit log", || audit(&home).matches("delete-object").count() == 2);
    screen.press("\x1b[27u");
    screen.wait_gone("1 Summary");
    leave(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_missing_right_is_named_with_its_role_and_the_text_is_kept() {
    let (home, lamps) = (Home::new(""), Lamps::new("editrights"));
    lamps.add("beacon", "{ color: red }");
    let kubeconfig = lamps.person(&home);
    let path = editor(&home, "s/color: red/color: green/");
    let mut screen = open(&home, &lamps, kubeconfig, path.to_str().unwrap());
    screen.wait_for("beacon");
    screen.press("\x0f");
    screen.wait_for("editing ");
    screen.press("x");
    let words = ["no right to patch lamps", "kind: Role", "verbs: [\"patch\"]", "Your text is kept"];
    let shown = wait_says(&mut screen, &words);
    assert!(shown.contains("▸Edit again"), "{shown}");
    // The editor opens again with the text, and the reason above it.
    screen.press("\r");
    screen.wait_for("editing ");
    let text = std::fs::read_to_string(&kept(&home)[0]).unwrap();
    assert!(text.starts_with("#: ") && text.contains("no right to patch") && text.contains("color: green"), "{text}");
    screen.press("x");
    wait_says(&mut screen, &words);
    screen.press("n");
    wait_says(&mut screen, &["your text:"]);
    assert_eq!((kept(&home).len(), lamps.get("beacon", "{.spec.color}").as_str()), (1, "red"));
    leave(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_plan_says_on_how_many_nodes_it_runs() {
    let (home, lamps) = (Home::new(""), Lamps::new("editplan"));
    let path = editor(&home, "s/concurrency: 1/concurrency: 2/");
    let plan = "{ concurrency: 1, cordon: true, nodeSelector: { matchExpressions: [{ key: kubernetes.io/os, operator: Exists }] } }";
    let _kind = Plans::new();
    Plans::add(lamps.space(), plan);
    let nodes = kubectl(&["get", "nodes", "-o", "name"]).lines().count();
    let mut screen = open(&home, &lamps, lamps.kubeconfig(&home), path.to_str().unwrap());
    screen.press("\x1b[27u");
    screen.wait_for("─ Kinds of ");
    screen.press("\x15");
    list(&mut screen, "plans.upgrade");
    let shown = screen.wait("its nodes", |text| text.contains(&format!("0/{nodes}")));
    assert!(shown.contains("NODES"), "{shown}");
    screen.press(&format!("{}\x0f", lamps.space()));
    screen.wait_for("editing ");
    screen.press("x");
    let count = if nodes == 1 { "1 node.".to_owned() } else { format!("{nodes} nodes.") };
    wait_says(&mut screen, &["runs again on", &count, "2 at a time", "cordoned meanwhile"]);
    screen.press("n");
    screen.wait_gone("runs again on");
    screen.press("\x1b[27u\x1b[27u\x1b[27u\x1b[27u");
    screen.wait_gone("─ Kinds of ");
    quit(screen);
}

#[test]
fn an_editor_that_fails_or_does_not_exist_gives_the_screen_back() {
    for (editor, says) in
        [("/no/such/editor", "No such file"), ("false", "exit status: 1"), ("'x", "a quote has no end")]
    {
        let (home, temp) = (Home::new(""), TempDir::new().unwrap());
        let mut screen = practice(&home, &temp, editor);
        screen.press("\x0f");
        wait_says(&mut screen, &["Edit plan/server", says, "Your text is kept"]);
        screen.press("n");
        screen.wait_gone("─ Edit plan/server");
        end(screen);
    }
}

#[test]
fn practice_has_a_plan_to_edit() {
    let (home, temp) = (Home::new(""), TempDir::new().unwrap());
    let path = editor(&home, "s/v1.35.0+k3s1/v1.36.0+k3s1/");
    let mut screen = practice(&home, &temp, path.to_str().unwrap());
    screen.wait_for("1/1");
    screen.press("\x0f");
    screen.wait_for("editing ");
    screen.press("x");
    wait_says(&mut screen, &["runs again on 1 node", "+   version: v1.36.0+k3s1"]);
    screen.press("y");
    screen.wait_gone("─ Edit plan/server");
    // Its page has it, too.
    screen.press("\r");
    screen.wait_for("4 YAML");
    screen.press("4");
    screen.wait_for("version: v1.36.0+k3s1");
    screen.press("D");
    wait_says(&mut screen, &["Delete Plan server?"]);
    screen.press("n");
    screen.wait_gone("Delete Plan");
    screen.press("\x1b[27u");
    screen.wait_gone("version: v1.36.0+k3s1");
    // What Kubernetes itself brings is not edited, and the key says so.
    screen.press("\x1b[27u");
    screen.wait_for("─ Kinds of ");
    screen.press("\x15");
    list(&mut screen, "configmaps");
    screen.wait_for("web-settings");
    screen.press("\x0f");
    wait_says(&mut screen, &["it is shown, not edited"]);
    end(screen);
}

/// The practice cluster's plans.
fn practice(home: &Home, temp: &TempDir, editor: &str) -> Screen {
    let mut screen = arrange::practice(Start::new(home).size(100, 30).env("EDITOR", editor), temp);
    screen.press("K");
    screen.wait_for("─ Kinds of ");
    screen.wait_for("ConfigMap");
    list(&mut screen, "plans.upgrade");
    // Not "server", which the details have, too.
    screen.wait_for("kube-system");
    screen
}

#[track_caller]
fn end(mut screen: Screen) {
    screen.press("\x1b[27u\x1b[27u\x1b[27u\x1b[27u");
    screen.wait("no dialog", |text| !text.contains("─ Kinds of ") && !text.contains("of practice: "));
    quit(screen);
}
