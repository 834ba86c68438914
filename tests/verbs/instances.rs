//! Instances that know each other: who has what, who stops what, whose sockets.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use crate::common::kube::{Namespace, kubeconfig, until};
use crate::common::through::live;
use crate::common::{Home, Start};
use crate::shell::{Shell, WEB, address, run_dir, sockets};

#[test]
fn instances_know_each_other_and_stop_each_others_forwards() {
    let Some(_) = kubeconfig("instances_know_each_other_and_stop_each_others_forwards") else { return };
    let (home, space) = (Home::new(WEB), Namespace::new("others"));
    let config = space.kubeconfig(&home);
    let shell = Shell { home: &home, kubeconfig: Some(config.clone()) };
    let list = || -> Value { serde_json::from_str(&shell.ok(&["forward", "list", "--json"])).unwrap() };
    assert_eq!(list(), Value::Array(Vec::new()));

    let mut first = shell.spawn(&["connect", "web", "-q"]);
    let at = address(&first.line());
    let rows = list();
    assert_eq!((&rows[0]["name"], &rows[0]["address"]), (&"web".into(), &at.as_str().into()));
    assert_eq!((&rows[0]["by"], &rows[0]["pid"]), (&"connect".into(), &first.0.id().into()));

    // A second one does not fight over the port: it uses what is there.
    let second = shell.run(&["connect", "web", "-q", "--exec", "sh", "-c", "echo $BROW_ADDR"]);
    assert!(second.code == 0 && second.out.ends_with(&format!("{at}\n")), "{} {}", second.out, second.err);
    let json: Value = serde_json::from_str(&shell.ok(&["connect", "web", "-q", "--json"])).unwrap();
    assert_eq!(json["pid"], first.0.id());
    assert_eq!(space.pods().len(), 1, "one pod serves all");

    // The dashboard shows it with its owner, does not open another, and `x` stops it where it is.
    let mut screen = Start::new(&home).kubeconfig(&config).size(150, 40).run();
    screen.wait_for(&format!("pid {}, connect", first.0.id()));
    screen.press("2\r");
    screen.wait_for("forwarded already by another brow-tui");
    screen.press("4x");
    let (code, err) = first.end();
    assert_eq!(code, 0, "{err}");
    screen.wait_gone("connect");
    assert!(std::net::TcpStream::connect(&at).is_err());

    // The other way round: what the dashboard forwards is listed, used, and stopped from a script.
    screen.press("2\r");
    let shown = screen.wait("a live forward", |text| live(text).is_some());
    let at = live(&shown).unwrap();
    until("it is listed", || list()[0]["by"] == "dashboard" && list()[0]["state"] == "live");
    assert!(shell.ok(&["connect", "web", "-q"]).starts_with(&at));
    assert_eq!(shell.run(&["forward", "stop", "none"]).code, 3);
    assert!(shell.ok(&["forward", "stop", &at]).contains("stopped: web"));
    screen.wait_for("closed");
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
        stream.write_all(garbage).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("\"says\":\"no\""), "{answer}");
    }
    screen.signal(rustix::process::Signal::KILL);
    screen.wait_end();
    assert_eq!(sockets(&home), [socket], "nobody took it along");
    assert_eq!(shell.ok(&["forward", "list", "--json"]).trim(), "[]");
    assert!(sockets(&home).is_empty());
    // Where there can be none, the rest works.
    fs::set_permissions(run_dir(&home), fs::Permissions::from_mode(0o755)).unwrap();
    let mut screen = Start::new(&home).kubeconfig(&kubeconfig).size(150, 40).run();
    screen.wait_for("nobody else may enter");
    screen.press("q");
    assert!(screen.wait_end().success());
}
