//! Instances that know each other: who has what, who stops what, whose sockets.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::common::kube::{Namespace, until};
use crate::common::through::{live, works};
use crate::common::{Home, Start, TIMEOUT};
use crate::shell::{Shell, WEB, address, run_dir, sockets};

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn instances_know_each_other_and_stop_each_others_forwards() {
    let (home, space) = (Home::new(WEB), Namespace::new("others"));
    let config = space.kubeconfig(&home);
    let shell = Shell { home: &home, kubeconfig: Some(config.clone()) };
    let list = || -> Value { serde_json::from_str(&shell.list(&["forward", "list", "--json"])).unwrap() };
    assert_eq!(list(), Value::Array(Vec::new()));

    let mut first = shell.spawn(&["connect", "web", "-q"]);
    let at = address(&first.line());
    let rows = list();
    assert_eq!((&rows[0]["name"], &rows[0]["address"]), (&"web".into(), &at.as_str().into()));
    assert_eq!((&rows[0]["by"], &rows[0]["pid"]), (&"connect".into(), &first.0.id().into()));

    // A second one does not fight over the port: it uses what is there.
    let second = shell.run(&["connect", "web", "-q", "--exec", "sh", "-c", "echo $BROW_ADDR"]);
    assert!(second.code == 0 && second.out.ends_with(&format!("{at}\n")), "{} {}", second.out, second.err);
    let mut third = shell.spawn(&["connect", "web", "-q", "--json"]);
    let json: Value = serde_json::from_str(&third.line()).unwrap();
    assert_eq!((&json["pid"], &json["address"]), (&first.0.id().into(), &at.as_str().into()));
    third.signal(Signal::INT);
    assert_eq!(third.end(), (0, String::new()));
    assert_eq!(space.pods().len(), 1, "one pod serves all");

    // The dashboard shows it with its owner, does not open another, and `x` stops it where it is.
    let mut screen = Start::new(&home).kubeconfig(&config).size(150, 40).run();
    screen.wait_for(&format!("pid {}, connect", first.0.id()));
    screen.press("2\r");
    screen.wait_for("already forwarded by another brow-tui");
    screen.press("4x");
    let pid = first.0.id();
    let (code, err) = first.end();
    assert_eq!(code, 0, "{err}");
    screen.wait_gone(&format!("pid {pid}, connect"));
    assert!(std::net::TcpStream::connect(&at).is_err());

    // The other way round: what the dashboard forwards is listed, used, and stopped from a script.
    screen.press("2\r");
    let shown = screen.wait("a live forward", |text| live(text).is_some());
    let at = live(&shown).unwrap();
    until("it is listed", || list()[0]["by"] == "dashboard" && list()[0]["state"] == "live");
    let mut user = shell.spawn(&["connect", "web"]);
    assert_eq!(address(&user.line()), at);
    assert_eq!(shell.run(&["forward", "stop", "none"]).code, 3);
    assert!(shell.ok(&["forward", "stop", &at]).contains("stopped: web"));
    let (code, err) = user.end();
    assert!(code == 0 && err.contains("was stopped by the brow-tui that had it"), "{code} {err}");
    screen.wait_for("has stopped");
    assert!(std::net::TcpStream::connect(&at).is_err());
    screen.press("q");
    assert!(screen.wait_end().success());
    assert!(sockets(&home).is_empty(), "each took its socket along");
}

