//! `config`: saved targets from a script.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::common::Home;
use crate::common::kube::until;
use crate::shell::{Running, Shell};

#[test]
fn of_a_url_nothing_is_kept_but_where_it_leads() {
    let home = Home::new("");
    let shell = Shell { home: &home, kubeconfig: Some(home.kubeconfig(&["dev"])) };
    let done = shell.run(&["config", "add", "url", "redis://:url-pass@Cache.corp/0"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.err.contains("cache.corp:6379 is used from the URL; its login, path and options are dropped"));
    assert!(home.read_config().contains("address = \"cache.corp:6379\"") && !home.read_config().contains("url-pass"));
    shell.ok(&["config", "remove", "url"]);
    fs::write(
        home.path().join("url.toml"),
        "[[target]]\nname = \"url\"\ncluster = \"dev\"\naddress = \"https://u:url-pass@h/x\"\n",
    )
    .unwrap();
    let done = shell.run(&["config", "import", "url.toml"]);
    assert_eq!((done.code, done.err.trim()), (0, "dropped from the URL of url: user, password, path"));
    assert!(home.read_config().contains("address = \"h:443\"") && !home.read_config().contains("url-pass"));
    // Nobody has to save it first to be told what to do.
    for (url, says) in [
        (
            "postgres://u:url-pass@host:5432/db",
            "“host:5432” is an address, not a saved target: connect host:5432 reaches it",
        ),
        ("u:url-pass@host:5432", "“host:5432” is an address"),
        ("https://x", "“x:443” is an address"),
        ("mongodb+srv://u:url-pass@h/db", "a URL without one host and port"),
    ] {
        for args in [&["pod", "create", url][..], &["pod", "create", "--json", url], &["config", "remove", url]] {
            let done = shell.run(args);
            assert_eq!((done.code, done.out.as_str()), (3, ""), "{args:?}: {}", done.err);
            assert!(done.err.contains(says) && !done.err.contains("url-pass"), "{args:?}: {}", done.err);
        }
    }
    assert!(!said_anywhere(home.path(), "url-pass", "url.toml"));
}

/// Returns true if a file below contains some words, except one.
fn said_anywhere(dir: &Path, words: &str, but: &str) -> bool {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            return said_anywhere(&path, words, but);
        }
        path.file_name().is_some_and(|name| name != but)
            && fs::read(&path).is_ok_and(|said| String::from_utf8_lossy(&said).contains(words))
    })
}

#[test]
fn a_login_in_the_address_of_a_config_is_warned_of_and_never_shown() {
    let target = |address| format!("[[target]]\nname = \"db\"\ncluster = \"dev\"\naddress = \"{address}\"\n");
    let home = Home::new(&target("postgres://ann:url-pass@db.corp/main"));
    let shell = Shell { home: &home, kubeconfig: Some(home.kubeconfig(&["dev"])) };
    for args in [&["config", "list"][..], &["config", "list", "--json"], &["config", "export"]] {
        let done = shell.run(args);
        assert!(done.code == 0 && done.out.contains("db.corp:5432"), "{args:?}: {} {}", done.out, done.err);
        assert!(!done.out.contains("url-pass") && !done.err.contains("url-pass"), "{args:?}");
        assert!(!done.out.contains("ann"), "{args:?}: {}", done.out);
    }
    let done = shell.run(&["connect", "db", "--timeout", "1s"]);
    assert!(done.err.contains("The address of db in the config contains a login"), "{}", done.err);
    assert!(!done.out.contains("url-pass") && !done.err.contains("url-pass"), "{} {}", done.out, done.err);
    for wrong in ["ann:url-pass@db.corp", "mongodb+srv://ann:url-pass@db.corp/x", "odd://ann:url-pass@db.corp"] {
        fs::write(home.path().join("wrong.toml"), target(wrong)).unwrap();
        let done = shell.run(&["config", "import", "wrong.toml"]);
        assert!(done.code != 0 && done.err.contains("address` is \"a URL\":"), "{wrong}: {}", done.err);
        assert!(!done.out.contains("url-pass") && !done.err.contains("url-pass"), "{wrong}: {}", done.err);
    }
}

