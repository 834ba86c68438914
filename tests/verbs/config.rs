//! `config`: saved targets from a script.

use std::fs;

use serde_json::Value;

use crate::common::Home;
use crate::shell::Shell;

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
        (&["config", "add", "x", "10.0.0.1"], 2, "end it with a port"),
        (&["config", "add", "x", "10.0.0.1:1", "--cluster", "nope"], 2, "no kubeconfig has a context"),
        (&["config", "add", "x", "10.0.0.1:1", "--ttl", "99h"], 2, "longer than max_ttl"),
        (&["config", "add", "x", "10.0.0.1:1", "--wait", "1m"], 2, "for workloads"),
        (&["config", "add", "x", "deploy/web:80", "--via", "proxy"], 2, "is for services"),
        (&["config", "edit", "page"], 2, "Say what to change"),
        (&["config", "show", "pag"], 3, "near to it: page"),
        (&["config", "remove", "none*"], 3, "no saved target"),
        (&["config", "list", "--tag", "none"], 3, "no saved target"),
        (&["config", "import", "none.json"], 1, "cannot be read"),
        (&["connect"], 2, "Name a target"),
        (&["connect", "none"], 3, "no saved target"),
        (&["nonsense"], 2, "unrecognized"),
    ] {
        let done = shell.run(args);
        assert_eq!(done.code, code, "{args:?}: {}", done.err);
        assert!(done.err.to_lowercase().contains(&says.to_lowercase()), "{args:?}: {}", done.err);
        assert_eq!(done.out, "", "{args:?}");
    }

    let exported = shell.ok(&["config", "export"]);
    fs::write(home.path().join("out.toml"), &exported).unwrap();
    shell.ok(&["config", "rm", "*"]);
    assert!(!home.read_config().contains("[[target]]"));
    assert!(shell.ok(&["config", "import", "out.toml", "--dry-run"]).contains("added: my db"));
    assert!(!home.read_config().contains("[[target]]"));
    shell.ok(&["config", "import", "out.toml"]);
    assert_eq!(shell.ok(&["config", "export"]), exported);
    assert!(shell.ok(&["config", "import", "out.toml"]).contains("unchanged: page"));

    // What other tools write; the context is the current one.
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
