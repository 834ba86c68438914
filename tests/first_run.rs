//! The first run: what somebody sees who has neither a config nor targets, at 80×24, in both languages.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;

#[path = "first_run/check.rs"]
mod check;
#[path = "first_run/looks.rs"]
mod looks;

use std::path::PathBuf;

use common::arrange::{Answer, FakeApi, Kubeconfig, quit, says, status, wait_says};
use common::kube::{Namespace, kubeconfig, until};
use common::through::get;
use common::{Home, Start};
use serde_json::json;

const LANGUAGES: [&str; 2] = ["en_US.UTF-8", "zh_CN.UTF-8"];

/// A review that is answered with yes.
fn allowed() -> Answer {
    (
        201,
        json!({ "kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {},
        "spec": {}, "status": { "allowed": true } }),
    )
}

/// A kubeconfig with a context for each API; the first is the current one.
fn contexts(home: &Home, apis: &[(&str, &FakeApi)]) -> PathBuf {
    let mut all = Kubeconfig::empty().user("ann", json!({ "token": "t" }));
    for (name, api) in apis {
        all = all.cluster(name, &json!({ "server": api.url })).context(name, name, "ann", "team");
    }
    let path = all.write(&home.path().join("kc"));
    let text = std::fs::read_to_string(&path).unwrap();
    let current = format!("{{\"current-context\":\"{}\",", apis[0].0);
    std::fs::write(&path, text.replacen('{', &current, 1)).unwrap();
    path
}

#[test]
fn without_a_kubeconfig_it_points_to_practice() {
    for (language, words) in LANGUAGES.into_iter().zip([
        ["Welcome", "No kubeconfig at", "Put one there", "brow-tui --practice"],
        ["欢迎", "没有 kubeconfig", "放", "brow-tui --practice"],
    ]) {
        let home = Home::new("");
        let mut screen = Start::new(&home).env("LC_ALL", language).run();
        let shown = wait_says(&mut screen, &words);
        assert!(!shown.contains("10.0.0.1"), "nothing is offered that cannot be done:\n{shown}");
        screen.wait_whole("whole frames");
        quit(screen);
        assert!(!home.config().exists(), "looking writes nothing");
    }
}

#[test]
fn rights_are_asked_of_the_current_context_and_of_those_that_are_chosen() {
    for (language, yes) in LANGUAGES.into_iter().zip(["✓ yes", "✓ 可以"]) {
        let home = Home::new("");
        let api = || FakeApi::new(|_, path| path.contains("selfsubjectaccessreviews").then(allowed));
        let (current, other, never) = (api(), api(), api());
        let kubeconfig = contexts(&home, &[("aa", &current), ("bb", &other), ("cc", &never)]);
        let mut screen = Start::new(&home).kubeconfig(kubeconfig).env("LC_ALL", language).run();
        let row = |text: &str, name: &str| text.lines().find(|line| line.contains(name)).map(str::to_owned);
        let may = |text: &str, name: &str| row(text, name).is_some_and(|line| line.matches(yes).count() == 3);
        let shown = screen.wait("the current context's rights", |text| may(text, "aa *"));
        assert!(!may(&shown, "bb") && other.asked.lock().unwrap().is_empty());
        screen.press("j\r");
        screen.wait("the chosen one's", |text| may(text, "bb "));
        assert_eq!(never.asked.lock().unwrap().len(), 0, "nobody chose it");
        screen.wait_whole("whole frames");
        quit(screen);
    }
}

#[test]
fn what_the_server_does_not_say_is_not_made_up() {
    let home = Home::new("");
    let refuses = |_: &str, path: &str| {
        path.contains("selfsubjectaccessreviews").then(|| status(500, "InternalError", "etcd is out of order"))
    };
    let api = FakeApi::new(refuses);
    let mut screen = Start::new(&home).kubeconfig(contexts(&home, &[("aa", &api)])).run();
    let shown = wait_says(&mut screen, &["etcd is out of order", "? unknown"]);
    assert!(!shown.contains("✓ yes") && !shown.contains("✗ no"), "{shown}");
    quit(screen);
}

