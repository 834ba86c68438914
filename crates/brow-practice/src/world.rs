//! The state that all parts of the running practice cluster share.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chrono::{DateTime, SecondsFormat, Utc};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{BufReader, DuplexStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::store::{Key, Store};
use super::users::User;

pub(super) const NODE: &str = "practice-node";

/// The way in which nodes end a stream that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// Kubernetes before 1.32, with containerd before 2.1: the error's text, then the ends of both SPDY streams.
    Ends,
    /// Later ones: the error's text, then resets of both.
    Resets,
}

/// The data of the Redis servers.
pub(super) type Memory = Arc<Mutex<BTreeMap<Vec<u8>, Vec<u8>>>>;

/// A reader of lines over a wire, for protocols that have some.
pub(super) type Lines = BufReader<DuplexStream>;

/// The state that all parts of the practice cluster share. It takes the place of other machines, so it has locks and
/// tasks of its own.
pub(super) struct World {
    pub runtime: Runtime,
    pub store: Store,
    /// The bearer token of each user, made for this run.
    pub tokens: Vec<(String, User)>,
    /// The data of the Redis servers.
    pub memory: Memory,
    /// Images that have been pulled.
    pub images: Mutex<HashSet<String>>,
    /// Running containers, by their pod's uid.
    runs: Mutex<HashMap<String, RunningPod>>,
    /// Ends everything.
    pub token: CancellationToken,
    pub tasks: TaskTracker,
    counter: AtomicU64,
}

/// The running containers of a pod.
#[derive(Debug, Clone, Default)]
pub(super) struct RunningPod {
    /// Cancelled when its containers end.
    pub stopped: CancellationToken,
    pub log: Arc<Log>,
    /// The secret that its relay was given.
    secret: Arc<Mutex<Option<String>>>,
    /// Ports that its relay opened, each for one address and for whoever begins with a word.
    lanes: Arc<Mutex<HashMap<u16, (String, String)>>>,
    /// True once its relay listens for the API server.
    listens: Arc<AtomicBool>,
}

/// The ports that are given to who asks for none (`net.ipv4.ip_local_port_range`).
const EPHEMERAL: std::ops::RangeInclusive<u16> = 32_768..=60_999;

impl RunningPod {
    /// The secret that its relay was given.
    pub(super) fn secret(&self) -> Option<String> {
        self.secret.lock().clone()
    }

    pub(super) fn take_secret(&self, secret: String) {
        *self.secret.lock() = Some(secret);
    }

    /// Lets its relay listen for the API server.
    pub(super) fn listen(&self) {
        self.listens.store(true, Ordering::Relaxed);
    }

    pub(super) fn listens(&self) -> bool {
        self.listens.load(Ordering::Relaxed)
    }

    /// Opens a port for an address, and for whoever begins with a word.
    pub(super) fn open_lane(&self, address: &str, word: &str) -> u16 {
        let mut lanes = self.lanes.lock();
        let first = rand::random_range(EPHEMERAL);
        // A forward has one: they never run out.
        let free = EPHEMERAL.cycle().skip(usize::from(first - EPHEMERAL.start())).take(EPHEMERAL.len());
        let port = free.into_iter().find(|port| !lanes.contains_key(port)).unwrap_or(first);
        lanes.insert(port, (address.to_owned(), word.to_owned()));
        port
    }

    pub(super) fn close_lane(&self, port: u16) {
        self.lanes.lock().remove(&port);
    }

    /// Returns the address and the first word of an opened port.
    pub(super) fn lane(&self, port: u16) -> Option<(String, String)> {
        self.lanes.lock().get(&port).cloned()
    }
}

impl World {
    pub(super) fn new(runtime: Runtime) -> Self {
        Self {
            runtime,
            store: Store::default(),
            tokens: User::ALL.into_iter().map(|user| (hex(32), user)).collect(),
            memory: Memory::default(),
            images: Mutex::default(),
            runs: Mutex::default(),
            token: CancellationToken::new(),
            tasks: TaskTracker::new(),
            counter: AtomicU64::new(0),
        }
    }

