//! The search from the keyboard: what is found in a real cluster is shown, forwarded and copied.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

use common::arrange::{Kubeconfig, Wire, clipboard, practice, quit, wait_dialog, wait_says};
use common::front::{Front, PlainApi, resident};
use common::kube::{Namespace, kubeconfig, kubectl, until, until_within};
use common::through::{get, live};
use common::{Home, Screen, Start, TIMEOUT};
use serde_json::json;
use tempfile::TempDir;

/// A way to an API server that can be made slow, and broken for all until it is mended.
struct Fuse {
    address: SocketAddr,
    state: Arc<AtomicU8>,
}

const WHOLE: u8 = 0;
const SLOW: u8 = 1;
const BLOWN: u8 = 2;

impl Fuse {
    fn to(upstream: &str) -> Self {
        let upstream: SocketAddr = upstream.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, state) = (listener.local_addr().unwrap(), Arc::new(AtomicU8::new(WHOLE)));
        let shared = Arc::clone(&state);
        // It ends with the test's process.
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if shared.load(Ordering::SeqCst) == BLOWN {
                    continue;
                }
                let far = TcpStream::connect(upstream).unwrap();
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to, state) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(&shared));
                    thread::spawn(move || carry(from, to, &state));
                }
            }
        });
        Self { address, state }
    }

    fn set(&self, state: u8) {
        self.state.store(state, Ordering::SeqCst);
    }
}

