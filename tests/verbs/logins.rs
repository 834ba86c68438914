//! Logins that run out and rights that go, under forwards that work: what works goes on, and what is mended is taken
//! up.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::common::arrange::{Kubeconfig, script};
use crate::common::kube::{Namespace, kubectl, try_kubectl, until, until_within};
use crate::common::through::in_line;
use crate::common::{Home, Start, TIMEOUT};
use crate::shell::{Running, Shell, address, sockets};
use crate::sieve::Sieve;
use serde_json::{Value, json};

/// An address through a proxy pod, and a workload: an echo behind each.
pub const CONFIG: &str = r#"
[[target]]
name = "vpc"
cluster = "story"
address = "10.99.0.10:7"

[[target]]
name = "pod"
cluster = "story"
workload = "selector/app=echo:7"
"#;

/// A namespace of a test's own with an echo in it, and a kubeconfig whose context `story` leads there by a sieve.
pub struct Scene {
    pub space: Namespace,
    pub sieve: Sieve,
    pub kubeconfig: PathBuf,
}

impl Scene {
    /// `user` makes the user of the context from a token.
    pub fn new(home: &Home, space: Namespace, user: impl FnOnce(&str) -> Value) -> Self {
        Self::behind(home, space, |all, token| (all.server(), json!({}), user(token)))
    }

    /// `place` gives, for the test cluster and a token, where the sieve leads, how the cluster differs in the
    /// kubeconfig, and its user.
    pub fn behind(
        home: &Home,
        space: Namespace,
        place: impl FnOnce(&Kubeconfig, &str) -> (String, Value, Value),
    ) -> Self {
        let person = space.kubeconfig(home);
        space.echo();
        let all = Kubeconfig::of_cluster(&person);
        let (server, mut cluster, user) = place(&all, &space.token("person"));
        let sieve = Sieve::to(server.trim_start_matches("https://"));
        cluster["server"] = json!(format!("https://{}", sieve.address));
        let all = all.cluster("brow", &cluster).user("person", user).context("story", "brow", "person", &space.0);
        let kubeconfig = all.write(&home.path().join("kubeconfig-story"));
        Self { space, sieve, kubeconfig }
    }

    /// Takes the right away to watch pods, and ends the watches.
    pub fn refuse_watches(&self) {
        for name in kubectl(&["-n", &self.space.0, "get", "role", "-o", "name"]).split_whitespace() {
            let less = r#"[{"op":"replace","path":"/rules","value":[{"apiGroups":[""],"resources":["pods","pods/portforward"],"verbs":["create","get"]}]}]"#;
            kubectl(&["-n", &self.space.0, "patch", name, "--type=json", "-p", less]);
        }
        let me = format!("--as=system:serviceaccount:{}:person", self.space.0);
        let may = || try_kubectl(&["-n", &self.space.0, "auth", "can-i", "list", "pods", &me]);
        until("the right is gone", || may().is_err());
        self.sieve.cut_all_but_busy();
    }

    /// Gives it back.
    fn allow_watches(&self, home: &Home) {
        let manifest = home.path().join("person.yaml");
        kubectl(&["-n", &self.space.0, "apply", "-f", manifest.to_str().unwrap()]);
    }
}

/// The program with `connect` to both targets.
pub struct Story {
    pub scene: Scene,
    running: Running,
    /// Its standard error.
    said: Arc<Mutex<String>>,
    /// The local addresses of the targets.
    pub locals: Vec<String>,
    /// Connections that are open from the beginning.
    held: Vec<TcpStream>,
}

/// A target's own server: the last byte of what was sent comes back.
pub fn echoes(stream: &mut TcpStream) -> bool {
    let sent: Vec<u8> = (0..64 * 1024_u32).map(|byte| byte.to_le_bytes()[0]).collect();
    let mut back = vec![0; sent.len()];
    let mut writer = stream.try_clone().unwrap();
    let copy = sent.clone();
    let writing = std::thread::spawn(move || writer.write_all(&copy).is_ok());
    let read = stream.read_exact(&mut back).is_ok();
    writing.join().unwrap() && read && back == sent
}

pub fn open(local: &str) -> TcpStream {
    let stream = TcpStream::connect(local).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream
}

