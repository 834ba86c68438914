//! Forwards on demand and pods that are renewed, with the whole program, against a real cluster.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use common::arrange::wait_says;
use common::kube::{Namespace, kubeconfig, until};
use common::story::{self, fifty_first_connections_make_one_pod, wait_state};
use common::through::{answer, get, works};
use common::{Home, PATIENCE, Screen, Start};
use sha2::{Digest as _, Sha256};

/// A target on the private network's web server, with more to its table.
fn web(more: &str) -> String {
    format!("[[target]]\nname = \"web\"\ncluster = \"story\"\naddress = \"10.99.0.10:8080\"\n{more}\n")
}

/// How often the audit log says that something was done.
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

/// What becomes of a connection that cannot be served.
fn fails(address: &str) -> bool {
    answer(address, "/index.html").is_err()
}

#[test]
fn fifty_first_connections_make_one_pod_that_goes_when_it_is_unused() {
    let Some(_) = kubeconfig("fifty_first_connections_make_one_pod_that_goes_when_it_is_unused") else { return };
    let space = Namespace::new("demand");
    let home = Home::new(&web("on_demand = true\nautostart = true\nidle_timeout = \"5s\"\n"));
    let path = space.kubeconfig(&home);
    let mut screen = Start::new(&home).kubeconfig(path).size(120, 40).run();
    wait_state(&mut screen, "◇ waiting");
    assert!(screen.text().contains("○ idle"), "no cluster is connected:\n{}", screen.text());
    fifty_first_connections_make_one_pod(&mut screen, &|| space.pods().len());
    assert_eq!(audited(&home, "create-pod"), 2);
    end(screen);
}

#[test]
fn a_pod_that_never_comes_fails_its_connections_and_the_next_tries_afresh() {
    let Some(_) = kubeconfig("a_pod_that_never_comes_fails_its_connections_and_the_next_tries_afresh") else { return };
    let space = Namespace::new("late");
    let config = |more: &str| web(&format!("autostart = true\non_demand = true\n{more}"));
    let home = Home::new(&config("create_timeout = \"6s\"\nimage = \"example.invalid/nobody/has:this\"\n"));
    let path = space.kubeconfig(&home);
    let mut screen = Start::new(&home).kubeconfig(path).size(160, 40).run();
    let address = wait_state(&mut screen, "◇ waiting");
    let clients: Vec<_> = (0..5)
        .map(|_| {
            let address = address.clone();
            thread::spawn(move || fails(&address))
        })
        .collect();
    until("a pod was asked for", || space.pods().len() == 1);
    assert!(clients.into_iter().all(|client| client.join().unwrap()), "all are reset");
    until("what came of it is deleted", || space.pods().is_empty());
    wait_state(&mut screen, "◇ waiting");
    screen.press("L");
    wait_says(&mut screen, &["cannot be pulled"]);

    home.write_config(&config("create_timeout = \"60s\"\n"));
    wait_says(&mut screen, &["was read and is in use"]);
    assert!(works(&address), "{}", screen.text());
    end(screen);
}

#[test]
fn a_workload_is_reached_on_demand_without_any_pod_of_ours() {
    let Some(path) = kubeconfig("a_workload_is_reached_on_demand_without_any_pod_of_ours") else { return };
    let home = Home::new(
        "[[target]]\nname = \"web\"\ncluster = \"brow-admin\"\nnamespace = \"brow-dev\"\n\
         workload = \"service/web:80\"\nidle_timeout = \"3s\"\n",
    );
    let mut screen = Start::new(&home).kubeconfig(path).size(160, 40).run();
    screen.wait_for("service/web:80");
    screen.press("2o");
    let address = wait_state(&mut screen, "◇ waiting");
    for _ in 0..2 {
        assert!(get(&address, "/").unwrap().starts_with(b"web-"), "a pod's name");
        wait_state(&mut screen, "◑ idle");
        wait_state(&mut screen, "◇ waiting");
    }
    assert_eq!(audited(&home, "create-pod"), 0);
    // The key again: an ordinary forward, which goes to its pods at once.
    screen.press("o");
    wait_state(&mut screen, "● live");
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
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        Self { stream, digest: Sha256::new(), length: 0 }
    }

    fn rest(mut self) -> (usize, Vec<u8>) {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = self.stream.read(&mut buffer).unwrap();
            if count == 0 {
                return (self.length, self.digest.finalize().to_vec());
            }
            self.digest.update(&buffer[..count]);
            self.length += count;
        }
    }
}