#[test]
fn the_config_from_a_script() {
    let home = Home::new("");
    let shell = Shell { home: &home, kubeconfig: Some(home.kubeconfig(&["dev", "prod"])) };
    shell.ok(&["config", "add", "my db", "10.0.0.1:3306", "--tag", "db", "--ttl", "1h", "-p", "3306"]);
    shell.ok(&["config", "add", "web", "svc/web:http", "--cluster", "prod", "-n", "shop", "--via", "proxy"]);
    let list: Value = serde_json::from_str(&shell.ok(&["config", "list", "--json"])).unwrap();
    assert_eq!((&list[0]["cluster"], &list[0]["local_port"]), (&"dev".into(), &3306.into()));
    assert_eq!((&list[1]["workload"], &list[1]["via"]), (&"service/web:http".into(), &"proxy".into()));
    let table = shell.ok(&["config", "ls", "--tag", "db"]);
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(!table.contains('\x1b'), "{table}");

    shell.ok(&["config", "edit", "web", "--namespace", "", "--wait", "2m"]);
    shell.ok(&["config", "rename", "web", "page"]);
    let shown: Value = serde_json::from_str(&shell.ok(&["config", "show", "page", "--json"])).unwrap();
    assert_eq!((&shown["namespace"], &shown["wait"]), (&Value::Null, &"2m".into()));

    for (args, code, says) in [
        (&["config", "add", "page", "10.0.0.1:1"][..], 2, "another target has this name"),
        (&["config", "add", "x", "10.0.0.1"], 2, "add a port"),
        (&["config", "add", "x", "odd://u:url-pass@host"], 2, "“URL”: add a port"),
        (&["config", "add", "x", "mongodb+srv://u:url-pass@host/db"], 2, "a URL without one host and port"),
        (&["config", "add", "x", "10.0.0.1:1", "--cluster", "nope"], 2, "no kubeconfig has this context"),
        (&["config", "add", "x", "10.0.0.1:1", "--ttl", "99h"], 2, "longer than max_ttl"),
        (&["config", "add", "x", "10.0.0.1:1", "--wait", "1m"], 2, "only for a workload"),
        (&["config", "add", "x", "deploy/web:80", "--via", "proxy"], 2, "only a service has an address"),
        (&["config", "add", "x", "svc/web:80", "-n", "../../x"], 2, "only"),
        (&["config", "edit", "page", "-n", "a/b"], 2, "only"),
        (&["config", "edit", "page"], 2, "Name what to change"),
        (&["config", "show", "pag"], 3, "similar: page"),
        (&["config", "remove", "none*"], 3, "no saved target"),
        (&["config", "list", "--tag", "none"], 3, "no saved target"),
        (&["config", "import", "none.json"], 1, "cannot be read"),
        (&["connect"], 2, "Name a target"),
        (&["connect", "none"], 3, "no saved target"),
        (&["nonsense"], 2, "unrecognized"),
        (&["--check", "config", "list"], 2, "--check takes no command"),
        (&["config", "list", "--check"], 2, "unexpected argument"),
    ] {
        let done = shell.run(args);
        assert_eq!(done.code, code, "{args:?}: {}", done.err);
        assert!(done.err.to_lowercase().contains(&says.to_lowercase()), "{args:?}: {}", done.err);
        assert!(done.out.is_empty() && !done.err.contains("url-pass"), "{args:?}: {}", done.err);
    }

    let exported = shell.ok(&["config", "export"]);
    // It would be a part of the API's paths.
    fs::write(home.path().join("odd.toml"), exported.replacen("\ncluster", "\nnamespace = \"../../x\"\ncluster", 1))
        .unwrap();
    let done = shell.run(&["config", "import", "odd.toml"]);
    assert!(done.code == 1 && done.err.contains("target.namespace"), "{} {}", done.code, done.err);
    fs::write(home.path().join("out.toml"), &exported).unwrap();
    shell.ok(&["config", "rm", "*"]);
    assert!(!home.read_config().contains("[[target]]"));
    assert!(shell.ok(&["config", "import", "out.toml", "--dry-run"]).contains("added: my db"));
    assert!(!home.read_config().contains("[[target]]"));
    shell.ok(&["config", "import", "out.toml"]);
    assert_eq!(shell.ok(&["config", "export"]), exported);
    assert!(shell.ok(&["config", "import", "out.toml"]).contains("unchanged: page"));
}

#[test]
fn options_set_what_few_targets_need_and_empty_ones_take_it_away() {
    let home = Home::new("");
    let shell = Shell { home: &home, kubeconfig: Some(home.kubeconfig(&["dev"])) };
    let options = ["--label", "a=1", "--label", "b=2", "--cpu-limit", "1", "--idle-timeout", "5m", "--tag", "x"];
    shell.ok(&[&["config", "add", "db", "10.0.0.1:1"], &options[..]].concat());
    let shown: Value = serde_json::from_str(&shell.ok(&["config", "show", "db", "--json"])).unwrap();
    assert_eq!((&shown["labels"]["a"], &shown["labels"]["b"]), (&"1".into(), &"2".into()), "{shown}");
    assert_eq!((&shown["resources"]["cpu_limit"], &shown["idle_timeout"]), (&"1".into(), &"5m".into()), "{shown}");
    let emptied: Vec<&str> = options.iter().map(|word| if word.starts_with("--") { word } else { "" }).collect();
    shell.ok(&[&["config", "edit", "db"], &emptied[..]].concat());
    let left: Value = serde_json::from_str(&shell.ok(&["config", "show", "db", "--json"])).unwrap();
    assert_eq!(left.as_object().unwrap().keys().collect::<Vec<_>>(), ["address", "cluster", "name"], "{left}");
    let done = shell.run(&["config", "edit", "db", "--cpu-limit", "much"]);
    assert!(done.code == 2 && done.err.contains("“much”"), "{} {}", done.code, done.err);
}