impl Story {
    pub fn begin(home: &Home, scene: Scene) -> Self {
        let shell = Shell { home, kubeconfig: Some(scene.kubeconfig.clone()) };
        let mut running = shell.spawn(&["connect", "vpc", "pod", "--verbose", "--on-quit", "delete"]);
        let locals: Vec<String> = [running.line(), running.line()].iter().map(|line| address(line)).collect();
        let said = Arc::<Mutex<String>>::default();
        let (err, heard) = (running.0.stderr.take().unwrap(), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                let mut heard = heard.lock().unwrap();
                heard.push_str(&line);
                heard.push('\n');
            }
        });
        let held = locals.iter().map(|local| open(local)).collect();
        let mut story = Self { scene, running, said, locals, held };
        story.works("at first");
        story
    }

    /// Old connections and new ones carry bytes, and the program is there.
    #[track_caller]
    pub fn works(&mut self, when: &str) {
        for (at, held) in self.held.iter_mut().enumerate() {
            assert!(echoes(held), "{when}: a connection to {at} that was open: {}", self.said.lock().unwrap());
        }
        self.serves(when);
    }

    /// New connections carry bytes, and the program is there.
    #[track_caller]
    pub fn serves(&mut self, when: &str) {
        for local in &self.locals {
            assert!(echoes(&mut open(local)), "{when}: a new connection to {local}: {}", self.said.lock().unwrap());
        }
        assert!(self.running.0.try_wait().unwrap().is_none(), "{when}: it ended: {}", self.said.lock().unwrap());
    }

    #[track_caller]
    pub fn says(&self, words: &str) {
        let said = || self.said.lock().unwrap().contains(words);
        until(&format!("it says {words}, but {}", self.said.lock().unwrap()), said);
    }

    /// Returns the length of what it has said so far.
    pub fn said(&self) -> usize {
        self.said.lock().unwrap().len()
    }

    /// Waits until it says that the cluster answers, after it has said so much.
    #[track_caller]
    pub fn answers(&self, after: usize) {
        until("it is ready again", || self.said.lock().unwrap()[after..].contains("story is connected"));
    }

    pub fn end(self) {
        self.running.signal(rustix::process::Signal::INT);
        let mut running = self.running;
        until_within(2 * TIMEOUT, "it ends", || running.0.try_wait().unwrap().is_some());
        assert_eq!(running.0.wait().unwrap().code(), Some(0), "{}", self.said.lock().unwrap());
    }
}