/// Moves bytes one way until the fuse is blown.
fn carry(mut from: TcpStream, mut to: TcpStream, state: &AtomicU8) {
    const LOOK: Duration = Duration::from_millis(20);
    from.set_read_timeout(Some(LOOK)).unwrap();
    let mut buffer = [0; 2_048];
    loop {
        let read = from.read(&mut buffer);
        match state.load(Ordering::SeqCst) {
            SLOW => thread::sleep(LOOK),
            BLOWN => break,
            _ => {}
        }
        match read {
            Ok(0) => break,
            Ok(count) if to.write_all(&buffer[..count]).is_err() => break,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    let _gone = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// Both clusters are connected from the start.
const BOTH: &str = "[cluster.near]\nconnect = true\n[cluster.away]\nconnect = true\n";

/// Starts with the test cluster by two names, `near` directly and `away` by the server at an address that leads there,
/// and waits until both answer.
#[track_caller]
fn near_and_away(home: &Home, away: SocketAddr) -> Screen {
    let far = json!({ "server": format!("https://{away}"), "tls-server-name": "localhost" });
    let all = Kubeconfig::of_cluster(&kubeconfig()).cluster("far", &far);
    let all = all.context("near", "brow", "admin", "default").context("away", "far", "admin", "default");
    let mut screen = Start::new(home).kubeconfig(all.write(&home.path().join("kc"))).size(120, 40).run();
    screen.wait_for("near");
    screen.press("1");
    let answers = |text: &str, name: &str| text.lines().any(|line| line.contains(name) && line.contains("● ready"));
    screen.wait("both answer", |text| answers(text, "near") && answers(text, "away"));
    screen
}

/// Leaves the search, whose text goes first, and the program.
#[track_caller]
fn leave(mut screen: Screen) {
    screen.press("\x1b[27u\x1b[27u");
    screen.wait_gone("─ Search: ");
    quit(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn what_is_found_is_shown_copied_and_forwarded() {
    let (namespace, home) = (Namespace::new("search"), Home::new(""));
    let name = namespace.0.as_str();
    let secret = "--from-literal=password=hunter2";
    kubectl(&["-n", name, "create", "secret", "generic", "beacon-login", secret]);
    // Nothing is behind it but the pods of `brow-dev`: it has their addresses.
    kubectl(&["-n", name, "create", "configmap", "beacon"]);
    let all = Kubeconfig::of_cluster(&kubeconfig()).context("admin", "brow", "admin", "brow-dev");
    let path = all.write(&home.path().join("kc"));
    let mut screen = Start::new(&home).kubeconfig(path).size(120, 40).run();
    screen.wait_for("admin");
    // A command is found with nothing connected; it connects nothing.
    screen.press("F");
    screen.wait_for("Type a name");
    screen.press("\x1b[27u");
    screen.wait_gone("Type a name");
    screen.press("1\r");
    screen.wait_for("● ready");
    screen.press("F");
    screen.press(&format!("beacon ns:{name}"));
    screen.wait("both", |text| text.contains("ConfigMap") && text.contains("beacon-login"));
    screen.wait_gone("kinds read");
    // Live: what comes and goes does so by itself.
    kubectl(&["-n", name, "create", "configmap", "beacon-new"]);
    screen.wait_for("beacon-new");
    kubectl(&["-n", name, "delete", "configmap", "beacon-new"]);
    screen.wait_gone("beacon-new");
    screen.press(" kind:secret");
    screen.wait("the secret alone", |text| text.contains("beacon-login") && !text.contains("ConfigMap"));
    let before = screen.raw().len();
    screen.press("\x18");
    screen.wait_until("it is copied", |screen| clipboard(&screen.raw()[before..]).is_some());
    let copied = clipboard(&screen.raw()[before..]).unwrap();
    assert_eq!(copied, format!("kubectl --context admin -n {name} get secrets/beacon-login -o yaml"));
    screen.press("\r");
    screen.wait_for("4 YAML");
    screen.press("4");
    let shown = screen.wait("the secret", |text| text.contains("password: ") && text.contains("type: Opaque"));
    assert!(!shown.contains("aHVudGVyMg") && !shown.contains("fieldsV1"), "{shown}");
    assert!(shown.contains("managedFields: 1 manager, folded (m)"), "{shown}");
    screen.press("m");
    let shown = screen.wait("what it is folded of", |text| text.contains("fieldsV1:") && text.contains("- apiVersion"));
    assert!(!shown.contains("aHVudGVyMg") && !shown.contains("folded"), "{shown}");
    screen.press("m");
    screen.wait_gone("fieldsV1");
    screen.press("\x1b[27u");
    screen.wait_gone("type: Opaque");
    // To bytes.
    screen.press("\x15web kind:service ns:brow-dev");
    screen.wait("the service", |text| text.contains("Service") && !text.contains("beacon-login"));
    screen.press("\x12");
    let shown = screen.wait("a live forward", |text| live(text).is_some());
    assert!(!get(&live(&shown).unwrap(), "/").unwrap().is_empty());
    screen.wait_until("it is saved", |_| home.read_config().contains("workload = \"service/web:"));
    screen.press("q");
    screen.wait_for("Quit?");
    screen.press("y");
    assert!(screen.wait_end().success());
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_cluster_that_falls_silent_holds_no_other_up() {
    let (namespace, home) = (Namespace::new("searchsilent"), Home::new(BOTH));
    let wire = Wire::to(Kubeconfig::of_cluster(&kubeconfig()).server().trim_start_matches("https://"));
    let mut screen = near_and_away(&home, wire.address);
    wire.stall();
    screen.press("F");
    kubectl(&["-n", &namespace.0, "create", "configmap", "foghorn"]);
    screen.press("foghorn");
    let shown = screen.wait("the one that answers", |text| text.contains("ConfigMap") && text.contains("near"));
    assert!(shown.contains("away"), "the other is told of:\n{shown}");
    wire.cut();
    wire.clear();
    screen.wait("the other too, once it is back", |text| text.matches("ConfigMap").count() == 2);
    leave(screen);
}

/// Config maps of the index, and the most memory that it takes in KiB.
const OBJECTS: usize = 2_000;
const MAX_ADDED: u64 = 40 << 10;

/// Returns true for a request that an index makes for a kind that Kubernetes itself brings, each of which it watches.
fn is_of_the_index(asked: &str) -> bool {
    let own = ["/api/v1/", "/apis/apps/", "/apis/batch/", "/apis/networking.k8s.io/"];
    own.iter().any(|group| asked.contains(group)) && !asked.contains("labelSelector")
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn an_index_of_many_objects_is_small_and_asks_nothing_while_nothing_changes() {
    let (namespace, home) = (Namespace::new("many"), Home::new("prometheus = \"off\"\n"));
    // A larger number, where somebody wants to know.
    let objects = std::env::var("BROW_TEST_OBJECTS").map_or(OBJECTS, |number| number.parse().unwrap());
    let api = PlainApi::new();
    api.create_config_maps(&namespace.0, "lantern", objects);
    let front = Front::new(&api, |_, _| None);
    let all = Kubeconfig::empty().cluster("front", &json!({ "server": front.url })).user("nobody", json!({}));
    let all = all.context("front", "front", "nobody", "default");
    let mut screen = Start::new(&home).kubeconfig(all.write(&home.path().join("kc"))).size(120, 40).run();
    screen.wait_for("Clusters 1");
    screen.press("1\r");
    screen.wait_for("● ready");
    assert!(!front.asked().iter().any(|asked| asked.contains("configmaps")), "nothing is indexed before a search");
    let before = resident(screen.pid());
    screen.press(&format!("Flantern ns:{}", namespace.0));
    screen.wait_for("lantern-0");
    screen.wait_gone("kinds read");
    screen.wait("all of them", |text| text.contains(&format!("Search: 50, and {} more", objects - 50)));
    let added = resident(screen.pid()) - before;
    eprintln!("{objects} objects: {added} KiB added to {before}");
    assert!(added <= MAX_ADDED, "{added} KiB for {objects} objects");
    // The dashboard itself asks for the version again and again, and so tells that time has passed.
    let versions = |asked: &[String]| asked.iter().filter(|asked| asked.ends_with("/version")).count();
    // The last watch begins after what its list brought is shown.
    let asked = || front.asked().iter().filter(|asked| is_of_the_index(asked)).count();
    let mut before = asked();
    until("all watches have begun", || {
        screen.look(Duration::from_secs(2));
        before == std::mem::replace(&mut before, asked())
    });
    let complete = front.asked();
    until_within(2 * TIMEOUT, "three more probes", || versions(&front.asked()) >= versions(&complete) + 3);
    let idle = front.asked().split_off(complete.len());
    assert!(!idle.iter().any(|asked| is_of_the_index(asked)), "{idle:?}");
    api.delete_config_maps(&namespace.0);
    screen.wait_gone("lantern-");
    screen.press("\x1b[27u");
    leave(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_cluster_that_dies_in_the_middle_of_a_search_is_told_of_and_comes_back_whole() {
    let (namespace, home) = (Namespace::new("searchdies"), Home::new(BOTH));
    let name = namespace.0.as_str();
    // Their list takes a while over a slow way, and what is searched for stands at its end.
    let object = |name: String| {
        let labels = json!({ "filler": "x".repeat(60) });
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "labels": labels } })
    };
    let names =
        (0..400).map(|number| format!("filler-{number}")).chain((0..9).map(|number| format!("lightship-{number}")));
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": names.map(object).collect::<Vec<_>>() });
    let path = home.path().join("objects.json");
    fs::write(&path, list.to_string()).unwrap();
    kubectl(&["-n", name, "create", "-f", path.to_str().unwrap()]);
    let fuse = Fuse::to(Kubeconfig::of_cluster(&kubeconfig()).server().trim_start_matches("https://"));
    let mut screen = near_and_away(&home, fuse.address);
    fuse.set(SLOW);
    screen.press("F");
    screen.press(&format!("lightship ns:{name}"));
    let reading = |text: &str| text.lines().any(|line| line.contains("away: ") && line.contains(" kinds read"));
    screen.wait("some kinds of one, not all", |text| reading(text) && !text.contains("away: 0 of"));
    fuse.set(BLOWN);
    let rows = |text: &str, of: &str| {
        text.lines().filter(|line| line.contains("lightship-") && line.contains(&format!(" {of} "))).count()
    };
    screen.wait("all of the other", |text| text.contains("─ Search: 9 ") && rows(text, "near") == 9);
    let dead = |text: &str| text.lines().any(|line| line.contains('✗') && line.contains("away"));
    screen.wait("word of the one that died", dead);
    assert_eq!(rows(&screen.text(), "away"), 0, "{}", screen.text());
    // The other one stays live meanwhile.
    kubectl(&["-n", name, "delete", "configmap", "lightship-8", "--wait=false"]);
    screen.wait("one less", |text| text.contains("─ Search: 8 ") && dead(text));
    fuse.set(WHOLE);
    screen.wait("both whole, and nothing that is gone", |text| {
        (rows(text, "near"), rows(text, "away")) == (8, 8)
            && !text.contains("lightship-8")
            && !text.contains("kinds read")
            && !dead(text)
    });
    leave(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn missing_rights_are_named_with_a_role() {
    let (namespace, home) = (Namespace::new("searchrights"), Home::new(""));
    let mut screen = Start::new(&home).kubeconfig(namespace.kubeconfig(&home)).size(98, 40).run();
    screen.wait_for("story");
    // The only context is connected by the welcome.
    screen.press("1");
    screen.wait_for("● ready");
    screen.press("F");
    let here = format!("in namespace {} (403)", namespace.0);
    wait_says(&mut screen, &["no right to list configmaps", "secrets", &here]);
    screen.wait_gone("kinds read");
    screen.press("\x05");
    wait_dialog(&mut screen, &["secrets", "kind: Role"]);
    screen.press("\x1b[27u");
    screen.wait_gone("kind: Role");
    leave(screen);
}

#[test]
fn practice_has_something_to_find() {
    let (home, temp) = (Home::new(""), TempDir::new().unwrap());
    let mut screen = practice(Start::new(&home).size(80, 24), &temp);
    screen.press("F");
    screen.press("storefront");
    screen.wait("both kinds", |text| text.contains("Ingress ") && text.contains("IngressRoute"));
    screen.press("\r");
    screen.wait_for("4 YAML");
    screen.press("3");
    // Its Service for `/admin` is not there.
    let broken = |line: &str| line.contains("Service web-admin") && line.contains("does not exist");
    screen.wait("what is broken", |text| text.lines().any(broken));
    screen.press("\x1b[27u");
    screen.wait_gone("web-admin");
    leave(screen);
    assert!(fs::read_dir(temp.path()).unwrap().next().is_none(), "nothing is left");
}
