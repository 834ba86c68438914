//! The practice cluster from the keyboard, with nothing installed: no kubeconfig, an empty home, no way to any network.
//! The main story is the one that `story.rs` tells on a real cluster.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::kube::{practice_get, until};
use common::story::{self, Stage, choose};
use common::through::{get, live};
use common::{Home, Screen, Start, need};
use serde_json::Value;
use tempfile::TempDir;

/// An empty home, and a place for temporary files that is looked into.
struct Bare {
    home: Home,
    temp: TempDir,
}

impl Bare {
    fn new() -> Self {
        Self { home: Home::new(""), temp: TempDir::new().unwrap() }
    }

    /// Starts `--practice`, with a proxy in the environment that nobody is at.
    fn start(&self, size: (u16, u16), more: &[(&str, &str)]) -> Screen {
        let start = Start::new(&self.home).arg("--practice").size(size.0, size.1);
        let start = start.env("TMPDIR", self.temp.path().to_str().unwrap()).env("HTTPS_PROXY", "http://127.0.0.1:1");
        more.iter().fold(start, |start, (name, value)| start.env(name, value)).run()
    }

    /// The directory of the practice cluster.
    fn dir(&self) -> PathBuf {
        fs::read_dir(self.temp.path()).unwrap().next().expect("a directory").unwrap().path()
    }

    /// Asks the practice cluster's API behind the program's back.
    fn get(&self, path: &str) -> Value {
        practice_get(&self.dir().join("kubeconfig"), path)
    }

    fn pods(&self) -> Vec<Value> {
        let list = self.get("/api/v1/pods?labelSelector=app.kubernetes.io/managed-by%3Dbrow-tui");
        list["items"].as_array().unwrap().clone()
    }