/// From nothing to bytes: the first target is typed in, and connected with the key that is named.
#[test]
fn the_first_target_is_typed_and_connected() {
    let Some(admins) = kubeconfig("the_first_target_is_typed_and_connected") else { return };
    for (language, [welcome, yes, all, live]) in LANGUAGES.into_iter().zip([
        ["Welcome", "✓ yes", "all that is needed is allowed", "● live"],
        ["欢迎", "✓ 可以", "需要的权限都有", "● 在用"],
    ]) {
        let namespace = Namespace::new("first");
        let home = Home::new("");
        let mut screen = Start::new(&home).kubeconfig(namespace.kubeconfig(&home)).env("LC_ALL", language).run();
        screen.wait("what one may do", |text| text.matches(yes).count() == 3 && says(text, all));
        screen.press("n");
        screen.press("web\t\t\t10.99.0.10:8080\r");
        screen.wait_gone(welcome);
        until("it is saved", || home.read_config().contains("10.99.0.10:8080"));
        screen.press("\r");
        let address = |text: &str| {
            let line = text.lines().find(|line| line.contains("→ web") && line.contains(live))?;
            line.split_whitespace().find(|word| word.starts_with("127.0.0.1:")).map(str::to_owned)
        };
        let shown = screen.wait("a live forward", |text| address(text).is_some());
        assert_eq!(get(&address(&shown).unwrap(), "/index.html").unwrap(), b"hello from the vpc\n");
        screen.press("\x03\x03");
        assert!(screen.wait_end().success());
    }
    assert!(admins.exists());
}

#[test]
fn somebody_who_may_only_look_is_told_so() {
    let Some(kubeconfig) = kubeconfig("somebody_who_may_only_look_is_told_so") else { return };
    let home = Home::new("");
    let mut screen = Start::new(&home).kubeconfig(kubeconfig).run();
    screen.wait_for("brow-viewer");
    screen.press("jj\r");
    screen.wait("the rights", |text| {
        text.lines().any(|line| line.contains("brow-viewer") && line.matches("✗ no").count() == 2)
            && says(text, "no right to create pods/portforward in namespace brow-dev")
    });
    // Other contexts were neither connected nor asked.
    for name in ["brow-developer", "brow-badtoken"] {
        assert!(screen.line(name).unwrap().contains("○ idle"), "{}", screen.text());
    }
    screen.press("\x1b");
    screen.wait_gone("Welcome");
    quit(screen);
}

/// The next key stands on a frame until it was used, across runs, and not at all where that is not wished for.
#[test]
fn the_next_key_is_taught_until_it_was_used() {
    for (language, [add, connect, help]) in LANGUAGES.into_iter().zip([
        ["n adds a target", "Enter connects the chosen target", "? shows all keys"],
        ["n 添加目标", "Enter 把所选的目标", "? 显示当前位置"],
    ]) {
        let home = Home::new("");
        let start = || Start::new(&home).kubeconfig(home.kubeconfig(&["dev"])).env("LC_ALL", language);
        let mut screen = start().run();
        wait_says(&mut screen, &["dev *"]);
        screen.press("\x1b[27u");
        screen.wait_for(add);
        screen.press("nweb\t\t\t10.0.0.1:80\r");
        screen.wait_for(connect);
        screen.press("3");
        let elsewhere = format!("2 {connect}");
        screen.wait_for(&elsewhere);
        screen.wait_whole("it stands on a frame");
        screen.press("2\r");
        screen.wait_gone(connect);
        screen.press("\x03\x03");
        assert!(screen.wait_end().success());

        // Remembered: no forward is open, and connecting is not taught again.
        let mut screen = start().run();
        screen.wait_for("10.0.0.1:80");
        screen.wait_for(help);
        assert!(!screen.text().contains(connect), "{}", screen.text());
        home.write_config(&format!("tips = false\n{}", home.read_config()));
        screen.wait_gone(help);
        quit(screen);
    }
}
