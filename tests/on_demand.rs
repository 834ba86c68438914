//! Forwards on demand and pods that are renewed, with the whole program, against a real cluster.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;
#[path = "on_demand/probe.rs"]
mod probe;
#[path = "cluster/server.rs"]
mod server;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::arrange::wait_says;
use common::kube::{Namespace, kubeconfig, kubectl, until};
use common::story::{self, fifty_first_connections_make_one_pod, wait_state};
use common::through::{answer, get, works};
use common::{Home, Screen, Start, TIMEOUT};
use sha2::{Digest as _, Sha256};

/// A target on the private network's web server, with more to its table.
fn web(more: &str) -> String {
    format!("[[target]]\nname = \"web\"\ncluster = \"story\"\naddress = \"10.99.0.10:8080\"\n{more}\n")
}

/// Counts an action in the audit log.
fn audited(home: &Home, action: &str) -> usize {
    let folder = home.path().join(".local/state/brow/audit");
    let read = |entry: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(entry.unwrap().path()).unwrap();
    let all: String = std::fs::read_dir(folder).unwrap().map(read).collect();
    all.lines().filter(|line| line.contains(&format!("\"action\":\"{action}\"")) && !line.contains("fault")).count()
}

fn end(mut screen: Screen) {
    screen.signal(rustix::process::Signal::TERM);
    assert!(screen.wait_end().success());
    assert!(screen.given_back());
}