    /// Nothing was written at home, and nothing is left of what was written elsewhere.
    fn assert_untouched(&self) {
        for dir in [self.home.path(), self.temp.path()] {
            let left: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

/// Shows all targets again.
fn show_all(screen: &mut Screen) {
    screen.press("2\x1b");
    screen.wait("all targets", |text| text.contains("Targets 13 "));
}

fn quit(mut screen: Screen) {
    screen.press("q");
    // The terminal's settings are restored after its last output.
    let ends = |screen: &Screen| !screen.cells().alternate_screen();
    screen.wait_until("the question, or the end", |screen| screen.text().contains("Quit") || ends(screen));
    if !ends(&screen) {
        screen.press("\x1b[C\r");
    }
    assert!(screen.wait_end().success());
    assert!(screen.given_back());
}

#[test]
fn from_nothing_to_bytes_and_back() {
    let bare = Bare::new();
    let screen = bare.start((120, 40), &[]);
    let stage = Stage {
        target: "hello-page",
        choose: "/hello\r",
        pod: "brow-hello-page-",
        pods: &|| bare.pods().len(),
        mebibyte: &|| (0..=250_u8).cycle().take(1 << 20).collect(),
    };
    story::from_nothing_to_bytes_and_back(screen, &stage);
    bare.assert_untouched();
}

#[test]
fn it_says_that_it_is_practice_and_reaches_no_network() {
    let bare = Bare::new();
    for (language, words) in
        [("en_US.UTF-8", "PRACTICE: nothing here is real"), ("zh_CN.UTF-8", "练习：这里的一切都是演示")]
    {
        let mut screen = bare.start((80, 24), &[("LC_ALL", language)]);
        screen.wait_for("hello-page");
        screen.wait_for(words);
        assert!(screen.text().lines().next().unwrap().contains("brow-tui"), "how to leave:\n{}", screen.text());
        choose(&mut screen, "hello-page");
        screen.press("\r");
        let shown = screen
            .wait("a live forward", |text| text.contains("127.0.0.1:") && bare.pods().len() == 1 && text.contains('●'));
        assert!(shown.contains("brow-"), "{shown}");
        assert_loopback_only(screen.pid());
        screen.signal(rustix::process::Signal::TERM);
        assert!(screen.wait_end().success());
        assert!(screen.given_back());
        bare.assert_untouched();
    }
}

/// Every TCP socket of a process has both ends on this machine (Linux tells; elsewhere nothing is looked at).
fn assert_loopback_only(pid: u32) {
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return };
    let links = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let inodes: Vec<String> =
        links.filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect();
    let mut seen = 0;
    // 127.0.0.0/8 and ::1 in the kernel's notation; 0 is an end that is not connected.
    for (table, fine) in [("tcp", vec!["7F", "00000000:0000"]), ("tcp6", vec!["01000000", "00000000:0000"])] {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if !inodes.iter().any(|inode| inode == fields[9]) {
                continue;
            }
            seen += 1;
            for end in &fields[1..3] {
                let address = end.split(':').next().unwrap();
                let own = if table == "tcp" { &address[6..] } else { &address[24..] };
                assert!(end.ends_with(fine[1]) || fine.contains(&own), "{table}: {line}");
            }
        }
    }
    assert!(seen > 0, "sockets were looked at in the right place");
}

#[test]
fn what_can_go_wrong_goes_wrong() {
    let bare = Bare::new();
    let mut screen = bare.start((160, 50), &[]);
    screen.wait_for("try-down");
    story::no_pod_says_why(&mut screen);
    let clusters = [
        ("practice", "● ready"),
        ("practice-team", "● ready"),
        ("practice-viewer", "● ready"),
        ("practice-down", "✗ unreach"),
    ];
    story::clusters_show_how_they_answer(&mut screen, &clusters);
    quit(screen);
    bare.assert_untouched();
}

/// Somebody whose rights end with their namespace: watched there alone, and through to a service of the cluster.
#[test]
fn a_team_works_in_its_own_namespace() {
    let bare = Bare::new();
    let mut screen = bare.start((120, 40), &[]);
    screen.wait_for("hello-page");
    choose(&mut screen, "team-page");
    screen.press("\r");
    let shown = screen.wait("a live forward", |text| live(text).is_some());
    assert_eq!(get(&live(&shown).unwrap(), "/index.html").unwrap(), b"hello from the vpc\n");
    assert_eq!(bare.pods()[0]["metadata"]["namespace"], "shop");
    quit(screen);
    bare.assert_untouched();
}

#[test]
fn targets_that_do_not_answer_say_why() {
    let bare = Bare::new();
    let mut screen = bare.start((160, 50), &[]);
    for (target, words) in [("try-refused", "refused the connection"), ("try-unresolved", "resolve")] {
        screen.wait_for("try-down");
        choose(&mut screen, target);
        screen.press("\r");
        story::fails_with(&mut screen, words);
        screen.press("4x");
        screen.wait_for("Forwards 0");
        show_all(&mut screen);
    }
    quit(screen);
    bare.assert_untouched();
}

#[test]
fn a_pod_ends_at_its_deadline_and_what_an_editor_writes_counts() {
    let bare = Bare::new();
    let mut screen = bare.start((120, 40), &[]);
    screen.wait_for("hello-page");
    let config = bare.dir().join("config.toml");
    let short = "\n[[target]]\nname = \"zz\"\ncluster = \"practice\"\naddress = \"10.0.0.1:7\"\nttl = \"5s\"\n";
    fs::write(&config, fs::read_to_string(&config).unwrap() + short).unwrap();
    screen.wait_for("zz");
    choose(&mut screen, "zz");
    let reason = |pod: &Value| pod["status"]["reason"].as_str().unwrap_or_default().to_owned();
    story::runs_out(&mut screen, "brow-zz-", &|| bare.pods().iter().map(reason).collect());
    quit(screen);
    bare.assert_untouched();
}

/// A forward on demand, and a pod that is renewed, as `on_demand.rs` tells them on a real cluster.
#[test]
fn on_demand_and_renewed_as_on_a_real_cluster() {
    let bare = Bare::new();
    let mut screen = bare.start((160, 40), &[]);
    screen.wait_for("hello-page");
    let config = bare.dir().join("config.toml");
    let lazy = "\n[[target]]\nname = \"lazy\"\ncluster = \"practice\"\naddress = \"10.0.0.1:8080\"\non_demand = true\n\
                idle_timeout = \"15s\"\n";
    fs::write(&config, fs::read_to_string(&config).unwrap() + lazy).unwrap();
    screen.wait_for("lazy");
    choose(&mut screen, "lazy");
    screen.press("o");
    let names = || -> Vec<String> {
        let live = |pod: &Value| pod["metadata"]["deletionTimestamp"].is_null();
        let name = |pod: &Value| pod["metadata"]["name"].as_str().unwrap().to_owned();
        bare.pods().iter().filter(|pod| live(pod)).map(name).collect()
    };
    story::fifty_first_connections_make_one_pod(&mut screen, &|| names().len());
    screen.press("4x");
    screen.wait_for("Forwards 0");
    until("its pod goes with it, at the latest when it is idle", || names().is_empty());
    screen.press("2");
    screen.escape("/ lazy");
    choose(&mut screen, "echo");
    screen.press("f");
    story::a_pod_is_renewed_under_a_connection(&mut screen, &names);
    story::connections_are_seen_and_strangers_refused(&mut screen);
    screen.signal(rustix::process::Signal::TERM);
    assert!(screen.wait_end().success());
    bare.assert_untouched();
}

/// The same API for the tool that everybody has.
#[test]
fn kubectl_finds_its_way_about() {
    need("kubectl", "kubernetes-client");
    let bare = Bare::new();
    let mut screen = bare.start((120, 40), &[]);
    screen.wait_for("hello-page");
    let kubeconfig = bare.dir().join("kubeconfig");
    let cache = TempDir::new().unwrap();
    let kubectl = |args: &[&str]| {
        let mut command = std::process::Command::new("kubectl");
        command.env("HOME", cache.path()).arg("--kubeconfig").arg(&kubeconfig).args(args);
        let output = command.output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    for (args, words) in [
        (vec!["version"], "+practice"),
        (vec!["get", "pods"], "1/1     Running   0"),
        (vec!["get", "all", "-A"], "statefulset.apps/redis"),
        (vec!["describe", "pod", "redis-0"], "Started container redis"),
        (vec!["logs", "redis-0"], "listening on port 6379"),
        (vec!["delete", "pod", "redis-0"], "\"redis-0\" deleted"),
        (vec!["get", "pods", "none"], "pods \"none\" not found"),
        (vec!["rollout", "restart", "deployment", "web"], "restarted"),
        (vec!["rollout", "status", "deployment", "web", "--timeout=50s"], "successfully rolled out"),
        (vec!["--context", "practice-viewer", "delete", "pod", "x"], "User \"viewer\" cannot delete resource \"pods\""),
        (vec!["--context", "practice-team", "get", "pods", "-A"], "at the cluster scope"),
        (vec!["--context", "practice-down", "get", "pods"], "refused"),
    ] {
        let said = kubectl(&args);
        assert!(said.contains(words), "kubectl {args:?}: {said}");
    }
    // What kubectl makes and unmakes the dashboard shows.
    choose(&mut screen, "hello-page");
    screen.press("c");
    until("a pod", || bare.pods().len() == 1);
    let name = bare.pods()[0]["metadata"]["name"].as_str().unwrap().to_owned();
    screen.wait_for(&name);
    kubectl(&["delete", "pod", &name, "--now"]);
    screen.wait("the pod is gone", |text| text.contains("Proxy pods 0"));
    screen.signal(rustix::process::Signal::TERM);
    assert!(screen.wait_end().success());
    bare.assert_untouched();
}

#[test]
fn a_killed_program_leaves_nothing_for_long() {
    let bare = Bare::new();
    let mut screen = bare.start((80, 24), &[]);
    screen.wait_for("hello-page");
    let left = bare.dir();
    screen.signal(rustix::process::Signal::KILL);
    screen.wait_end();
    assert!(left.exists(), "nobody can tidy up after SIGKILL");
    let mut screen = bare.start((80, 24), &[]);
    screen.wait_for("hello-page");
    assert!(!left.exists(), "but the next start does");
    screen.press("q");
    assert!(screen.wait_end().success());
    bare.assert_untouched();
}

/// Replaces the user's files by pipes that nobody writes into: opening one to read or to write would hang.
fn with_traps(home: &Home) -> Vec<PathBuf> {
    let traps =
        [".kube/config", ".config/brow/config.toml", ".config/brow/config.json", ".local/state/brow/state.json"];
    let traps: Vec<PathBuf> = traps.iter().map(|trap| home.path().join(trap)).collect();
    for trap in &traps {
        fs::create_dir_all(trap.parent().unwrap()).unwrap();
        assert!(Command::new("mkfifo").arg(trap).status().unwrap().success());
    }
    traps
}

/// Everything in a directory and below it.
fn tree(dir: &Path) -> Vec<PathBuf> {
    let inside = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<PathBuf> = inside
        .flat_map(|path| if path.is_dir() { [vec![path.clone()], tree(&path)].concat() } else { vec![path] })
        .collect();
    all.sort();
    all
}

#[test]
fn nothing_of_the_users_is_read_or_written() {
    let bare = Bare::new();
    let traps = with_traps(&bare.home);
    let before = tree(bare.home.path());
    let kubeconfig = traps[0].to_str().unwrap();
    let mut screen = bare.start((80, 24), &[("KUBECONFIG", kubeconfig), ("BROW_CONFIG", traps[1].to_str().unwrap())]);
    screen.wait_for("hello-page");
    choose(&mut screen, "hello-page");
    screen.press("\r");
    let shown = screen.wait("a live forward", |text| live(text).is_some());
    assert_eq!(get(&live(&shown).unwrap(), "/index.html").unwrap(), b"hello from the vpc\n");
    // What is saved is saved there, and what is read again is read there.
    screen.press("n");
    screen.wait_for("New target");
    screen.press("mine\t\t\t10.0.0.1:8080\r");
    until("it is saved", || fs::read_to_string(bare.dir().join("config.toml")).unwrap().contains("mine"));
    screen.press("\x12");
    screen.press("\x03\x03");
    assert!(screen.wait_end().success());
    assert_eq!(tree(bare.home.path()), before);
    assert!(fs::read_dir(bare.temp.path()).unwrap().next().is_none(), "nothing is left elsewhere");
}

/// A DNS query for the address of page.practice.internal, and the last four bytes of the answer.
const BY_UDP: &str = r"exec 3<>/dev/udp/$BROW_HOST_DNS/$BROW_PORT_DNS
printf '\0\7\1\0\0\1\0\0\0\0\0\0\4page\10practice\10internal\0\0\1\0\1' >&3
dd bs=512 count=1 <&3 2>/dev/null | tail -c 4 | od -An -tu1";

/// In a network of its own that has loopback and nothing else, the clients that people use reach its three servers.
#[test]
fn real_clients_reach_its_servers_where_there_is_no_network() {
    const UP: &str = "PATH=$PATH:/usr/sbin:/sbin; ip link set lo up || exit 99; exec \"$@\"";
    let alone = |args: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "sh", "-c", UP, "sh"]).args(args);
        command
    };
    for (program, package) in [
        ("unshare", "util-linux"),
        ("ip", "iproute2"),
        ("curl", "curl"),
        ("redis-cli", "redis-tools"),
        ("socat", "socat"),
    ] {
        need(program, package);
    }
    let bare = Bare::new();
    let script = "curl -s http://$BROW_ADDR_HELLO_PAGE/index.html; redis-cli -p $BROW_PORT_REDIS set ship brow; \
                  redis-cli -p $BROW_PORT_REDIS get ship; echo hello | socat -t 5 - TCP:$BROW_ADDR_ECHO; \
                  bash -c \"$BY_UDP\"";
    let program = env!("CARGO_BIN_EXE_brow-tui");
    let targets =
        ["--practice", "connect", "hello-page", "redis", "echo", "dns", "--quiet", "--exec", "sh", "-c", script];
    let mut command = alone(&[&[program], &targets[..]].concat());
    command
        .env("HOME", bare.home.path())
        .env("TMPDIR", bare.temp.path())
        .env_remove("KUBECONFIG")
        .env("BY_UDP", BY_UDP);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The lines of the forwards come first.
    assert!(said.ends_with("hello from the vpc\nOK\nbrow\nhello\n  10   0   0   1\n"), "{said}");
    bare.assert_untouched();
}
