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

/// The welcome at other sizes, while it is up, without colors and without UTF-8, and with keys that mean nothing there.
#[test]
fn the_welcome_fits_any_screen() {
    for (language, [welcome, add]) in LANGUAGES.into_iter().zip([["Welcome", "n    enter a"], ["欢迎", "n    输入"]])
    {
        let home = Home::new("");
        let kubeconfig = home.kubeconfig(&["gke_shop_production", "gke_shop_staging"]);
        let mut screen = Start::new(&home).kubeconfig(kubeconfig).env("LC_ALL", language).run();
        screen.wait_for(welcome);
        wait_says(&mut screen, &["kubectl --context gke_shop_production"]);
        screen.wait_whole(welcome);
        for (columns, rows) in [(40, 10), (200, 50), (12, 3), (30, 8), (80, 24)] {
            screen.resize(columns, rows);
            if columns >= 30 {
                screen.wait_whole(&format!("{columns}×{rows}"));
            }
            if columns >= 40 {
                let text = screen.wait_for(add);
                // Names that begin alike are told apart.
                assert!(text.contains("uction") && text.contains("ging"), "{text}");
            }
        }
        wait_says(&mut screen, &["kubectl --context gke_shop_production"]);
        // Keys of targets and pods have nothing to work on; no dialog opens and nothing is written.
        screen.press("ceftXRy");
        screen.press("?");
        screen.wait("the keys of the contexts come first", |text| {
            text.contains("│ Clusters ") || text.contains("│ 集群 ")
        });
        screen.press("\x1b[27u");
        screen.wait("as it was", |text| text.contains(add) && text.contains(welcome));
        screen.wait_whole("as it was");
        quit(screen);
        assert!(!home.config().exists());
    }
    let home = Home::new("");
    let start = Start::new(&home).kubeconfig(home.kubeconfig(&["dev"])).env("LANG", "C").env("TERM", "dumb");
    let mut screen = start.run();
    screen.wait_for("n    enter a");
    let plain = |cell: &vt100::Cell| (cell.fgcolor(), cell.bgcolor()) == (vt100::Color::Default, vt100::Color::Default);
    screen.wait_cells("no colors", |cells| (0..80).all(|x| (0..24).all(|y| cells.cell(y, x).is_some_and(plain))));
    quit(screen);
}

/// A kubeconfig that cannot be used: what is wrong, nothing that cannot be done, and on as soon as it is mended.
#[test]
fn a_broken_kubeconfig_is_told_and_read_again() {
    for (language, [broken, yes]) in LANGUAGES.into_iter().zip([["cannot be used", "Welcome"], ["无法使用", "欢迎"]])
    {
        let home = Home::new("");
        let path = home.kubeconfig(&["dev"]);
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, "contexts: [").unwrap();
        let mut screen = Start::new(&home).kubeconfig(&path).env("LC_ALL", language).run();
        let shown = wait_says(&mut screen, &[broken, "Ctrl-R", "brow-tui --practice"]);
        assert!(!shown.contains("10.0.0.1"), "nothing is offered that cannot be done:\n{shown}");
        std::fs::write(&path, &good).unwrap();
        screen.press("\x12");
        screen.wait("the contexts", |text| text.contains("dev *") && text.contains(yes) && text.contains("10.0.0.1"));
        quit(screen);
    }
}

/// From nothing to bytes: the first target is typed in, and connected with the key that is named.
#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn the_first_target_is_typed_and_connected() {
    let admins = kubeconfig();
    for (language, [welcome, yes, all, live]) in LANGUAGES.into_iter().zip([
        ["Welcome", "✓ yes", "you have all the rights you need", "● live"],
        ["欢迎", "✓ 可以", "具备所需的全部权限", "● 在用"],
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
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn somebody_who_may_only_look_is_told_so() {
    let kubeconfig = kubeconfig();
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
        assert!(screen.line(name).unwrap().contains("○ disconnected"), "{}", screen.text());
    }
    screen.press("\x1b");
    screen.wait_gone("Welcome");
    quit(screen);
}

/// The next key stands on a frame until it was used, across runs, and not at all where that is not wished for.
#[test]
fn the_next_key_is_taught_until_it_was_used() {
    for (language, [add, connect, help]) in LANGUAGES.into_iter().zip([
        ["n adds a target", "Enter connects the selected target", "? shows all keys"],
        ["n 添加目标", "Enter 把所选目标", "? 显示当前位置"],
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
        home.write_config(&format!("restore = false\n{}", home.read_config()));
        let mut screen = start().run();
        screen.wait_for("10.0.0.1:80");
        screen.wait_for(help);
        assert!(!screen.text().contains(connect), "{}", screen.text());
        home.write_config(&format!("tips = false\n{}", home.read_config()));
        screen.wait_gone(help);
        quit(screen);
    }
}
