//! A node whose kubelet and container runtime hang: the pod proxy carries connections past both. Alone in its program,
//! since every other test on the cluster needs them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;
#[path = "verbs/shell.rs"]
#[allow(dead_code, reason = "each story uses its part")]
mod shell;
#[path = "relay/stage.rs"]
#[allow(dead_code, reason = "each story uses its part")]
mod stage;

use std::fs;
use std::net::Shutdown;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use stage::{Stage, is_open, rest};

/// Longer than it takes to find out that a tunnel's other end is silent.
const STOPPED: Duration = Duration::from_secs(20);

/// Processes that are stopped until this is dropped.
struct Stopped(Vec<Pid>);

impl Stopped {
    /// Stops the kubelet of the test cluster, which runs on this machine, and its container runtime.
    fn new() -> Self {
        let arguments = |pid: i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let program = |pid: i32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let pids = || fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let kubelet = pids().find(|pid| program(*pid) == "kubelet\n").expect("the kubelet of the test cluster");
        let arguments_of_kubelet = arguments(kubelet);
        let config = arguments_of_kubelet.split('\0').find_map(|argument| argument.strip_prefix("--config=")).unwrap();
        let folder = Path::new(config).parent().unwrap().to_str().unwrap();
        // Docker has one of the same name.
        let is_runtime = |pid: &i32| program(*pid) == "containerd\n" && arguments(*pid).contains(folder);
        let runtime = pids().find(is_runtime).expect("the container runtime of the test cluster");
        let stopped = Self([kubelet, runtime].map(|pid| Pid::from_raw(pid).unwrap()).into());
        for pid in &stopped.0 {
            kill_process(*pid, Signal::STOP).expect("root");
        }
        stopped
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for pid in &self.0 {
            // One that is gone must not keep the other from going on.
            let _gone = kill_process(*pid, Signal::CONT);
        }
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn connections_go_on_and_new_ones_are_made_while_a_node_hangs() {
    let (stage, [(mut early, mut served), (mut late, mut other)]) = Stage::with_one_by_each_carrier("stopped");
    // It would break, as would one whose end is still on its way.
    early.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut served), "");
    drop(served);
    assert_eq!(rest(&mut early), "");
    let stopped = Stopped::new();
    let end = Instant::now() + STOPPED;
    while Instant::now() < end {
        is_open(&mut late, &mut other);
        stage.converses();
        thread::sleep(Duration::from_millis(200));
    }
    drop(stopped);
    is_open(&mut late, &mut other);
    stage.converses();
    let said = stage.end();
    assert!(!said.contains("broke") && !said.contains("does not"), "the tunnels that broke carried nothing: {said}");
}
