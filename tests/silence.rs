//! A path that is lost without a word: what was said meanwhile is seen soon after, over new connections.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;

#[cfg(target_os = "linux")]
use std::process::Command;

use common::arrange::{Kubeconfig, Wire};
#[cfg(target_os = "linux")]
use common::kube::until;
use common::kube::{Namespace, kubeconfig, kubectl};
use common::{Home, Screen, Start};
use serde_json::json;

/// The program, connected to the test cluster by a wire, as somebody with rights in one namespace.
struct Wired {
    space: Namespace,
    wire: Wire,
    screen: Screen,
    _home: Home,
}

impl Wired {
    fn new(stem: &str, admin: &std::path::Path, workload: &str) -> Self {
        let space = Namespace::new(stem);
        let name = space.0.clone();
        let of_cluster = Kubeconfig::of_cluster(admin);
        let server = of_cluster.server();
        let wire = Wire::to(server.split_once("://").unwrap().1);
        let place = format!("cluster = \"far\"\nnamespace = \"{name}\"\n");
        let home = Home::new(&format!("[[target]]\nname = \"web\"\n{place}workload = \"{workload}\"\n"));
        // Another way to the same server has another name in the URL; the certificate's is asked for.
        let changed = json!({ "server": format!("https://{}", wire.address), "tls-server-name": "localhost" });
        let all = of_cluster.cluster("wire", &changed).context("far", "wire", "admin", &name);
        let path = all.write(&home.path().join("kc"));
        let mut screen = Start::new(&home).kubeconfig(path).env("USER", &name).size(200, 50).run();
        screen.wait_for("web");
        Self { space, wire, screen, _home: home }
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn watches_hear_again_soon_after_their_connections_were_forgotten() {
    let admin = kubeconfig();
    let mut wired = Wired::new("forgot", &admin, "selector/app=web:8080");
    wired.screen.press("2f");
    // Nothing is there yet, and both watches listen.
    wired.screen.wait("it waits", |text| text.contains("◌ pending") || text.contains("! no pod"));
    wired.wire.forget();
    let image = "--image=docker.io/library/busybox:latest";
    let pod = ["run", "web-one", image, "--image-pull-policy=IfNotPresent", "--labels=app=web"];
    let serve = ["--restart=Never", "--command", "--", "sh", "-c", "exec httpd -f -p 8080 -h /tmp"];
    kubectl(&[&["-n", &wired.space.0][..], &pod[..], &serve[..]].concat());
    kubectl(&["-n", &wired.space.0, "wait", "--for=condition=Ready", "pod/web-one", "--timeout=60s"]);
    // A watch that is deaf is so for five minutes.
    wired.screen.wait("the pod is seen", |text| text.contains("web-one") && text.contains("● live"));
}

/// Drops every packet to and from a local port. Removed with this.
#[cfg(target_os = "linux")]
struct Dropped(u16);

#[cfg(target_os = "linux")]
impl Dropped {
    fn new(port: u16) -> Self {
        let dropped = Self(port);
        dropped.rules("-I");
        dropped
    }

    fn rules(&self, what: &str) {
        let port = self.0.to_string();
        for end in ["--dport", "--sport"] {
            let rule = [what, "INPUT", "-i", "lo", "-p", "tcp", end, &port, "-j", "DROP"];
            let done = Command::new("iptables").arg("-w").args(rule).output();
            let done = done.expect("iptables is missing: install the package iptables");
            assert!(done.status.success(), "root is needed: {}", String::from_utf8_lossy(&done.stderr));
        }
    }
}

#[cfg(target_os = "linux")]
impl Drop for Dropped {
    fn drop(&mut self) {
        self.rules("-D");
    }
}

/// Returns the number of connections to a local port that are open for the kernel.
#[cfg(target_os = "linux")]
fn established(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let to = format!("0100007F:{port:04X} 01 ");
    table.lines().filter(|line| line.contains(&to)).count()
}

#[cfg(target_os = "linux")]
#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn the_kernel_finds_silent_connections_by_itself() {
    let admin = kubeconfig();
    let mut wired = Wired::new("silent", &admin, "selector/app=web:8080");
    wired.screen.press("2f");
    wired.screen.wait("it waits", |text| text.contains("◌ pending") || text.contains("! no pod"));
    let port = wired.wire.address.port();
    until("it watches", || established(port) >= 2);
    let _dropped = Dropped::new(port);
    // New connections do not get there either: nothing but keep-alive ends those of the watches.
    until("no connection is taken to be open", || established(port) == 0);
}