#[test]
fn targets_of_other_tools_from_a_script() {
    let home = Home::new("");
    let shell = Shell { home: &home, kubeconfig: Some(home.kubeconfig(&["dev", "prod"])) };
    shell.ok(&["config", "add", "page", "svc/web:http", "--cluster", "prod"]);
    // The context is the current one.
    fs::write(home.path().join("lines.txt"), "shop-api:shop:8080:80\nnonsense\n").unwrap();
    let done = shell.run(&["config", "import", "lines.txt"]);
    assert!(done.code == 1 && done.out.starts_with("added: shop-api"), "{} {} {}", done.code, done.out, done.err);
    let name = done.out.trim().strip_prefix("added: ").unwrap();
    assert!(shell.ok(&["config", "show", name]).contains("cluster = \"dev\""), "{name}");
    assert!(shell.run(&["config", "import", "lines.txt"]).out.starts_with("skipped: "));
    shell.ok(&["config", "edit", name, "--on-demand", "true", "--autostart", "true"]);
    assert!(shell.ok(&["config", "show", name]).contains("on_demand = true\nautostart = true"));
    shell.ok(&["config", "rm", name]);

    let legacy = home.path().join("config.json");
    fs::write(&legacy, r#"{"page":{"env":"dev","ip":"10.0.0.9","remote_port":80},"bad":{"ip":"1"}}"#).unwrap();
    let done = shell.run(&["config", "import", "config.json"]);
    assert!(done.out.contains("skipped: page") && done.err.contains("left out: bad"), "{} {}", done.out, done.err);
    assert_eq!(done.code, 1);
    shell.run(&["config", "import", "config.json", "--replace"]);
    assert!(shell.ok(&["config", "show", "page"]).contains("10.0.0.9:80"));
}

#[test]
fn a_config_that_makes_no_sense_is_told_and_not_touched() {
    let home = Home::new("theme = 1\n");
    let shell = Shell { home: &home, kubeconfig: None };
    for args in [&["config", "list"][..], &["config", "add", "x", "10.0.0.1:1"], &["connect", "x"]] {
        let done = shell.run(args);
        assert!(done.code == 1 && done.err.contains("config.toml:1:9"), "{args:?}: {}", done.err);
    }
    assert_eq!(home.read_config(), "theme = 1\n");
}

#[test]
fn an_import_takes_nothing_that_runs_or_listens_unasked() {
    let home = Home::new("");
    let shell = Shell { home: &home, kubeconfig: Some(home.kubeconfig(&["dev"])) };
    let text = "[[target]]\nname = \"db\"\ncluster = \"dev\"\naddress = \"10.0.0.1:80\"\nimage = \"evil/socat\"\n\
                local_address = \"0.0.0.0\"\nautostart = true\n";
    fs::write(home.path().join("theirs.toml"), text).unwrap();
    let named = |err: &str, how: &str| {
        for key in ["image = \"evil/socat\"", "local_address = \"0.0.0.0\"", "autostart = true"] {
            assert!(err.contains(&format!("{how}: db: {key}")), "{err}");
        }
    };
    let tried = shell.run(&["config", "import", "theirs.toml", "--dry-run"]);
    named(&tried.err, "left out");
    assert_eq!((tried.code, tried.out.trim()), (1, "added: db"));
    let done = shell.run(&["config", "import", "theirs.toml"]);
    named(&done.err, "left out");
    let saved = home.read_config();
    assert!(saved.contains("10.0.0.1:80") && !saved.contains("evil") && !saved.contains("0.0.0.0"), "{saved}");
    let trusted = shell.run(&["config", "import", "theirs.toml", "--replace", "--trust"]);
    named(&trusted.err, "trusted");
    assert_eq!(trusted.code, 0, "{}", trusted.err);
    assert!(home.read_config().contains("evil/socat"), "{}", home.read_config());
    // What is saved already is no news.
    let same = shell.run(&["config", "import", "theirs.toml"]);
    assert_eq!((same.code, same.err.as_str()), (0, ""));
}

#[test]
fn an_edit_that_cannot_be_written_is_not_said_to_be_kept() {
    let home = Home::new("");
    let shell = Shell { home: &home, kubeconfig: Some(home.kubeconfig(&["dev"])) };
    shell.ok(&["config", "add", "db", "10.0.0.1:80"]);
    // Nobody, root included, makes folders there.
    let config = "/proc/brow/config.toml";
    let done = shell.run(&["--config", config, "config", "add", "web", "10.0.0.1:81"]);
    assert!(done.code == 1 && done.err.contains("cannot be written"), "{} {}", done.code, done.err);
    assert!(!done.err.contains("until you quit"), "{}", done.err);
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "only Linux tells which signals a process hears")]
fn an_import_that_waits_for_its_input_can_be_interrupted() {
    let home = Home::new("");
    let shell = Shell { home: &home, kubeconfig: None };
    for (signal, number) in [(Signal::INT, 2), (Signal::TERM, 15), (Signal::HUP, 1)] {
        for practice in [&[][..], &["--practice"]] {
            let mut command = shell.command(&[practice, &["config", "import", "-"]].concat());
            let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let mut running = Running(child);
            let _open = running.0.stdin.take();
            let status = format!("/proc/{}/status", running.0.id());
            until("it hears signals", || {
                let status = fs::read_to_string(&status).unwrap();
                let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
                u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << (number - 1)) != 0
            });
            running.signal(signal);
            assert_eq!(running.end(), (128 + number, String::new()));
        }
    }
    let left: Vec<_> = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("practice")), "{left:?}");
}

