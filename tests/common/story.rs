//! The main job, as one story that is told on the real cluster and on the practice cluster alike.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::thread;

use sha2::{Digest, Sha256};

use super::kube::until;
use super::through::{get, live, local, works};
use super::{Screen, TIMEOUT, selected};

/// Seconds left of the ready pod whose name begins so, as the pane shows them.
pub fn countdown_of(screen: &str, pod: &str) -> Option<u32> {
    let line = screen.lines().find(|line| line.contains(pod) && line.contains("● ready"))?;
    let words = line.split(|c: char| !(c.is_ascii_digit() || c == ':'));
    let (minutes, seconds) = words.filter_map(|word| word.split_once(':')).next_back()?;
    Some(minutes.parse::<u32>().ok()? * 60 + seconds.parse::<u32>().ok()?)
}

/// The cluster and names that a story uses.
pub struct Stage<'a> {
    /// The target, and the keys that choose it.
    pub target: &'a str,
    pub choose: &'a str,
    /// The prefix of its pods' names.
    pub pod: &'a str,
    /// The proxy pods that the cluster itself knows of.
    pub pods: &'a dyn Fn() -> usize,
    /// The mebibyte that is at `/1m`.
    pub mebibyte: &'a dyn Fn() -> Vec<u8>,
}

/// From a saved target to a pod, a forward, bytes, and back to nothing, with the keys that the bottom line names.
pub fn from_nothing_to_bytes_and_back(mut screen: Screen, stage: &Stage<'_>) {
    screen.wait_for(stage.target);
    assert!(screen.text().contains("○ disconnected"), "nothing is connected at start:\n{}", screen.text());

    screen.press(stage.choose);
    screen.press("c");
    let countdown = |text: &str| countdown_of(text, stage.pod);
    let shown = screen.wait("a ready pod with a countdown", |text| countdown(text).is_some());
    let first = countdown(&shown).unwrap();
    assert!((1_700..=1_800).contains(&first), "{first}");
    screen.wait("the countdown moves", |text| countdown(text).is_some_and(|left| left < first));

    screen.press("f");
    let shown = screen.wait("a live forward", |text| live(text).is_some());
    let address = live(&shown).unwrap();
    let through = get(&address, "/1m").unwrap();
    let page = get(&address, "/index.html").unwrap();
    assert_eq!(through.len(), 1 << 20);
    assert_eq!(Sha256::digest(&through), Sha256::digest((stage.mebibyte)()));
    assert_eq!(page, b"hello from the vpc\n");
    screen.wait_for("0/2");
    assert_eq!((stage.pods)(), 1, "one pod serves both");

    screen.press("3D");
    screen.wait_for("Delete");
    screen.press("\x1b[C\r");
    until("the pod is gone", || (stage.pods)() == 0);
    screen.wait_for("no pod");

    screen.press("q");
    screen.wait_for("Quit");
    screen.press("\x1b[C\r");
    assert!(screen.wait_end().success());
    assert!(screen.given_back());
    assert!(TcpStream::connect(&address).is_err(), "the listener went with the program");
}

/// A forward to a target that cannot be reached, just asked for: it is live, its connections fail, and it says why.
pub fn fails_with(screen: &mut Screen, words: &str) {
    let shown = screen.wait("a live forward", |text| live(text).is_some());
    let mut stream = TcpStream::connect(live(&shown).unwrap()).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let answer = stream.read(&mut [0; 8]).map_err(|error| error.kind());
    assert!(matches!(answer, Ok(0) | Err(std::io::ErrorKind::ConnectionReset)), "{answer:?}");
    screen.wait(words, |text| text.to_lowercase().contains(words));
}

/// The chosen target's pod comes up, runs out on the screen, and is ended by the cluster, which says why.
pub fn runs_out(screen: &mut Screen, pod: &str, reasons: &dyn Fn() -> Vec<String>) {
    screen.press("c");
    screen.wait("a ready pod", |text| countdown_of(text, pod).is_some());
    screen.wait("an expired pod", |text| text.lines().any(|line| line.contains(pod) && line.contains("expired")));
    until("the cluster says so too", || reasons() == ["DeadlineExceeded"]);
}

/// Goes to a target: filters, and takes the first that is left.
pub fn choose(screen: &mut Screen, target: &str) {
    screen.press(&format!("2/{target}\rg"));
    screen.wait(target, |text| selected(text, target));
}

/// Waits until the first forward's line says this; where it listens.
#[track_caller]
pub fn wait_state(screen: &mut Screen, state: &str) -> String {
    let shown = screen.wait(state, |text| text.lines().any(|line| line.contains('→') && line.contains(state)));
    local(&shown).unwrap()
}

