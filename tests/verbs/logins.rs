//! Logins that run out and rights that go, under forwards that work: what works goes on, and what is mended is taken
//! up.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::common::arrange::{Kubeconfig, script};
use crate::common::kube::{Namespace, kubectl, try_kubectl, until};
use crate::common::{Home, TIMEOUT};
use crate::shell::{Running, Shell, address};
use crate::sieve::Sieve;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

/// An address through a proxy pod, and a workload: an echo behind each.
const CONFIG: &str = r#"
[[target]]
name = "vpc"
cluster = "story"
address = "10.99.0.10:7"

[[target]]
name = "pod"
cluster = "story"
workload = "selector/app=echo:7"
"#;

/// A pod that echoes on port 7.
const ECHO: &str = r#"
apiVersion: v1
kind: Pod
metadata: { name: echo, labels: { app: echo } }
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: echo
    image: alpine/socat:latest
    imagePullPolicy: IfNotPresent
    args: ["TCP-LISTEN:7,fork,reuseaddr", "PIPE"]
"#;

/// Another token of the same person.
const SECOND: &str = r"
apiVersion: v1
kind: Secret
metadata: { name: person-2, annotations: { kubernetes.io/service-account.name: person } }
type: kubernetes.io/service-account-token
";

/// The program with `connect` to both targets, through a sieve, in a namespace of its own.
struct Story {
    space: Namespace,
    sieve: Sieve,
    kubeconfig: PathBuf,
    running: Running,
    /// Its standard error.
    said: Arc<Mutex<String>>,
    /// The local addresses of the targets.
    locals: Vec<String>,
    /// Connections that are open from the beginning.
    held: Vec<TcpStream>,
}

/// A target's own server: the last byte of what was sent comes back.
fn echoes(stream: &mut TcpStream) -> bool {
    let sent: Vec<u8> = (0..64 * 1024_u32).map(|byte| byte.to_le_bytes()[0]).collect();
    let mut back = vec![0; sent.len()];
    let mut writer = stream.try_clone().unwrap();
    let copy = sent.clone();
    let writing = std::thread::spawn(move || writer.write_all(&copy).is_ok());
    let read = stream.read_exact(&mut back).is_ok();
    writing.join().unwrap() && read && back == sent
}

fn open(local: &str) -> TcpStream {
    let stream = TcpStream::connect(local).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream
}

impl Story {
    /// `arrange` makes the user of context `story` from what `Namespace::kubeconfig` wrote.
    fn begin(home: &Home, space: Namespace, user: impl FnOnce(&str) -> serde_json::Value) -> Self {
        let manifest = home.path().join("echo.yaml");
        fs::write(&manifest, ECHO).unwrap();
        let person = space.kubeconfig(home);
        kubectl(&["-n", &space.0, "apply", "-f", manifest.to_str().unwrap()]);
        kubectl(&["-n", &space.0, "wait", "--for=condition=Ready", "pod/echo", "--timeout=60s"]);
        let all = Kubeconfig::of_cluster(&person);
        let server = all.server();
        let sieve = Sieve::to(server.trim_start_matches("https://"));
        let token = token(&space, "person");
        let all = all
            .cluster("brow", &json!({ "server": format!("https://{}", sieve.address) }))
            .user("person", user(&token))
            .context("story", "brow", "person", &space.0);
        let kubeconfig = all.write(&home.path().join("kubeconfig-story"));
        let shell = Shell { home, kubeconfig: Some(kubeconfig.clone()) };
        let mut running = shell.spawn(&["connect", "vpc", "pod", "--on-quit", "delete"]);
        let said = Arc::<Mutex<String>>::default();
        let (err, heard) = (running.0.stderr.take().unwrap(), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                let mut heard = heard.lock().unwrap();
                heard.push_str(&line);
                heard.push('\n');
            }
        });
        let locals: Vec<String> = [running.line(), running.line()].iter().map(|line| address(line)).collect();
        let held = locals.iter().map(|local| open(local)).collect();
        let mut story = Self { space, sieve, kubeconfig, running, said, locals, held };
        story.works("at first");
        story
    }

    /// Old connections and new ones carry bytes, and the program is there.
    #[track_caller]
    fn works(&mut self, when: &str) {
        for (at, held) in self.held.iter_mut().enumerate() {
            assert!(echoes(held), "{when}: a connection to {at} that was open: {}", self.said.lock().unwrap());
        }
        self.serves(when);
    }

    /// New connections carry bytes, and the program is there.
    #[track_caller]
    fn serves(&mut self, when: &str) {
        for local in &self.locals {
            assert!(echoes(&mut open(local)), "{when}: a new connection to {local}: {}", self.said.lock().unwrap());
        }
        assert!(self.running.0.try_wait().unwrap().is_none(), "{when}: it ended: {}", self.said.lock().unwrap());
    }

    #[track_caller]
    fn says(&self, words: &str) {
        let said = || self.said.lock().unwrap().contains(words);
        until(&format!("it says {words}, but {}", self.said.lock().unwrap()), said);
    }

    fn end(self) {
        self.running.signal(rustix::process::Signal::INT);
        let mut running = self.running;
        assert_eq!(running.0.wait().unwrap().code(), Some(0), "{}", self.said.lock().unwrap());
    }
}

/// The token of the person in a namespace, once there is one.
fn token(space: &Namespace, name: &str) -> String {
    let secret = || try_kubectl(&["-n", &space.0, "get", "secret", name, "-o", "go-template={{.data.token}}"]);
    let there = || secret().is_ok_and(|secret| !secret.is_empty() && !secret.contains("no value"));
    until("the token is there", there);
    String::from_utf8(BASE64_STANDARD.decode(secret().unwrap()).unwrap()).unwrap()
}

