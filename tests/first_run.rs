//! The first run: what somebody sees who has neither a config nor targets, at 80×24, in both languages.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::arrange::{Answer, FakeApi, Kubeconfig, quit, says, status, wait_says};
use common::kube::{Namespace, kubeconfig, until};
use common::through::get;
use common::{Home, Start};
use serde_json::{Value, json};

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

/// Runs `--check` without a terminal: exit code, standard output, standard error.
fn check(home: &Home, kubeconfig: Option<&Path>, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brow-tui"));
    command
        .arg("--check")
        .args(args)
        .env_clear()
        .env("HOME", home.path())
        .env("LANG", "en_US.UTF-8")
        .env("USER", "ann");
    command.env("PATH", std::env::var("PATH").unwrap_or_default()).stdin(Stdio::null());
    command.envs(kubeconfig.map(|path| ("KUBECONFIG", path)));
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// The findings of `--check --json` about something.
fn findings<'a>(all: &'a Value, check: &str) -> Vec<&'a Value> {
    all["findings"].as_array().unwrap().iter().filter(|finding| finding["check"] == check).collect()
}

#[test]
fn check_finds_what_is_wrong_and_says_what_to_do() {
    let home = Home::new("");
    let (code, out, err) = check(&home, None, &[]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    assert!(out.contains("✗ No kubeconfig at") && out.contains("→ Put one there") && !out.contains('\u{1b}'), "{out}");

    let dead = home.kubeconfig(&["dev", "other"]);
    home.write_config("theme = \"dakr\"\n[[target]]\nname = \"x\"\ncluster = \"gone\"\naddress = \"10.0.0.1:1\"\n");
    let (code, out, _) = check(&home, Some(&dead), &["--context", "dev", "--json"]);
    let all: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &all["well"]), (1, &json!(false)));
    let reachable = findings(&all, "reachable");
    assert_eq!(
        (reachable.len(), &reachable[0]["context"], &reachable[0]["fault"]),
        (1, &json!("dev"), &json!("unreachable"))
    );
    assert!(reachable[0]["remedy"].as_str().unwrap().contains("VPN"), "{out}");
    let config = findings(&all, "config");
    let words: Vec<&str> = config.iter().filter_map(|finding| finding["detail"].as_str()).collect();
    assert!(words.iter().any(|words| words.contains("no theme \"dakr\"")), "{out}");
    assert!(config.iter().any(|finding| finding["says"].as_str().unwrap().contains("“gone”")), "{out}");

    home.write_config("themes = 1\n");
    let (code, out, _) = check(&home, Some(&dead), &["--context", "dev"]);
    assert!(code == 1 && out.contains("config.toml:1:1") && out.contains("the nearest is `theme`"), "{out}");
    let (code, out, err) = check(&home, Some(&dead), &["--context", "nowhere"]);
    assert!(code == 3 && out.is_empty() && err.contains("“nowhere”"), "{err}");
    let mut alone = Command::new(env!("CARGO_BIN_EXE_brow-tui"));
    assert_eq!(alone.arg("--deep").output().unwrap().status.code(), Some(2), "nothing is made without --check");
}

/// All that is needed, and no more: the rights of `assets/rbac.yaml`.
#[test]
fn check_is_content_with_the_rights_that_are_shipped() {
    if kubeconfig("check_is_content_with_the_rights_that_are_shipped").is_none() {
        return;
    }
    let (namespace, home) = (Namespace::new("check"), Home::new(""));
    let kubeconfig = namespace.kubeconfig(&home);
    let (code, out, err) = check(&home, Some(&kubeconfig), &[]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    for words in
        ["Cluster story", "Kubernetes v", "its clock agrees", "delete pods, and forward", "shows only with a pod"]
    {
        assert!(out.contains(words), "{words}: {out}");
    }
    assert!(namespace.pods().is_empty(), "nothing is made unless asked for");

    let (code, out, _) = check(&home, Some(&kubeconfig), &["--deep"]);
    assert!(
        code == 0 && out.contains("a pod was ready after") && out.contains("a tunnel reaches a pod: spdy"),
        "{out}"
    );
    until("the pod is gone again", || namespace.pods().is_empty());
    home.write_config("[defaults]\nimage = \"nowhere.invalid/none:1\"\n");
    let (code, out, _) = check(&home, Some(&kubeconfig), &["--deep", "--json"]);
    let all: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &findings(&all, "image")[0]["fault"]), (1, &json!("image-pull")), "{out}");
    until("that pod is gone too", || namespace.pods().is_empty());
}