/// Returns true if a connection fails.
fn fails(address: &str) -> bool {
    answer(address, "/index.html").is_err()
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn fifty_first_connections_make_one_pod_that_goes_when_it_is_unused() {
    let space = Namespace::new("demand");
    let home = Home::new(&web("on_demand = true\nautostart = true\nidle_timeout = \"15s\"\n"));
    let path = space.kubeconfig(&home);
    let mut screen = Start::new(&home).kubeconfig(path).size(120, 40).run();
    wait_state(&mut screen, "◇ listening");
    assert!(screen.text().contains("○ disconnected"), "no cluster is connected:\n{}", screen.text());
    fifty_first_connections_make_one_pod(&mut screen, &|| space.pods().len());
    assert_eq!(audited(&home, "create-pod"), 2);
    end(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_pod_that_never_comes_fails_its_connections_and_the_next_tries_afresh() {
    let space = Namespace::new("late");
    let config = |more: &str| web(&format!("autostart = true\non_demand = true\n{more}"));
    let home = Home::new(&config("create_timeout = \"6s\"\nimage = \"example.invalid/nobody/has:this\"\n"));
    let path = space.kubeconfig(&home);
    let mut screen = Start::new(&home).kubeconfig(path).size(160, 40).run();
    let address = wait_state(&mut screen, "◇ listening");
    let clients: Vec<_> = (0..5)
        .map(|_| {
            let address = address.clone();
            thread::spawn(move || fails(&address))
        })
        .collect();
    until("a pod was asked for", || space.pods().len() == 1);
    assert!(clients.into_iter().all(|client| client.join().unwrap()), "all are reset");
    until("what came of it is deleted", || space.pods().is_empty());
    wait_state(&mut screen, "◇ listening");
    screen.press("L");
    wait_says(&mut screen, &["cannot be pulled"]);

    home.write_config(&config("create_timeout = \"60s\"\n"));
    wait_says(&mut screen, &["was reloaded"]);
    assert!(works(&address), "{}", screen.text());
    end(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_workload_is_reached_on_demand_without_any_pod_of_ours() {
    let path = kubeconfig();
    let config = "[[target]]\nname = \"web\"\ncluster = \"brow-admin\"\nnamespace = \"brow-dev\"\n\
                  workload = \"service/web:80\"\nidle_timeout = \"6s\"\n";
    let home = Home::new(config);
    let mut screen = Start::new(&home).kubeconfig(path).size(160, 40).run();
    screen.wait_for("service/web:80");
    screen.press("2o");
    let address = wait_state(&mut screen, "◇ listening");
    for _ in 0..2 {
        assert!(get(&address, "/").unwrap().starts_with(b"web-"), "a pod's name");
        wait_state(&mut screen, "◑ stops in");
        wait_state(&mut screen, "◇ listening");
    }
    assert_eq!(audited(&home, "create-pod"), 0);
    // The key again: an ordinary forward, which goes to its pods at once.
    screen.press("o");
    wait_state(&mut screen, "● live");
    // An edit of its probe reaches it.
    home.write_config(&format!("{config}probe = \"tcp\"\nprobe_interval = \"1s\"\n"));
    screen.wait("the probe's latency", |text| {
        let shows = |line: &str| line.contains("● live") && (line.contains(" ms") || line.contains(" µs"));
        text.lines().any(|line| line.contains('→') && shows(line))
    });
    end(screen);
}

/// Four clients, each of which asks again as soon as it is answered.
struct Load {
    counts: Arc<Counts>,
    clients: Vec<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Counts {
    over: AtomicBool,
    served: AtomicUsize,
    failed: AtomicUsize,
}

impl Load {
    fn on(address: &str) -> Self {
        let counts = Arc::new(Counts::default());
        let client = |_| {
            let (counts, address) = (Arc::clone(&counts), address.to_owned());
            thread::spawn(move || {
                while !counts.over.load(Ordering::SeqCst) {
                    let count = if works(&address) { &counts.served } else { &counts.failed };
                    count.fetch_add(1, Ordering::SeqCst);
                }
            })
        };
        let clients = (0..4).map(client).collect();
        Self { counts, clients }
    }

    /// Waits until so many more are served.
    fn until_more(&self, count: usize) {
        let served = || self.counts.served.load(Ordering::SeqCst);
        let before = served();
        until("more are served", || served() >= before + count);
    }

    /// Returns the numbers of served and of failed connections.
    fn end(self) -> (usize, usize) {
        self.counts.over.store(true, Ordering::SeqCst);
        self.clients.into_iter().for_each(|client| client.join().unwrap());
        (self.counts.served.load(Ordering::SeqCst), self.counts.failed.load(Ordering::SeqCst))
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_pod_that_is_deleted_under_load_is_replaced_for_those_who_come() {
    let space = Namespace::new("load");
    let home = Home::new(&web("on_demand = true\nautostart = true\n"));
    let path = space.kubeconfig(&home);
    let mut screen = Start::new(&home).kubeconfig(path).size(120, 40).run();
    let address = wait_state(&mut screen, "◇ listening");
    assert!(works(&address));
    let load = Load::on(&address);
    for round in 2..4 {
        load.until_more(40);
        let [pod] = space.pods().try_into().unwrap();
        kubectl(&["-n", &space.0, "delete", "pod", &pod, "--wait=false", "--grace-period=1"]);
        until("another was made", || audited(&home, "create-pod") == round);
    }
    load.until_more(40);
    let (served, failed) = load.end();
    eprintln!("two pods deleted under load: {served} connections served, {failed} cut");
    // What goes through a pod at the moment of its death is cut: no more than one of each client.
    assert!(failed <= 8, "{failed} of {served}");
    assert_eq!(space.pods().len(), 1);
    end(screen);
}

/// A transfer that has begun and waits for its reader.
struct Transfer {
    stream: TcpStream,
    digest: Sha256,
    length: usize,
}

impl Transfer {
    fn of(address: &str, path: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        Self { stream, digest: Sha256::new(), length: 0 }
    }

    /// Reads it to its end, slowly until there is `hurry`; its length and digest. Who reads nothing for seconds while
    /// others wait behind it is cut off.
    fn rest(mut self, hurry: &AtomicBool) -> (usize, Vec<u8>) {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = self.stream.read(&mut buffer).unwrap();
            if count == 0 {
                return (self.length, self.digest.finalize().to_vec());
            }
            self.digest.update(&buffer[..count]);
            self.length += count;
            if !hurry.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_pod_is_renewed_under_running_transfers() {
    let space = Namespace::new("renew");
    let home = Home::new(&web("ttl = \"10m\"\n"));
    let path = space.kubeconfig(&home);
    let mut screen = Start::new(&home).kubeconfig(path).size(160, 40).run();
    screen.wait_for("10.99.0.10:8080");
    screen.press("2f");
    let address = wait_state(&mut screen, "● live");
    let [old] = space.pods().try_into().unwrap();
    let whole = Sha256::digest(get(&address, "/1m").unwrap()).to_vec();
    let hurry = Arc::new(AtomicBool::new(false));
    let [large, random] = ["/256m", "/1m"].map(|path| {
        let (transfer, hurry) = (Transfer::of(&address, path), Arc::clone(&hurry));
        thread::spawn(move || transfer.rest(&hurry))
    });
    let load = Load::on(&address);

    screen.press("3t");
    screen.wait("another pod takes over", |text| {
        text.lines().any(|line| line.contains('→') && line.contains("● live") && !line.contains(&old[old.len() - 6..]))
    });
    assert_eq!(space.pods().len(), 2, "the old one carries the transfers still");
    load.until_more(20);
    let (served, failed) = load.end();
    assert_eq!(failed, 0, "of {served} connections while one pod took over from another");
    assert!(works(&address), "new connections go to the new one");
    assert!(!large.is_finished(), "one is under way still");
    hurry.store(true, Ordering::SeqCst);
    assert_eq!(random.join().unwrap(), (1 << 20, whole));
    let mut zeros = Sha256::new();
    (0..256).for_each(|_| zeros.update(vec![0; 1 << 20]));
    assert_eq!(large.join().unwrap(), (256 << 20, zeros.finalize().to_vec()));
    until("the old one is deleted", || space.pods().len() == 1 && !space.pods().contains(&old));
    assert!(works(&address));
    end(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_pod_is_renewed_under_a_connection() {
    let space = Namespace::new("again");
    let home = Home::new(&web("ttl = \"10m\"\n").replace(":8080", ":7"));
    let path = space.kubeconfig(&home);
    let mut screen = Start::new(&home).kubeconfig(path).size(160, 40).run();
    screen.wait_for("10.99.0.10:7");
    screen.press("2f");
    story::a_pod_is_renewed_under_a_connection(&mut screen, &|| space.pods());
    end(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_renewed_pod_is_left_to_another_instance_that_goes_through_it() {
    let space = Namespace::new("shared");
    let home = Home::new(&web(""));
    let path = space.kubeconfig(&home);
    let mut screen = Start::new(&home).kubeconfig(&path).size(160, 40).run();
    screen.wait_for("10.99.0.10:8080");
    screen.press("2f");
    wait_state(&mut screen, "● live");
    let [old] = space.pods().try_into().unwrap();
    // By another config the same name is another place, which the same pod reaches.
    let theirs = home.path().join("other.toml");
    std::fs::write(&theirs, web("").replace(":8080", ":7")).unwrap();
    let mut other =
        Start::new(&home).kubeconfig(&path).arg("--config").arg(theirs.to_str().unwrap()).size(160, 40).run();
    other.wait_for("10.99.0.10:7");
    other.press("2f");
    other.wait("its own forward", |text| {
        text.lines().any(|line| line.contains('→') && line.contains("● live") && line.contains(&old[old.len() - 6..]))
    });
    screen.wait("the other's forward", |text| text.contains("Forwards 2"));
    screen.press("3t");
    screen.press("L");
    wait_says(&mut screen, &[" replaces ", "Another brow-tui uses pod"]);
    assert!(space.pods().contains(&old));
    end(other);
    until("the old one is deleted", || space.pods().len() == 1 && !space.pods().contains(&old));
    end(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_pod_in_use_is_renewed_by_itself() {
    let space = Namespace::new("auto");
    let echo = web("ttl = \"50s\"\nauto_renew = true\ncreate_timeout = \"10s\"\n").replace(":8080", ":7");
    let home = Home::new(&echo);
    let path = space.kubeconfig(&home);
    let mut screen = Start::new(&home).kubeconfig(path).size(160, 40).run();
    screen.wait_for("10.99.0.10:7");
    screen.press("2f");
    let address = wait_state(&mut screen, "● live");
    let [old] = space.pods().try_into().unwrap();
    let mut open = TcpStream::connect(&address).unwrap();
    open.set_read_timeout(Some(TIMEOUT)).unwrap();
    let echoed = |stream: &mut TcpStream| {
        let mut back = [0; 4];
        stream.write_all(b"ahoy").and_then(|()| stream.read_exact(&mut back)).is_ok_and(|()| back == *b"ahoy")
    };
    assert!(echoed(&mut open));
    screen.wait("another has taken over", |text| text.contains(" replaces "));
    assert!(echoed(&mut open), "what was open stays open");
    let mut new = TcpStream::connect(&address).unwrap();
    assert!(echoed(&mut new));
    assert!(space.pods().contains(&old));
    drop(open);
    until("the old one is deleted", || !space.pods().contains(&old));
    assert!(echoed(&mut new));
    end(screen);
}

/// A config of so many targets on demand that open with the dashboard.
fn many(count: usize) -> String {
    let target = |n| {
        format!(
            "[[target]]\nname = \"t{n:03}\"\ncluster = \"nowhere\"\naddress = \"10.0.0.1:3306\"\non_demand = true\n\
             autostart = true\n"
        )
    };
    (0..count).map(target).collect()
}

/// Returns the time until the program has drawn its targets.
fn first_frame(home: &Home) -> (Screen, Duration) {
    let kubeconfig = home.kubeconfig(&["nowhere"]);
    let began = Instant::now();
    let mut screen = Start::new(home).kubeconfig(kubeconfig).size(160, 40).run();
    screen.wait_for("t000");
    (screen, began.elapsed())
}

#[test]
fn a_hundred_targets_that_start_by_themselves_hold_nothing_up() {
    let home = Home::new(&many(100));
    let (mut screen, _) = first_frame(&home);
    screen.wait("all hundred listen", |text| text.contains("Forwards 100") && !text.contains("opening"));
    assert!(screen.text().contains("○ disconnected"), "nothing is connected:\n{}", screen.text());
    // Nothing is asked: what rests is lost by nobody.
    screen.press("q");
    assert!(screen.wait_end().success());
    let drawn = |config: &str| {
        let home = Home::new(config);
        let (mut screen, drawn) = first_frame(&home);
        screen.press("q");
        assert!(screen.wait_end().success());
        drawn
    };
    // The machine may be busy for a while.
    until("the first frame is there as soon as without them", || {
        drawn(&many(100)) < drawn(&many(100).replace("autostart = true\n", "")) + Duration::from_secs(2)
    });
}