/// The targets that get no pod, and what is said of each.
const TROUBLES: [(&str, &str); 5] = [
    ("try-forbidden", "User \"viewer\" cannot create resource"),
    ("try-no-quota", "exceeded quota"),
    ("try-bad-image", "ImagePull"),
    ("try-no-node", "0/1 nodes are available"),
    ("try-down", "unreach"),
];

/// Each target, asked for a pod, says why there is none; whatever else goes wrong.
pub fn no_pod_says_why(screen: &mut Screen) {
    for (target, words) in TROUBLES {
        choose(screen, target);
        screen.press("c");
        screen.wait(words, |text| text.contains(words));
        screen.press("2");
        screen.escape(&format!("/ {target}"));
    }
}

/// Every cluster, connected, shows how it answers.
pub fn clusters_show_how_they_answer(screen: &mut Screen, clusters: &[(&str, &str)]) {
    screen.press("1a\r");
    let state = |text: &str, name: &str, state: &str| {
        text.lines().any(|line| line.contains(&format!(" {name}")) && line.contains(state))
    };
    screen.wait("every state", |text| clusters.iter().all(|(name, shown)| state(text, name, shown)));
}

/// Of a forward on demand that waits, with an `idle_timeout` of seconds: fifty first connections make one pod, which
/// goes when nobody uses it; the listener stays. `pods` is how many the cluster has.
pub fn fifty_first_connections_make_one_pod(screen: &mut Screen, pods: &dyn Fn() -> usize) {
    let address = wait_state(screen, "◇ listening");
    assert_eq!(pods(), 0);
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let address = address.clone();
            thread::spawn(move || works(&address))
        })
        .collect();
    wait_state(screen, "◐ starting");
    assert!(clients.into_iter().all(|client| client.join().unwrap()), "{}", screen.text());
    assert_eq!(pods(), 1);
    wait_state(screen, "◑ stops in");
    assert!(works(&address), "in use again");
    wait_state(screen, "◇ listening");
    until("the pod is deleted", || pods() == 0);
    assert!(works(&address), "the listener stayed");
    assert_eq!(pods(), 1);
}

/// Of the one live forward, to an echo server: another pod takes over, what was open stays open, and the old pod goes
/// once nothing is. `pods` names those of the cluster.
pub fn a_pod_is_renewed_under_a_connection(screen: &mut Screen, pods: &dyn Fn() -> Vec<String>) {
    let address = wait_state(screen, "● live");
    let [old] = pods().try_into().unwrap();
    let open = || {
        let stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream
    };
    let echoed = |stream: &mut TcpStream| {
        let mut back = [0; 4];
        stream.write_all(b"ahoy").and_then(|()| stream.read_exact(&mut back)).is_ok_and(|()| back == *b"ahoy")
    };
    let mut before = open();
    assert!(echoed(&mut before));
    screen.press("3t");
    screen.wait("another has taken over", |text| text.contains(" replaces "));
    assert!(echoed(&mut before), "what was open stays open");
    let mut after = open();
    assert!(echoed(&mut after));
    assert!(pods().contains(&old), "it carries a connection still");
    drop(before);
    until("the old one is deleted", || pods().len() == 1 && !pods().contains(&old));
    assert!(echoed(&mut after));
}

/// Of the one live forward, to an echo server: an open connection is listed with its program and bytes, and a key
/// resets it. On Linux another user is refused, and the log says who that was; only root can try.
pub fn connections_are_seen_and_strangers_refused(screen: &mut Screen) {
    let address = wait_state(screen, "● live");
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.write_all(b"ahoy").unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    screen.press("4w");
    let me = if cfg!(target_os = "linux") { std::process::id().to_string() } else { "–".to_owned() };
    let port = format!(":{}", stream.local_addr().unwrap().port());
    screen.wait("the connection alone", |text| {
        let alone = text.contains("Connections of echo 1 ");
        alone && text.lines().any(|line| [&me, &port, "4 B", "open"].iter().all(|part| line.contains(*part)))
    });
    screen.press("x");
    screen.wait_for("No open connections");
    assert!(stream.read_exact(&mut [0; 4]).is_err(), "reset");
    screen.escape("No open connections");
    if cfg!(target_os = "linux") && rustix::process::getuid().is_root() {
        let (host, port) = address.rsplit_once(':').unwrap();
        let mut bash = Command::new("bash");
        bash.args(["-c", &format!("exec 3<>/dev/tcp/{host}/{port} && read -r line <&3")]).uid(65_534).gid(65_534);
        assert!(!bash.current_dir("/").stderr(Stdio::null()).status().unwrap().success());
        screen.wait_for("(uid 65534)");
        screen.wait_for("refused 1");
    }
}