#[test]
fn check_names_the_rights_that_are_missing() {
    let Some(kubeconfig) = kubeconfig("check_names_the_rights_that_are_missing") else { return };
    let home = Home::new("");
    let (code, out, _) = check(&home, Some(&kubeconfig), &["--json"]);
    let all: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 1);
    let of = |context: &str, check: &str| -> Vec<Value> {
        findings(&all, check).into_iter().filter(|finding| finding["context"] == context).cloned().collect()
    };
    let missing = of("brow-viewer", "rights");
    let role = missing.iter().find(|finding| finding["state"] == "failed").unwrap()["role"].as_str().unwrap();
    assert!(role.contains("pods/portforward") && role.contains("namespace: \"brow-dev\""), "{role}");
    assert_eq!(of("brow-badtoken", "reachable")[0]["fault"], "unauthorized");
    assert_eq!(of("brow-down", "reachable")[0]["fault"], "unreachable");
    assert_eq!(of("brow-developer", "rights")[0]["state"], "good");
}

/// The doctor at the practice cluster, which has something of everything: no cluster is needed to see what it says.
#[test]
fn check_at_the_practice_cluster() {
    let home = Home::new("");
    let (code, out, _) = check(&home, None, &["--practice", "--deep"]);
    assert_eq!(code, 1);
    for words in
        ["Cluster practice-team", "a tunnel reaches a pod: spdy", "no right to create pods/portforward", "refused"]
    {
        assert!(out.contains(words), "{words}: {out}");
    }
    assert!(out.ends_with("2 things do not work.\n"), "{out}");
}

/// A key goes through the themes at once; what was chosen is kept until the config asks for another.
#[test]
fn the_theme_is_chosen_by_key_and_by_config() {
    let home = Home::new("theme = \"dark\"\n");
    let start = || Start::new(&home).kubeconfig(home.kubeconfig(&["dev"])).env("COLORTERM", "truecolor");
    let rgb = |red, green, blue| vt100::Color::Rgb(red, green, blue);
    let (dark, light) = (rgb(0x15, 0x17, 0x1e), rgb(0xfa, 0xfa, 0xf8));
    let mut screen = start().run();
    let background = |cells: &vt100::Screen| cells.cell(23, 79).unwrap().bgcolor();
    screen.wait_cells("dark", |cells| background(cells) == dark && cells.contents().contains("dev *"));
    screen.press("v");
    screen.wait_cells("light", |cells| background(cells) == light);
    screen.wait_for("The theme is light now");
    quit(screen);

    let mut screen = start().run();
    screen.wait_cells("still light", |cells| background(cells) == light && cells.contents().contains("dev *"));
    home.write_config("theme = \"terminal\"\n");
    screen.wait_cells("the terminal's own", |cells| background(cells) == vt100::Color::Default);
    home.write_config("theme = \"dark\"\nlanguage = \"zh-CN\"\n");
    screen.wait_cells("dark, in Chinese", |cells| background(cells) == dark && cells.contents().contains("集群"));
    quit(screen);
}

#[test]
fn the_title_says_which_pod_ends_first_and_is_given_back() {
    let home = Home::new("");
    let temp = home.path().join("temp");
    std::fs::create_dir(&temp).unwrap();
    let mut screen = Start::new(&home).arg("--practice").env("TMPDIR", temp.to_str().unwrap()).run();
    let titles = |raw: &[u8]| -> Vec<String> {
        let raw = String::from_utf8_lossy(raw).into_owned();
        raw.split("\x1b]2;").skip(1).map(|rest| rest.split('\x1b').next().unwrap().to_owned()).collect()
    };
    screen.wait_for("hello-page");
    screen.press("2/hello\r");
    screen.press("c");
    screen.wait_until("the pod's time", |screen| {
        titles(screen.raw()).last().is_some_and(|title| title == "29m hello-page · brow-tui")
    });
    screen.press("\x03\x03");
    assert!(screen.wait_end().success());
    let all = titles(screen.raw());
    assert_eq!(all, ["brow-tui", "30m hello-page · brow-tui", "29m hello-page · brow-tui", ""], "only when it changes");
    let raw = String::from_utf8_lossy(screen.raw()).into_owned();
    let (kept, set, back) = (raw.find("\x1b[22;2t"), raw.find("\x1b]2;"), raw.rfind("\x1b[23;2t"));
    assert!(kept.is_some() && kept < set && set < back, "{kept:?} {set:?} {back:?}");

    let home = Home::new("title = false\n");
    let mut screen = Start::new(&home).kubeconfig(home.kubeconfig(&["dev"])).run();
    screen.wait_for("dev *");
    screen.press("q");
    assert!(screen.wait_end().success());
    assert_eq!(titles(screen.raw()), Vec::<String>::new());
    assert!(!String::from_utf8_lossy(screen.raw()).contains("\x1b[23;2t"), "nothing was taken");
}
