//! The pods that our own relay runs in: their images, what becomes of them when it is killed, and who else can reach
//! it.

use std::io::Read as _;

use super::*;
use crate::common::kube::until;

/// A config with a target for our own relay, in pods of this image.
fn with_image(image: &str) -> String {
    format!("{WEB}relay = \"auto\"\nimage = \"{image}\"\n")
}

/// Runs a command in the shell of the only pod of a namespace.
pub fn in_pod(space: &Namespace, command: &str) -> String {
    let pods = space.pods();
    let [pod] = pods.as_slice() else { panic!("one pod: {pods:?}") };
    kubectl(&["-n", &space.0, "exec", pod, "--", "sh", "-c", command])
}

/// Kills every process that runs our relay's program, and waits until it is gone.
const KILL: &str = r"for p in /proc/[0-9]*; do case $(readlink $p/exe) in /relay/*)
kill -9 ${p#/proc/}; while [ -d $p ]; do :; done; echo killed; esac; done";

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn any_image_with_a_shell_and_something_that_listens_will_do() {
    for image in ["busybox:latest", "alpine/socat:latest"] {
        let (home, space) = (Home::new(&with_image(image)), Namespace::new("relay-image"));
        let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
        let mut running = shell.spawn(&["connect", "web", "--on-quit", "delete"]);
        let local = address(&running.line());
        assert!(works(&local), "{image}");
        let said = in_pod(&space, "touch /x 2>&1 || id -u");
        assert!(said.contains("Read-only file system") && said.ends_with("\n65534\n"), "{image}: {said}");
        assert_eq!(in_pod(&space, "ls /relay | wc -l").trim(), "1", "{image}");
        a_stranger_gets_nothing(&space, image);
        assert!(works(&local), "{image}");
        running.signal(rustix::process::Signal::INT);
        let (_, said) = running.end();
        assert!(!said.contains("socat"), "{image}: {said}");
    }
}

/// From outside the pod nobody reaches the relay, or nobody who does not know the pod's secret gets anything of it.
fn a_stranger_gets_nothing(space: &Namespace, image: &str) {
    let ip = kubectl(&["-n", &space.0, "get", "pods", "-o", "go-template={{(index .items 0).status.podIP}}"]);
    let port = brow_tui::proxy::relay::PORT;
    let Ok(mut stranger) = TcpStream::connect((ip.as_str(), port)) else {
        assert!(image.contains("socat"), "{image}: nc listens everywhere");
        return;
    };
    stranger.set_read_timeout(Some(TIMEOUT)).unwrap();
    stranger.write_all(format!("{:032}\n", 1).as_bytes()).unwrap();
    let mut proof = [0; 65];
    stranger.read_exact(&mut proof).unwrap();
    stranger.write_all(&[b'0'; 400]).unwrap();
    assert_eq!(rest(&mut stranger), "", "{image}");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_relay_that_is_killed_comes_back_and_one_that_cannot_leaves_it_to_socat() {
    let stage = Stage::new("relay-killed");
    let (mut client, mut server) = stage.connect();
    client.write_all(b"question").unwrap();
    let mut asked = [0; 8];
    server.read_exact(&mut asked).unwrap();
    assert_eq!(in_pod(&stage.space, KILL), "killed\n");
    sees_a_reset(&mut client);
    // A connection waits until it is back.
    let (mut client, mut server) = stage.connect();
    server.write_all(b"again").unwrap();
    drop(server);
    assert_eq!(rest(&mut client), "again");
    // A program in its place does not speak the protocol.
    let (mut client, _server) = stage.connect();
    let spoil = "for f in /relay/*; do rm $f; echo 'exit 0' >$f; chmod 700 $f; done; ";
    assert_eq!(in_pod(&stage.space, &format!("{spoil}{KILL}")), "killed\n");
    sees_a_reset(&mut client);
    let Stage { server: listener, mut running, local, space: _space, home: _home } = stage;
    let socat = |local: &str| {
        let mut client = TcpStream::connect(local).unwrap();
        client.set_read_timeout(Some(TIMEOUT)).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(b"by socat").unwrap();
        drop(server);
        rest(&mut client)
    };
    assert_eq!(socat(&local), "by socat");
    wait_for_words(&mut running, "relays with socat");
    assert_eq!(socat(&local), "by socat");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn the_relay_is_chosen_for_all_a_cluster_or_a_target() {
    let cluster = |relay: &str| format!("[cluster.story]\nrelay = \"{relay}\"\n\n");
    for (name, config, ours) in [
        ("all", format!("[defaults]\nrelay = \"auto\"\n\n{WEB}"), true),
        ("cluster", format!("[defaults]\nrelay = \"socat\"\n\n{}{WEB}", cluster("auto")), true),
        ("target", format!("{}{WEB}relay = \"socat\"\n", cluster("auto")), false),
    ] {
        let (home, space) = (Home::new(&config), Namespace::new("relay-choice"));
        let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
        let mut running = shell.spawn(&["connect", "web", "--on-quit", "delete"]);
        assert!(works(&address(&running.line())), "{name}");
        until(name, || (in_pod(&space, "ls /relay 2>/dev/null | wc -l").trim() == "1") == ours);
        running.signal(rustix::process::Signal::INT);
        running.end();
    }
}
