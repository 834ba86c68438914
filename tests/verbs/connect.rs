//! `connect` in the foreground: lines, commands, signals, failures.

use rustix::process::Signal;
use serde_json::Value;

use crate::common::kube::{Namespace, kubeconfig, until};
use crate::common::through::works;
use crate::common::{Home, Start};
use crate::shell::{Shell, WEB, address};

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_command_runs_through_a_forward_and_its_exit_code_counts() {
    let (home, space) = (Home::new(WEB), Namespace::new("exec"));
    let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
    // A real client, with the address in an argument of a shell that the test names.
    let page = shell.run(&[
        "connect",
        "web",
        "-q",
        "--exec",
        "sh",
        "-c",
        "curl -m 60 -sf http://$BROW_ADDR/index.html; exit 7",
    ]);
    assert_eq!((page.code, page.err.as_str()), (7, ""));
    assert_eq!(page.out, "hello from the vpc\n", "standard output is the command's");
    let told = shell.run(&["connect", "web", "-q", "--json", "--exec", "true"]);
    assert_eq!(told.out, "");
    assert_eq!(serde_json::from_str::<Value>(&told.err).unwrap()["target"], "web");
    // The same without a shell.
    let page = shell.run(&["connect", "web", "-q", "--exec", "curl", "-m", "60", "-sf", "http://{addr}/index.html"]);
    assert_eq!((page.code, page.out.as_str()), (0, "hello from the vpc\n"), "{}", page.err);
    // Without one nothing is expanded.
    let plain = shell.run(&["connect", "--tag", "t", "-q", "--exec", "echo", "$BROW_ADDR", "--", "-q", "*"]);
    assert_eq!(plain.out, "$BROW_ADDR -- -q *\n");
    let vars = shell.ok(&["connect", "w?b", "-q", "--on-quit", "delete", "--exec", "env"]);
    let var = |name: &str| vars.lines().find_map(|line| line.strip_prefix(&format!("{name}="))).unwrap().to_owned();
    assert_eq!(var("BROW_ADDR"), format!("{}:{}", var("BROW_HOST"), var("BROW_PORT")));
    assert_eq!(var("BROW_PORT"), var("BROW_PORT_WEB"));
    assert_eq!(shell.run(&["connect", "web", "-q", "--exec", "/no/such/thing"]).code, 127);
    assert_eq!(shell.run(&["connect", "web", "-q", "--exec", "/etc/passwd"]).code, 126);
    assert_eq!(shell.run(&["connect", "web", "-q", "--exec", "sh", "-c", "kill -9 $$"]).code, 137);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn connect_prints_a_line_for_each_forward_and_ends_with_a_signal() {
    let (home, space) = (Home::new(WEB), Namespace::new("connect"));
    let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
    shell.ok(&["config", "add", "other", "10.99.0.10:8080", "--cluster", "story"]);
    for (signal, more) in [(Signal::INT, "--json"), (Signal::TERM, "--quiet"), (Signal::INT, "--for=1h")] {
        let mut running = shell.spawn(&["connect", "web", "other", "--on-quit", "delete", more]);
        let lines = [running.line(), running.line()];
        for line in &lines {
            let at = if more == "--json" {
                let forward: Value = serde_json::from_str(line).unwrap();
                assert_eq!(forward["cluster"], "story");
                forward["address"].as_str().unwrap().to_owned()
            } else {
                assert!(line.starts_with("web → 127.0.0.1:") || line.starts_with("other → 127.0.0.1:"), "{line}");
                address(line)
            };
            assert!(works(&at), "{line}");
        }
        running.signal(signal);
        let (code, err) = running.end();
        assert_eq!(code, 0, "{err}");
        assert!(!err.contains("Pod") && !err.contains("pod "), "the line is all that is told: {err}");
        until("the pods are gone", || space.pods().is_empty());
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn connect_outlives_its_pod() {
    let (home, space) = (Home::new(&format!("{WEB}ttl = \"20s\"\n")), Namespace::new("outlive"));
    let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
    let mut running = shell.spawn(&["connect", "web", "--verbose", "--on-quit", "delete"]);
    let at = address(&running.line());
    until("its pod has expired", || shell.list(&["forward", "list", "--json"]).contains("\"listening\""));
    assert!(works(&at), "the next connection is served");
    running.signal(Signal::INT);
    let (code, err) = running.end();
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("expired (TTL)"), "{err}");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn what_cannot_be_reached_fails_with_its_reason() {
    let path = kubeconfig();
    let config = ["down", "badtoken", "viewer", "none"].map(|context| {
        let place = "namespace = \"brow-dev\"\naddress = \"10.99.0.10:8080\"\n";
        format!("[[target]]\nname = \"{context}\"\ncluster = \"brow-{context}\"\n{place}")
    });
    let home = Home::new(&config.concat());
    let shell = Shell { home: &home, kubeconfig: Some(path) };
    for (target, says) in [
        ("down", "brow-down cannot be reached"),
        ("badtoken", "not authenticated (401)"),
        // With the Role that would allow it.
        ("viewer", "kind: RoleBinding"),
        ("none", "No kubeconfig has a context"),
    ] {
        let done = shell.run(&["connect", target, "--quiet"]);
        assert_eq!((done.code, done.out.as_str()), (1, ""), "{target}: {}", done.err);
        assert!(done.err.contains(says), "{target}: {}", done.err);
    }
    let done = shell.run(&["pod", "list", "--cluster", "brow-down", "--json"]);
    assert_eq!((done.code, done.out.trim()), (1, "[]"), "{}", done.err);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn ended_before_it_is_ready_it_leaves_no_pod() {
    // Its image is nowhere: it is never ready.
    let (home, space) = (Home::new(&format!("{WEB}image = \"nowhere.invalid/none\"\n")), Namespace::new("early"));
    let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
    for args in [&["connect", "web", "--timeout", "3m"][..], &["pod", "create", "web", "--timeout", "3m"]] {
        for (signal, number) in [(Signal::INT, 2), (Signal::TERM, 15), (Signal::HUP, 1)] {
            let running = shell.spawn(args);
            until("its pod is there", || space.pods().len() == 1);
            running.signal(signal);
            let (code, err) = running.end();
            assert_eq!((code, space.pods()), (128 + number, Vec::new()), "{args:?} {err}");
        }
    }
    for args in [&["connect", "web", "--timeout", "3s"][..], &["pod", "create", "web", "--timeout", "3s"]] {
        let late = shell.run(args);
        assert!(late.code == 1 && late.err.contains("Not ready after 3s"), "{args:?} {}", late.err);
        assert_eq!((late.out, space.pods()), (String::new(), Vec::new()), "{args:?}");
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn an_address_is_connected_without_being_saved() {
    let (home, space) = (Home::new(""), Namespace::new("once"));
    let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let place = "http://ann:url-pass@10.99.0.10:8080/x";
    let mut running = shell.spawn(&["connect", place, "-p", &port, "--ttl", "10m", "--on-quit", "delete"]);
    let line = running.line();
    assert_eq!(line, format!("10.99.0.10:8080 → 127.0.0.1:{port} (context story)"));
    assert!(works(&address(&line)));
    let pod = shell.ok(&["pod", "list", "--json", "--context", "story", "-n", &space.0]);
    assert!(pod.contains("\"ttl\": \"10m\"") && !pod.contains("10.99.0.10") && !pod.contains("10-99"), "{pod}");
    assert_eq!(shell.ok(&["pod", "list", "--json", "-n", "elsewhere"]).trim(), "[]");
    // Another one uses it.
    let used = shell.ok(&["connect", "10.99.0.10:8080", "--exec", "echo", "{port}"]);
    assert_eq!(used.trim(), port);
    running.signal(Signal::INT);
    let (code, err) = running.end();
    assert!(code == 0 && !err.contains("url-pass"), "{code} {err}");
    until("its pod is gone", || space.pods().is_empty());
    assert_eq!(home.read_config(), "", "nothing was saved");

    let line = shell.ok(&["connect", "10.99.0.10:8080", "--detach", "--json", "--on-quit", "delete", "-n", &space.0]);
    let forward: Value = serde_json::from_str(&line).unwrap();
    assert!(works(forward["address"].as_str().unwrap()), "{line}");
    let list: Value = serde_json::from_str(&shell.ok(&["forward", "list", "--json"])).unwrap();
    assert_eq!((&forward["pid"], forward["pid"].is_u64()), (&list[0]["pid"], true), "the one in the background");
    let status = shell.run(&["status", "--short"]);
    assert_eq!((status.code, status.out.as_str()), (0, "● 1\n"));
    assert!(shell.ok(&["status"]).contains("10.99.0.10:8080"));
    let all: Value = serde_json::from_str(&shell.ok(&["status", "--json"])).unwrap();
    assert_eq!((&all["live"], &all["forwards"][0]["name"]), (&1.into(), &forward["name"]));
    shell.ok(&["forward", "stop", &forward["port"].to_string()]);
    until("its pod went along", || space.pods().is_empty());
    let nothing = shell.run(&["status", "--short"]);
    assert_eq!((nothing.code, nothing.out.as_str()), (3, ""));
}

#[test]
fn what_is_given_for_an_address_is_checked_before_anything_is_done() {
    let home = Home::new(
        "[[target]]\nname = \"db\"\ncluster = \"dev\"\naddress = \"10.0.0.1:1\"\n\
                          [cluster.prod]\nproduction = true\n",
    );
    let shell = Shell { home: &home, kubeconfig: Some(home.kubeconfig(&["dev", "prod"])) };
    for (args, code, says) in [
        (&["db", "--ttl", "1h"][..], 2, "a saved target has its own"),
        (&["10.0.0.2:1", "svc/web:http", "-p", "80"], 2, "cannot share a local port"),
        (&["10.0.0.2:1", "--context", "nope"], 3, "“nope”"),
        (&["10.0.0.2:1", "--ttl", "99h"], 2, "longer than max_ttl"),
        (&["10.0.0.2:1", "-n", "No_Space"], 2, "lower-case letters"),
        (&["10.0.0.2:1", "--context", "prod"], 2, "pass --yes"),
        (&["10.0.0.2:1", "--context", "prod", "--detach"], 2, "pass --yes"),
        (&["10.0.0.2:1", "--context", "prod", "--yes"], 1, "prod cannot be reached"),
        (&["10.0.0.2:1"], 1, "dev cannot be reached"),
        (&["10.0.0.2:1", "--detach"], 1, "dev cannot be reached"),
    ] {
        let done = shell.run(&[&["connect"][..], args].concat());
        assert_eq!((done.code, done.out.as_str()), (code, ""), "{args:?}: {}", done.err);
        assert!(done.err.contains(says), "{args:?}: {}", done.err);
    }
    // At a terminal it is asked.
    let start = Start::new(&home).kubeconfig(shell.kubeconfig.clone().unwrap());
    let mut screen = start.arg("connect").arg("10.0.0.2:1").arg("--context").arg("prod").run();
    screen.wait_for("prod is a production cluster. Connect 10.0.0.2:1? [y/N]");
    screen.press("n\r");
    assert_eq!(screen.wait_end().exit_code(), 1);
    assert!(!screen.text().contains("cannot be reached"), "{}", screen.text());
}