#[test]
fn sockets_are_their_owners_alone_and_stale_ones_are_swept() {
    let home = Home::new("[[target]]\nname = \"web\"\ncluster = \"a\"\naddress = \"10.0.0.1:1\"\n");
    let kubeconfig = home.kubeconfig(&["a"]);
    let shell = Shell { home: &home, kubeconfig: Some(kubeconfig.clone()) };
    let mut screen = Start::new(&home).kubeconfig(&kubeconfig).run();
    screen.wait_for("web");
    until("its socket is there", || sockets(&home).len() == 1);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let socket = sockets(&home).remove(0);
    assert_eq!((mode(&run_dir(&home)), mode(&socket)), (0o700, 0o600));
    // Garbage harms nobody.
    for garbage in [&b"\x00\xff\n"[..], b"{\"v\":7}\n", b"{\"v\":1,\"ask\":\"stop\",\"id\":1}\n"] {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.write_all(garbage).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("\"says\":\"no\""), "{answer}");
    }
    screen.signal(Signal::KILL);
    screen.wait_end();
    assert_eq!(sockets(&home), [socket], "nobody took it along");
    assert_eq!(shell.ok(&["forward", "list", "--json"]).trim(), "[]");
    assert_eq!(fs::read_dir(run_dir(&home)).unwrap().count(), 0, "its lock neither");
    // Where others could have put sockets, nobody is asked.
    fs::set_permissions(run_dir(&home), fs::Permissions::from_mode(0o755)).unwrap();
    let refused = |args: &[&str]| {
        let done = shell.run(args);
        assert!(
            done.code == 1 && done.err.contains("must be your own directory"),
            "{args:?}: {} {}",
            done.code,
            done.err
        );
    };
    refused(&["forward", "list"]);
    refused(&["forward", "stop", "web"]);
    refused(&["forward", "stop", "--all"]);
    let elsewhere = home.path().join("elsewhere");
    fs::rename(run_dir(&home), &elsewhere).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink(&elsewhere, run_dir(&home)).unwrap();
    refused(&["forward", "list"]);
    fs::remove_file(run_dir(&home)).unwrap();
    fs::rename(&elsewhere, run_dir(&home)).unwrap();
    fs::set_permissions(run_dir(&home), fs::Permissions::from_mode(0o755)).unwrap();
    // The rest works.
    let mut screen = Start::new(&home).kubeconfig(&kubeconfig).size(150, 40).run();
    // The log beside the details cuts the rest of the sentence.
    screen.wait_for("brow/run cannot");
    screen.press("q");
    assert!(screen.wait_end().success());
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn what_is_held_for_somebody_is_taken_over_where_its_instance_ends() {
    let (home, space) = (Home::new(WEB), Namespace::new("heirs"));
    let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
    let mut first = shell.spawn(&["connect", "web", "-q"]);
    let at = address(&first.line());
    // Three that wait for the same, among them one that has left its terminal. None ends while there is something to
    // hold.
    let mut timed = shell.spawn(&["connect", "web", "-q", "--for", "3m"]);
    assert_eq!(address(&timed.line()), at);
    assert_eq!(address(&shell.ok(&["connect", "web", "-q", "--detach"])), at);
    let mut asking = shell.spawn(&["connect", "web", "-q", "--exec", "sleep", "60"]);
    let owners = || -> Vec<u64> {
        let rows: Value = serde_json::from_str(&shell.list(&["forward", "list", "--json"])).unwrap();
        rows.as_array().unwrap().iter().filter_map(|row| row["pid"].as_u64()).collect()
    };
    assert_eq!(owners(), [u64::from(first.0.id())]);
    first.signal(Signal::INT);
    assert_eq!(first.end(), (0, String::new()));
    until("one of them has it now, where it was", || works(&at));
    until("it is one alone", || owners().len() == 1);
    assert_eq!(space.pods().len(), 1);
    // Killed, it takes nothing along either.
    assert!(timed.0.try_wait().unwrap().is_none() && asking.0.try_wait().unwrap().is_none());
    let owner = owners()[0];
    let killed = rustix::process::Pid::from_raw(i32::try_from(owner).unwrap()).unwrap();
    rustix::process::kill_process(killed, Signal::KILL).unwrap();
    until("another has it", || owners().first().is_some_and(|now| *now != owner) && works(&at));
    assert_eq!(space.pods().len(), 1);
    // What somebody stops is stopped for all of them.
    shell.ok(&["forward", "stop", "web"]);
    until("nobody has it", || owners().is_empty());
    asking.signal(Signal::TERM);
    for running in [timed, asking] {
        let pid = u64::from(running.0.id());
        let code = { running }.0.wait().unwrap().code();
        assert!(pid == owner || code == Some(0) || code == Some(143), "{code:?}");
    }
    until("the one in the background has ended too", || sockets(&home).is_empty());
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_suspended_instance_is_there_and_nothing_of_it_is_touched() {
    let (home, space) = (Home::new(&WEB.replace("tags", "local_port = 0\ntags")), Namespace::new("asleep"));
    let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
    let mut asleep = shell.spawn(&["connect", "web", "-q"]);
    let at = address(&asleep.line());
    let port = at.rsplit(':').next().unwrap().to_owned();
    // From here on it is that port and no other.
    shell.ok(&["config", "edit", "web", "-p", &port]);
    let socket = sockets(&home);
    asleep.signal(Signal::STOP);
    let says = format!("process id {} is not responding", asleep.0.id());
    for args in [&["forward", "list", "--json"][..], &["forward", "stop", "web"], &["forward", "stop", "--all"]] {
        let done = shell.run(args);
        assert!(done.code == 1 && done.err.contains(&says), "{args:?} {} {}", done.code, done.err);
    }
    // Its port is its own: whoever wants the same is told who has it.
    let refused = shell.run(&["connect", "web", "-q"]);
    assert_eq!(refused.code, 1, "{}", refused.out);
    assert!(refused.err.contains(&says) && refused.err.contains("held by pid"), "{}", refused.err);
    assert_eq!(sockets(&home), socket, "its socket is no stale one");
    assert_eq!(space.pods().len(), 1, "and its pod is left to it");
    asleep.signal(Signal::CONT);
    until("it is heard again", || shell.run(&["forward", "list"]).out.contains(&at));
    assert!(works(&at));
    asleep.signal(Signal::INT);
    assert_eq!(asleep.end(), (0, String::new()));
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn what_another_instance_opens_anew_is_waited_for() {
    // Its image is nowhere: it is never ready.
    let (home, space) = (Home::new(&format!("{WEB}image = \"nowhere.invalid/none\"\n")), Namespace::new("anew"));
    let config = space.kubeconfig(&home);
    let shell = Shell { home: &home, kubeconfig: Some(config.clone()) };
    let mut screen = Start::new(&home).kubeconfig(&config).size(150, 40).run();
    screen.wait_for("web");
    screen.press("2\r");
    until("it is listed", || shell.list(&["forward", "list"]).contains("dashboard"));
    let logs = ["--log", "log", "--log-levels", "debug"];
    let mut waiting = shell.spawn(&[&["connect", "web", "--timeout", "3m"], &logs[..]].concat());
    let logged = || fs::read_to_string(home.path().join("log")).unwrap_or_default();
    until("it knows of the dashboard", || logged().contains("another instance was heard"));
    for _ in 0..3 {
        screen.press("4R");
        screen.wait("it waits again", |text| text.contains("◌ pending") || text.contains("pending"));
        assert!(waiting.0.try_wait().unwrap().is_none(), "it is waited for");
    }
    screen.press("4x");
    let (code, err) = waiting.end();
    assert!(code == 1 && err.contains("web was stopped by the brow-tui that had it"), "{code} {err}");
    screen.press("q");
    screen.press("y");
    screen.wait_end();
}
