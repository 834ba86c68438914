//! UDP where our own relay does not run: through socat.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use super::{ASK_AGAIN, PRIVATE, Stage, receive, resolve, socket, wait_for};
use crate::common::kube::{kubectl, until};

/// The setting of a target whose pods run socat.
const SOCAT: &str = "relay = \"socat\"\n";

/// The processes of a stage's pod that carry flows.
fn carrying(stage: &Stage) -> usize {
    let pods = stage.space.pods();
    let count = "grep -l [F]D:1,ignoreeof /proc/[0-9]*/cmdline 2>/dev/null | wc -l";
    let processes = kubectl(&["-n", &stage.space.0, "exec", &pods[0], "--", "sh", "-c", count]);
    processes.trim().parse().unwrap()
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn names_are_resolved_through_socat_and_its_limits_are_told() {
    let mut stage = Stage::new("udp-socat", &format!("{PRIVATE}:53"), SOCAT);
    let messages = stage.messages();
    wait_for(&messages, "carries UDP with socat");
    thread::scope(|scope| {
        for client in 0..4_u16 {
            let stage = &stage;
            scope.spawn(move || {
                let socket = stage.client();
                for number in 0..25_u16 {
                    let id = client << 8 | number;
                    assert_eq!(resolve(&socket, id, "web.brow-dev.svc.cluster.local"), (0, [10, 96, 0, 80]));
                }
            });
        }
    });
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn datagrams_keep_their_boundaries_through_socat_and_the_server_may_begin() {
    let server = socket(&format!("{PRIVATE}:0"));
    let stage = Stage::new("udp-socat-sizes", &server.local_addr().unwrap().to_string(), SOCAT);
    let clients = [stage.client(), stage.client()];
    let mut seen = BTreeSet::new();
    for size in [1_usize, 2, 10, 512, 1_472, 1_473, 8_192, 32_768, 65_507] {
        for (client, byte) in clients.iter().zip([7, 8]) {
            let up: Vec<u8> = (0..size).map(|place| u8::try_from(place % 251).unwrap() ^ byte).collect();
            client.send(&up).unwrap();
            let (came, from) = receive(&server);
            assert!(came == up, "{size} up: {}", came.len());
            seen.insert(from);
            // One that nobody asked for, after the answer.
            for down in [&up[..], &up[..size.div_ceil(2)]] {
                server.send_to(down, from).unwrap();
                assert!(receive(client).0 == down, "{} down", down.len());
            }
        }
    }
    assert_eq!(seen.len(), 2, "a flow for each client");
    // Several at once stay apart.
    for number in 0..20_u8 {
        clients[0].send(&vec![number; 100 + usize::from(number)]).unwrap();
    }
    for number in 0..20_u8 {
        let (came, from) = receive(&server);
        assert_eq!(came, vec![number; 100 + usize::from(number)]);
        server.send_to(&came, from).unwrap();
    }
    for number in 0..20_u8 {
        assert_eq!(receive(&clients[0]).0, vec![number; 100 + usize::from(number)]);
    }
    assert_eq!(carrying(&stage), 2);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_flow_through_socat_that_is_refused_says_so_and_leaves_nothing_behind() {
    let server = socket(&format!("{PRIVATE}:0"));
    let to = server.local_addr().unwrap();
    drop(server);
    let mut stage = Stage::new("udp-socat-refused", &to.to_string(), SOCAT);
    let messages = stage.messages();
    let client = stage.client();
    client.send(b"anybody?").unwrap();
    wait_for(&messages, "refused");
    until("its processes are gone", || carrying(&stage) == 0);
    let server = socket(&to.to_string());
    server.set_read_timeout(Some(ASK_AGAIN)).unwrap();
    let mut space = [0; 64];
    // The first may still belong to the flow that was refused.
    let heard = (0..20).find_map(|_| {
        client.send(b"now?").unwrap();
        server.recv(&mut space).ok()
    });
    assert_eq!(&space[..heard.expect("a datagram")], b"now?");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_pod_that_cannot_run_the_relay_carries_datagrams_with_socat() {
    let mut stage = Stage::new("udp-unable", &format!("{PRIVATE}:53"), "");
    let client = stage.client();
    resolve(&client, 1, "host.brow.vpc");
    let messages = stage.messages();
    // Programs in its place do not speak the protocol.
    let spoil = r"for f in /relay/*; do rm $f; echo 'exit 0' >$f; chmod 700 $f; done
for p in /proc/[0-9]*; do case $(readlink $p/exe) in /relay/*) kill -9 ${p#/proc/} ;; esac; done";
    let pods = stage.space.pods();
    kubectl(&["-n", &stage.space.0, "exec", &pods[0], "--", "sh", "-c", spoil]);
    wait_for(&messages, "carries UDP with socat");
    client.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    assert_eq!(resolve(&client, 2, "host.brow.vpc"), (0, [10, 99, 0, 10]));
}