/// Makes the person's token worth nothing, and another for them, which is returned.
fn rotate(space: &Namespace, home: &Home, old: &Path) -> String {
    kubectl(&["-n", &space.0, "delete", "secret", "person"]);
    // The API server remembers for some seconds whom it let in.
    let let_in =
        || try_kubectl(&["--kubeconfig", old.to_str().unwrap(), "--context", "story", "-n", &space.0, "get", "pods"]);
    until("the old token is worth nothing", || let_in().is_err_and(|error| error.contains("must be logged in")));
    // Under the same name it would be the same token.
    space.second_token(home)
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_watch_that_is_refused_takes_nothing_away() {
    let home = Home::new(CONFIG);
    let mut story =
        Story::begin(&home, Scene::new(&home, Namespace::new("refused"), |token| json!({ "token": token })));
    story.scene.refuse_watches();
    story.says("kind: Role");
    story.works("while nothing may be seen");
    let before = story.said();
    story.scene.allow_watches(&home);
    story.answers(before);
    story.works("once it may be seen again");

    // What a watch that works says of a pod counts: another of its name is found.
    kubectl(&["-n", &story.scene.space.0, "delete", "pod", "echo", "--wait=true"]);
    story.scene.space.echo();
    // Its watch may rest for a moment still.
    until("another pod is found", || story.locals.iter().all(|local| echoes(&mut open(local))));
    story.serves("through another pod");
    story.end();
}

/// Old connections and new ones carry bytes.
#[track_caller]
fn carries(locals: &[String], held: &mut [TcpStream], when: &str) {
    for (local, held) in locals.iter().zip(held) {
        assert!(echoes(held), "{when}: the connection to {local} that was open");
        assert!(echoes(&mut open(local)), "{when}: a new connection to {local}");
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_watch_that_is_refused_takes_nothing_from_an_instance_in_the_background() {
    let home = Home::new(CONFIG);
    let scene = Scene::new(&home, Namespace::new("unseen"), |token| json!({ "token": token }));
    let shell = Shell { home: &home, kubeconfig: Some(scene.kubeconfig.clone()) };
    let log = home.path().join("log");
    let logged = ["--log", log.to_str().unwrap(), "--log-levels", "warn,brow_tui=debug"];
    let lines = shell
        .ok(&[&logged[..], &["connect", "vpc", "pod", "--detach", "--on-quit", "delete", "--for", "10m"]].concat());
    let locals: Vec<String> = lines.lines().map(address).collect();
    let mut held: Vec<TcpStream> = locals.iter().map(|local| open(local)).collect();
    carries(&locals, &mut held, "at first");
    let length = fs::metadata(&log).unwrap().len();
    scene.refuse_watches();
    let news = |from: u64| {
        let all = fs::read_to_string(&log).unwrap();
        all[usize::try_from(from).unwrap()..].to_owned()
    };
    let lists = |line: &str, outcome: &str| line.contains("/pods?") && line.contains(&format!("outcome=Ok({outcome})"));
    until("it may see nothing", || news(length).lines().any(|line| lists(line, "403")));
    carries(&locals, &mut held, "while nothing may be seen");
    let states = shell.ok(&["forward", "list", "--json"]);
    assert_eq!(states.matches("\"live\"").count(), 2, "{states}");
    let length = fs::metadata(&log).unwrap().len();
    scene.allow_watches(&home);
    until("it sees pods again", || news(length).lines().any(|line| lists(line, "200")));
    carries(&locals, &mut held, "once it may be seen again");
    shell.ok(&["forward", "stop", "vpc", "pod"]);
    until("it has ended", || sockets(&home).is_empty());
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_watch_that_is_refused_takes_nothing_from_the_dashboard() {
    let home = Home::new(CONFIG);
    let scene = Scene::new(&home, Namespace::new("board"), |token| json!({ "token": token }));
    let mut screen = Start::new(&home).kubeconfig(&scene.kubeconfig).size(200, 50).run();
    screen.wait_for("vpc");
    screen.press("2af");
    let live = |text: &str| -> BTreeSet<String> {
        text.lines().filter(|line| line.contains('→') && line.contains("● live")).filter_map(in_line).collect()
    };
    let both = |text: &str| live(text).len() == 2;
    let locals: Vec<String> = live(&screen.wait("both live", both)).into_iter().collect();
    let mut held: Vec<TcpStream> = locals.iter().map(|local| open(local)).collect();
    carries(&locals, &mut held, "at first");
    scene.refuse_watches();
    // The log has the word, too: a Prometheus could not be looked for.
    let forbidden = |text: &str| text.contains("⊘ forbidden");
    screen.wait("the cluster is forbidden", forbidden);
    carries(&locals, &mut held, "while nothing may be seen");
    // Those of its tunnels that were cut are dialed anew.
    screen.wait("both live, though forbidden", |text| both(text) && forbidden(text));
    scene.allow_watches(&home);
    screen.wait("both live", |text| both(text) && !forbidden(text));
    carries(&locals, &mut held, "once it may be seen again");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_plugin_that_fails_for_a_while_takes_nothing_away_and_its_next_login_is_used() {
    let home = Home::new(CONFIG);
    let (plugin, current) = (home.path().join("corp-login"), home.path().join("token"));
    let works = format!(
        r#"printf '{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{{"token":"%s"}}}}' "$(cat '{}')""#,
        current.display()
    );
    script(&plugin, &works);
    let scene = Scene::new(&home, Namespace::new("plugin"), |token| {
        fs::write(&current, token).unwrap();
        json!({ "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": plugin, "args": ["--profile", "work"],
            "interactiveMode": "IfAvailable",
        } })
    });
    let mut story = Story::begin(&home, scene);
    script(&plugin, "echo 'The session has expired: run corp login' >&2; exit 1");
    let old = Kubeconfig::of_cluster(&story.scene.kubeconfig)
        .user("person", json!({ "token": fs::read_to_string(&current).unwrap() }))
        .context("story", "brow", "person", &story.scene.space.0)
        .write(&home.path().join("kubeconfig-old"));
    let token = rotate(&story.scene.space, &home, &old);
    story.scene.sieve.cut_all_but_busy();
    story.says("corp-login --profile work");
    story.says("The session has expired: run corp login");
    story.works("while nobody can log in");
    let before = story.said();
    fs::write(&current, token).unwrap();
    script(&plugin, &works);
    story.answers(before);
    story.works("after the new login");
    // What was opened with the old one is gone: all that comes now takes the new one.
    story.scene.sieve.cut_all();
    until("new connections work", || echoes(&mut open(&story.locals[0])) && echoes(&mut open(&story.locals[1])));
    story.serves("with the new login alone");
    story.end();
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_new_token_in_the_kubeconfig_is_taken_up_without_a_key() {
    let home = Home::new(CONFIG);
    let mut story = Story::begin(&home, Scene::new(&home, Namespace::new("token"), |token| json!({ "token": token })));
    let old = home.path().join("kubeconfig-old");
    fs::copy(&story.scene.kubeconfig, &old).unwrap();
    let token = rotate(&story.scene.space, &home, &old);
    story.scene.sieve.cut_all_but_busy();
    story.says("not authenticated (401)");
    story.works("while the token is worth nothing");
    let before = story.said();
    let text = fs::read_to_string(&old).unwrap();
    // Half of it first, as an editor may write it.
    fs::write(&story.scene.kubeconfig, &text[..text.len() / 2]).unwrap();
    let mut all: Value = serde_json::from_str(&text).unwrap();
    for user in all["users"].as_array_mut().unwrap() {
        if user["name"] == "person" {
            user["user"]["token"] = json!(token);
        }
    }
    fs::write(&story.scene.kubeconfig, all.to_string()).unwrap();
    story.answers(before);
    assert!(!story.said.lock().unwrap().contains("cannot be used"), "half of a file is no news");
    story.works("with the new token");
    story.scene.sieve.cut_all();
    until("new connections work", || echoes(&mut open(&story.locals[0])) && echoes(&mut open(&story.locals[1])));
    story.serves("with the new token alone");
    story.end();
}