/// Makes the person's token worth nothing, and another for them, which is returned.
fn rotate(space: &Namespace, home: &Home, old: &Path) -> String {
    kubectl(&["-n", &space.0, "delete", "secret", "person"]);
    // The API server remembers for some seconds whom it let in.
    let let_in =
        || try_kubectl(&["--kubeconfig", old.to_str().unwrap(), "--context", "story", "-n", &space.0, "get", "pods"]);
    until("the old token is worth nothing", || let_in().is_err_and(|error| error.contains("must be logged in")));
    // Under the same name it would be the same token.
    let manifest = home.path().join("token.yaml");
    fs::write(&manifest, SECOND).unwrap();
    kubectl(&["-n", &space.0, "apply", "-f", manifest.to_str().unwrap()]);
    token(space, "person-2")
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_watch_that_is_refused_takes_nothing_away() {
    let home = Home::new(CONFIG);
    let mut story = Story::begin(&home, Namespace::new("refused"), |token| json!({ "token": token }));
    for name in kubectl(&["-n", &story.space.0, "get", "role", "-o", "name"]).split_whitespace() {
        let less = r#"[{"op":"replace","path":"/rules","value":[{"apiGroups":[""],"resources":["pods/portforward"],"verbs":["create","get"]}]}]"#;
        kubectl(&["-n", &story.space.0, "patch", name, "--type=json", "-p", less]);
    }
    let me = format!("--as=system:serviceaccount:{}:person", story.space.0);
    until("the right is gone", || try_kubectl(&["-n", &story.space.0, "auth", "can-i", "list", "pods", &me]).is_err());
    story.sieve.cut_all_but_busy();
    story.says("kind: Role");
    story.works("while nothing may be seen");
    let before = story.said.lock().unwrap().len();
    let manifest = home.path().join("person.yaml");
    kubectl(&["-n", &story.space.0, "apply", "-f", manifest.to_str().unwrap()]);
    until("it is ready again", || story.said.lock().unwrap()[before..].contains("story answers"));
    story.works("once it may be seen again");

    // What a watch that works says of a pod counts: another of its name is found.
    kubectl(&["-n", &story.space.0, "delete", "pod", "echo", "--wait=true"]);
    let manifest = home.path().join("echo.yaml");
    kubectl(&["-n", &story.space.0, "apply", "-f", manifest.to_str().unwrap()]);
    // Its watch may rest for a moment still.
    until("another pod is found", || story.locals.iter().all(|local| echoes(&mut open(local))));
    story.serves("through another pod");
    story.end();
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
    let mut story = Story::begin(&home, Namespace::new("plugin"), |token| {
        fs::write(&current, token).unwrap();
        json!({ "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": plugin, "args": ["--profile", "work"],
            "interactiveMode": "IfAvailable",
        } })
    });
    script(&plugin, "echo 'The session has expired: run corp login' >&2; exit 1");
    let old = Kubeconfig::of_cluster(&story.kubeconfig)
        .user("person", json!({ "token": fs::read_to_string(&current).unwrap() }))
        .context("story", "brow", "person", &story.space.0)
        .write(&home.path().join("kubeconfig-old"));
    let token = rotate(&story.space, &home, &old);
    story.sieve.cut_all_but_busy();
    story.says("corp-login --profile work");
    story.says("The session has expired: run corp login");
    story.works("while nobody can log in");
    let before = story.said.lock().unwrap().len();
    fs::write(&current, token).unwrap();
    script(&plugin, &works);
    until("it is ready again", || story.said.lock().unwrap()[before..].contains("story answers"));
    story.works("after the new login");
    // What was opened with the old one is gone: all that comes now takes the new one.
    story.sieve.cut_all();
    until("new connections work", || echoes(&mut open(&story.locals[0])) && echoes(&mut open(&story.locals[1])));
    story.serves("with the new login alone");
    story.end();
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_new_token_in_the_kubeconfig_is_taken_up_without_a_key() {
    let home = Home::new(CONFIG);
    let mut story = Story::begin(&home, Namespace::new("token"), |token| json!({ "token": token }));
    let old = home.path().join("kubeconfig-old");
    fs::copy(&story.kubeconfig, &old).unwrap();
    let token = rotate(&story.space, &home, &old);
    story.sieve.cut_all_but_busy();
    story.says("does not accept our login (401)");
    story.works("while the token is worth nothing");
    let before = story.said.lock().unwrap().len();
    let text = fs::read_to_string(&old).unwrap();
    // Half of it first, as an editor may write it.
    fs::write(&story.kubeconfig, &text[..text.len() / 2]).unwrap();
    let mut all: serde_json::Value = serde_json::from_str(&text).unwrap();
    for user in all["users"].as_array_mut().unwrap() {
        if user["name"] == "person" {
            user["user"]["token"] = json!(token);
        }
    }
    fs::write(&story.kubeconfig, all.to_string()).unwrap();
    until("it is ready again", || story.said.lock().unwrap()[before..].contains("story answers"));
    assert!(!story.said.lock().unwrap().contains("cannot be used"), "half of a file is no news");
    story.works("with the new token");
    story.sieve.cut_all();
    until("new connections work", || echoes(&mut open(&story.locals[0])) && echoes(&mut open(&story.locals[1])));
    story.serves("with the new token alone");
    story.end();
}
