//! Our own relay through the pod proxy: without the node, and without an error where that does not work.

use std::sync::atomic::Ordering;

use super::gateway::Gateway;
use super::pods::in_pod;
use super::stage::BY_POD_PROXY;
use super::*;
use crate::common::kube::until;

/// Its word that they do not.
pub const NOT_BY_POD_PROXY: &str = "not through the pod proxy to ";

/// The connections that the API server has made to the relay's port.
pub fn carried(space: &Namespace) -> usize {
    let sockets = in_pod(space, "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null");
    sockets.lines().filter(|line| local_port(line).is_some() && line.split_whitespace().nth(3) == Some("01")).count()
}

/// The relay's port, if a line of the kernel's table is of a socket there: `280A` is 10250.
fn local_port(line: &str) -> Option<&str> {
    line.split_whitespace().nth(1)?.split_once(':').map(|(_, port)| port).filter(|port| *port == "280A")
}

/// Ends the relay's process on the port-forward stream, or with a `port` that which listens.
pub fn kill(space: &Namespace, port: bool) {
    let which = if port { "*10250" } else { "*brow" };
    let all = format!(
        r"for p in /proc/[0-9]*; do case $(readlink $p/exe) in /relay/*) a=$(tr '\0' ' ' <$p/cmdline)
case ${{a% }} in {which}) kill -9 ${{p#/proc/}}; while [ -d $p ]; do :; done; echo killed ;; esac ;; esac; done"
    );
    assert_eq!(in_pod(space, &all), "killed\n");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn connections_move_to_the_pod_proxy_and_outlive_the_ways_that_break() {
    let (stage, [(mut early, _served), (mut late, mut other)]) = Stage::with_one_by_each_carrier("proxied");
    kill(&stage.space, false);
    sees_a_reset(&mut early);
    is_open(&mut late, &mut other);
    stage.converses();
    // Without the pod proxy port-forward serves again, until that is back.
    kill(&stage.space, true);
    sees_a_reset(&mut late);
    stage.converses();
    until("the pod proxy is back", || stage.logged(BY_POD_PROXY) == 2);
    stage.converses();
    let said = stage.end();
    assert!(!said.contains("socat"), "{said}");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn many_connections_at_once_bring_every_byte_through_the_pod_proxy() {
    let stage = Stage::with("proxied-many", "carrier = \"pod-proxy\"\n", true);
    stage.converses();
    assert_eq!(carried(&stage.space), 1, "the first waits for it");
    carry_many(&stage, 48);
    assert_eq!(carried(&stage.space), 1, "one carries all");
    stage.end();
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn without_the_right_or_the_wish_port_forward_serves_and_the_reason_is_told_once() {
    for (config, allowed, told) in
        [("", false, 1), ("carrier = \"pod-proxy\"\n", false, 1), ("carrier = \"port-forward\"\n", true, 0)]
    {
        let stage = Stage::with("proxied-not", config, allowed);
        for _ in 0..3 {
            stage.converses();
        }
        until("it was tried where it may be", || told == 0 || stage.logged(NOT_BY_POD_PROXY) > 0);
        // Nothing listens there.
        let listening = in_pod(&stage.space, "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null");
        assert!(!listening.lines().any(|line| local_port(line).is_some()), "{config}: {listening}");
        let said = stage.end();
        let lines: Vec<&str> = said.lines().filter(|line| line.contains("pod proxy")).collect();
        assert_eq!(lines.len(), told, "{config}: {said}");
        assert!(lines.iter().all(|line| line.contains("pods/proxy")), "{lines:?}");
    }
}

/// A forward through a gateway.
fn behind(gateway: &Gateway, name: &str) -> Stage {
    Stage::by("", Namespace::new(name), |home, space| gateway.kubeconfig(home, space))
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_gateway_that_strips_upgrades_leaves_it_to_port_forward() {
    let gateway = Gateway::new();
    gateway.behavior.strips.store(true, Ordering::Relaxed);
    let stage = behind(&gateway, "proxied-strip");
    stage.converses();
    until("it was tried, twice", || gateway.behavior.asked.load(Ordering::Relaxed) >= 2);
    stage.converses();
    assert_eq!(carried(&stage.space), 0);
    // Later it is tried again.
    gateway.behavior.strips.store(false, Ordering::Relaxed);
    until("the pod proxy carries", || stage.logged(BY_POD_PROXY) == 1);
    stage.converses();
    let said = stage.end();
    assert!(said.contains("426"), "{said}");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_node_that_is_stuck_stops_no_connection_of_the_pod_proxy() {
    let gateway = Gateway::new();
    let stage = behind(&gateway, "proxied-stuck");
    until("the pod proxy carries", || stage.logged(BY_POD_PROXY) == 1);
    let (mut client, mut server) = stage.connect();
    is_open(&mut client, &mut server);
    gateway.behavior.stuck_nodes.store(true, Ordering::Relaxed);
    is_open(&mut client, &mut server);
    for _ in 0..3 {
        stage.converses();
    }
    is_open(&mut client, &mut server);
    gateway.behavior.stuck_nodes.store(false, Ordering::Relaxed);
    drop(stage.end());
}