    /// Starts a task that ends with the cluster.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let token = self.token.clone();
        self.tasks.spawn(async move { token.run_until_cancelled(task).await });
    }

    /// The running containers of a pod, created on first use.
    pub(super) fn run(&self, uid: &str) -> RunningPod {
        self.runs.lock().entry(uid.to_owned()).or_default().clone()
    }

    /// Ends what runs for a pod, whose object is gone.
    pub(super) fn end_run(&self, uid: &str) {
        if let Some(run) = self.runs.lock().remove(uid) {
            run.stopped.cancel();
        }
    }

    /// Records an event about a pod; one that says the same as an earlier one is counted there.
    pub(super) fn event(&self, pod: &Value, kind: &str, reason: &str, message: &str) {
        let meta = &pod["metadata"];
        let (namespace, name) = (words(&meta["namespace"]), words(&meta["name"]));
        let (known, _) = self.store.list("events", Some(namespace));
        let same = known.iter().find(|event| {
            event["involvedObject"]["uid"] == meta["uid"] && event["reason"] == reason && event["message"] == message
        });
        if let Some(event) = same {
            let key = Key::new("events", namespace, words(&event["metadata"]["name"]));
            self.store.update(&key, |event| {
                event["count"] = (event["count"].as_u64().unwrap_or(1) + 1).into();
                event["lastTimestamp"] = now().into();
            });
            return;
        }
        let scheduler = matches!(reason, "Scheduled" | "FailedScheduling");
        let mut about = json!({
            "kind": "Pod", "apiVersion": "v1", "namespace": namespace, "name": name,
            "uid": meta["uid"], "resourceVersion": meta["resourceVersion"],
        });
        if matches!(reason, "Pulling" | "Pulled" | "Created" | "Started" | "Killing" | "BackOff" | "Failed") {
            about["fieldPath"] = format!("spec.containers{{{}}}", words(&pod["spec"]["containers"][0]["name"])).into();
        }
        let source = if scheduler {
            json!({ "component": "default-scheduler" })
        } else {
            json!({ "component": "kubelet", "host": NODE })
        };
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let name = format!("{name}.{:x}{number:04x}", Utc::now().timestamp_millis());
        let event = json!({
            "kind": "Event", "apiVersion": "v1",
            "metadata": { "name": name, "namespace": namespace, "uid": uid(), "creationTimestamp": now() },
            "involvedObject": about, "reason": reason, "message": message, "type": kind, "source": source,
            "firstTimestamp": now(), "lastTimestamp": now(), "count": 1, "eventTime": null,
            "reportingComponent": source["component"], "reportingInstance": "",
        });
        // Numbered names don't meet.
        let _kept = self.store.insert(Key::new("events", namespace, name), event);
    }
}

/// The log of a container, and its followers.
#[derive(Debug)]
pub(super) struct Log {
    lines: Mutex<Vec<(DateTime<Utc>, String)>>,
    written: watch::Sender<usize>,
}

impl Default for Log {
    fn default() -> Self {
        Self { lines: Mutex::default(), written: watch::Sender::new(0) }
    }
}

impl Log {
    pub(super) fn write(&self, line: impl Into<String>) {
        let mut lines = self.lines.lock();
        lines.push((Utc::now(), line.into()));
        self.written.send_replace(lines.len());
    }

    /// The lines from a number on.
    pub(super) fn from(&self, first: usize) -> Vec<(DateTime<Utc>, String)> {
        self.lines.lock().get(first..).map(<[_]>::to_vec).unwrap_or_default()
    }

    /// Returns a receiver of the number of lines.
    pub(super) fn subscribe(&self) -> watch::Receiver<usize> {
        self.written.subscribe()
    }
}

/// The text of a JSON value; empty if it is no string.
pub(super) fn words(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The time as Kubernetes writes it: RFC 3339, to the second.
pub(super) fn now() -> String {
    time(Utc::now())
}

pub(super) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Random hexadecimal digits.
pub(super) fn hex(count: usize) -> String {
    (0..count).map(|_| char::from_digit(rand::random_range(0..16), 16).unwrap_or('0')).collect()
}

/// A random UUID (RFC 9562, 5.4).
pub(super) fn uid() -> String {
    format!("{}-{}-4{}-a{}-{}", hex(8), hex(4), hex(3), hex(3), hex(12))
}