#[test]
fn a_pod_is_renewed_under_running_transfers() {
    let Some(_) = kubeconfig("a_pod_is_renewed_under_running_transfers") else { return };
    let space = Namespace::new("renew");
    let home = Home::new(&web("ttl = \"10m\"\n"));
    let path = space.kubeconfig(&home);
    let mut screen = Start::new(&home).kubeconfig(path).size(160, 40).run();
    screen.wait_for("10.99.0.10:8080");
    screen.press("2f");
    let address = wait_state(&mut screen, "● live");
    let [old] = space.pods().try_into().unwrap();
    let whole = Sha256::digest(get(&address, "/1m").unwrap()).to_vec();
    let (large, random) = (Transfer::of(&address, "/256m"), Transfer::of(&address, "/1m"));

    screen.press("3t");
    screen.wait("another pod takes over", |text| {
        text.lines().any(|line| line.contains('→') && line.contains("● live") && !line.contains(&old[old.len() - 6..]))
    });
    assert_eq!(space.pods().len(), 2, "the old one carries the transfers still");
    assert!(works(&address), "new connections go to the new one");
    assert_eq!(random.rest(), (1 << 20, whole));
    let mut zeros = Sha256::new();
    (0..256).for_each(|_| zeros.update(vec![0; 1 << 20]));
    assert_eq!(large.rest(), (256 << 20, zeros.finalize().to_vec()));
    until("the old one is deleted", || space.pods().len() == 1 && !space.pods().contains(&old));
    assert!(works(&address));
    end(screen);
}

#[test]
fn a_pod_is_renewed_under_a_connection() {
    let Some(_) = kubeconfig("a_pod_is_renewed_under_a_connection") else { return };
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
fn a_pod_in_use_is_renewed_by_itself() {
    let Some(_) = kubeconfig("a_pod_in_use_is_renewed_by_itself") else { return };
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
    open.set_read_timeout(Some(PATIENCE)).unwrap();
    let echoed = |stream: &mut TcpStream| {
        let mut back = [0; 4];
        stream.write_all(b"ahoy").and_then(|()| stream.read_exact(&mut back)).is_ok_and(|()| back == *b"ahoy")
    };
    assert!(echoed(&mut open));
    screen.wait("another has taken over", |text| text.contains("has taken over"));
    assert!(echoed(&mut open), "what was open stays open");
    let mut new = TcpStream::connect(&address).unwrap();
    assert!(echoed(&mut new));
    assert!(space.pods().contains(&old));
    drop(open);
    until("the old one is deleted", || !space.pods().contains(&old));
    assert!(echoed(&mut new));
    end(screen);
}

#[test]
fn probes_tell_whether_a_target_is_well() {
    let Some(_) = kubeconfig("probes_tell_whether_a_target_is_well") else { return };
    let space = Namespace::new("probe");
    let well = web("probe = \"http:/index.html\"\nprobe_interval = \"1s\"\n");
    let sick = well.replace("\"web\"", "\"sick\"").replace("index.html", "nothing");
    let closed = well.replace("\"web\"", "\"shut\"").replace(":8080", ":81").replace("http:/index.html", "tcp");
    let home = Home::new(&format!("notify = \"osc777\"\n{well}{sick}{closed}"));
    let path = space.kubeconfig(&home);
    let mut screen = Start::new(&home).kubeconfig(path).size(160, 40).run();
    screen.wait_for("10.99.0.10:8080");
    screen.press("2af");
    let state = |text: &str, name: &str, state: &str| {
        text.lines().any(|line| line.contains(&format!("→ {name}")) && line.contains(state))
    };
    screen.wait("what the probes found", |text| {
        let latency =
            text.lines().any(|line| line.contains("→ web") && line.contains("● live") && line.contains(" ms"));
        latency && state(text, "sick", "▼ down") && state(text, "shut", "▼ down")
    });
    let raw = String::from_utf8_lossy(screen.raw()).into_owned();
    assert!(raw.contains("\x1b]777;notify;brow-tui;sick is down"), "the terminal is told");
    assert!(!raw.contains("brow-tui;web is"), "what is well is no news");
    screen.press("L");
    wait_says(&mut screen, &["10.99.0.10:81 refused the connection", "HTTP/1.1 404"]);
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

/// How long the program takes until it has drawn its targets.
fn first_frame(home: &Home, kubeconfig: &Path) -> (Screen, Duration) {
    let began = Instant::now();
    let mut screen = Start::new(home).kubeconfig(kubeconfig).size(160, 40).run();
    screen.wait_for("t000");
    (screen, began.elapsed())
}

#[test]
fn a_hundred_targets_that_start_by_themselves_hold_nothing_up() {
    let home = Home::new(&many(100));
    let path = home.kubeconfig(&["nowhere"]);
    let (mut screen, drawn) = first_frame(&home, &path);
    screen.wait("all hundred listen", |text| text.contains("Forwards 100") && !text.contains("opening"));
    assert!(screen.text().contains("○ idle"), "nothing is connected:\n{}", screen.text());
    let plain = Home::new(&many(100).replace("autostart = true\n", ""));
    let (mut other, without) = first_frame(&plain, &path);
    eprintln!("first frame with a hundred that start by themselves: {drawn:?}, without: {without:?}");
    assert!(drawn < without + Duration::from_secs(2), "{drawn:?} {without:?}");
    other.press("q");
    assert!(other.wait_end().success());
    // Nothing is asked: what rests is lost by nobody.
    screen.press("q");
    assert!(screen.wait_end().success());
}