#[test]
fn what_an_import_says_it_added_is_there_under_that_name() {
    let home = Home::new("");
    let shell = Shell { home: &home, kubeconfig: Some(home.kubeconfig(&["dev"])) };
    fs::write(home.path().join("lines"), "web:shop:8080:80\n").unwrap();
    let told = |out: &str| out.trim().strip_prefix("added: ").unwrap().to_owned();
    let tried = told(&shell.ok(&["config", "import", "lines", "--dry-run"]));
    let first = told(&shell.ok(&["config", "import", "lines"]));
    assert_eq!(first, tried);
    // That name and the next are taken now, by what leads elsewhere; and the file has the place twice.
    shell.ok(&["config", "edit", &first, "--where", "10.0.0.1:80"]);
    let second = told(&shell.ok(&["config", "import", "lines"]));
    shell.ok(&["config", "edit", &second, "--where", "10.0.0.2:80"]);
    fs::write(home.path().join("lines"), "web:shop:8080:80\nweb:shop:8081:80\n").unwrap();
    let done = shell.run(&["config", "import", "lines"]);
    let third = told(&done.out);
    assert!(third != first && third != second, "{third}");
    assert!(shell.ok(&["config", "show", &third]).contains("service/web"), "{third}");
    // One target has one port: the other is not dropped in silence.
    let left_out = format!("left out: {third}: local port 8081: ");
    assert!(done.code == 1 && done.err.starts_with(&left_out), "{} {}", done.code, done.err);
    // Where the config cannot be written nothing is said to be there.
    fs::remove_file(home.config()).unwrap();
    fs::create_dir(home.config()).unwrap();
    let done = shell.run(&["config", "import", "lines"]);
    assert!(done.code == 1 && done.out.is_empty(), "{} {}", done.out, done.err);
}

#[test]
fn what_nobody_reads_is_no_failure_and_a_full_disk_is() {
    let home = Home::new("");
    let shell = Shell { home: &home, kubeconfig: None };
    for args in [&["man"][..], &["config", "list"], &["config", "list", "--json"], &["--help"], &["completions", "zsh"]]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let done = shell.command(args).stdout(writer).output().unwrap();
        assert_eq!((done.status.code(), String::from_utf8(done.stderr).unwrap().as_str()), (Some(0), ""), "{args:?}");
    }
    for args in [&["man"][..], &["config", "list"], &["config", "list", "--json"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let done = shell.command(args).stdout(full).output().unwrap();
        let err = String::from_utf8(done.stderr).unwrap();
        assert!(
            done.status.code() == Some(1) && err.contains("Standard output could not be written"),
            "{args:?} {err}"
        );
    }
}

#[test]
fn a_target_that_a_file_has_twice_is_listed_once() {
    let home = Home::new("");
    let shell = Shell { home: &home, kubeconfig: Some(home.kubeconfig(&["dev"])) };
    let import = |text: &str, more: &[&str]| {
        fs::write(home.path().join("file"), text).unwrap();
        shell.run(&[&["config", "import", "file"][..], more].concat())
    };
    let done = import("web:shop:8080:80\nkubectl -n shop port-forward svc/web 8080:80\n", &["--replace"]);
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (0, "added: web.shop\n", ""));
    // A context that is nowhere would only show when somebody connects.
    let done = import("new:shop:8080:80\n", &["--context", "nope"]);
    assert!(done.code == 3 && done.err.contains("“nope”"), "{} {}", done.code, done.err);
    assert!(!home.read_config().contains("nope"));
}
