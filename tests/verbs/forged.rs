//! A pod that another user of the namespace makes like one of ours, to be sent what is meant for ours.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::Home;
use crate::common::kube::{Namespace, kubectl, until};
use crate::common::through::works;
use crate::logins::{CONFIG, Scene, echoes, open};
use crate::shell::{Shell, WEB, address};

/// The name of the forged pod.
const FORGED: &str = "brow-web-zzzzzz";

/// Somebody else with the Role of `assets/rbac.yaml` in a namespace.
struct Mallory {
    namespace: String,
    user: String,
}

impl Mallory {
    fn new(home: &Home, namespace: &str) -> Self {
        let user = format!("system:serviceaccount:{namespace}:mallory");
        let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: { name: mallory }\n";
        let rights = include_str!("../../assets/rbac.yaml").replace("kind: ClusterRole\n", "kind: Role\n");
        let rights = rights.replace("name: brow-tui\n", "name: mallory\n").replace("NAMESPACE", namespace);
        let rights = rights.replace("name: USER", &format!("name: \"{user}\""));
        let path = home.path().join("mallory.yaml");
        std::fs::write(&path, format!("{account}---\n{rights}")).unwrap();
        kubectl(&["-n", namespace, "apply", "-f", path.to_str().unwrap()]);
        Self { namespace: namespace.to_owned(), user }
    }

    fn does(&self, args: &[&str]) -> String {
        kubectl(&[&["--as", &self.user, "-n", &self.namespace], args].concat())
    }

    /// Makes a pod with all that can be copied, the latest deadline, and a relay that writes down what it gets, and
    /// does `what` with it.
    fn forges(&self, home: &Home, own: &Value, name: &str, what: &str) {
        let mut meta = json!({ "name": name });
        for copied in ["labels", "annotations"] {
            meta[copied] = own["metadata"][copied].clone();
        }
        assert!(meta["annotations"]["brow/installation"].is_string(), "{meta}");
        let mut relay = json!({ "name": "relay", "imagePullPolicy": "IfNotPresent" });
        for copied in ["image", "ports"] {
            relay[copied] = own["spec"]["containers"][0][copied].clone();
        }
        let listen = format!("TCP-LISTEN:{},fork,reuseaddr,bind=127.0.0.1", relay["ports"][0]["containerPort"]);
        relay["args"] = json!(["-v", listen, what]);
        let spec = json!({ "restartPolicy": "Never", "activeDeadlineSeconds": 8 * 3_600, "containers": [relay] });
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec });
        let path = home.path().join("forged.json");
        std::fs::write(&path, pod.to_string()).unwrap();
        self.does(&["create", "-f", path.to_str().unwrap()]);
        let phase = || self.does(&["get", "pod", name, "-o", "jsonpath={.status.phase}"]);
        until("the forged pod runs", || phase() == "Running");
    }

    fn has_heard(&self, name: &str) -> String {
        self.does(&["logs", name])
    }
}

/// A port-forward of kubectl's, ended with the test: the process, its local address, and its output, which it would not
/// outlive.
struct Kubectl {
    child: Child,
    local: String,
    _output: BufReader<ChildStdout>,
}

impl Kubectl {
    fn forward(namespace: &str, pod: &str, port: u64) -> Self {
        let config = std::env::var("BROW_TEST_KUBECONFIG").unwrap();
        let mut child = Command::new("kubectl")
            .args(["--kubeconfig", &config, "--context", "brow-admin", "-n", namespace])
            .args(["port-forward", &format!("pod/{pod}"), &format!(":{port}")])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let local = line.split_whitespace().nth(2).unwrap().to_owned();
        Self { child, local, _output: output }
    }
}

impl Drop for Kubectl {
    fn drop(&mut self) {
        let _ended = (self.child.kill(), self.child.wait());
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_forged_pod_is_sent_nothing_and_left_alone() {
    let (home, space) = (Home::new(WEB), Namespace::new("forged"));
    let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
    let mallory = Mallory::new(&home, &space.0);
    let first = shell.ok(&["pod", "create", "web", "--ttl", "30m"]).trim().to_owned();
    let own: Value = serde_json::from_str(&mallory.does(&["get", "pod", &first, "-o", "json"])).unwrap();
    mallory.forges(&home, &own, FORGED, "PIPE");

    let list: Value = serde_json::from_str(&shell.ok(&["pod", "list", "--json"])).unwrap();
    let mine = |name: &str| {
        let mut all = list.as_array().unwrap().iter();
        all.find(|pod| pod["name"] == name).unwrap()["mine"].as_bool().unwrap()
    };
    assert!(mine(&first) && !mine(FORGED), "{list}");
    let page = ["connect", "web", "-q", "--exec", "sh", "-c", "curl -m 60 -sf http://$BROW_ADDR/index.html"];
    assert_eq!(shell.ok(&page), "hello from the vpc\n");

    // A live forward whose own pod is deleted under it.
    let mut running = shell.spawn(&["connect", "web", "--quiet"]);
    let at = address(&running.line());
    assert!(works(&at));
    mallory.does(&["delete", "pod", &first, "--wait=false", "--grace-period=1"]);
    until("its pod is gone", || !space.pods().contains(&first));
    until("the next connection goes through a new one", || works(&at));
    assert_eq!(mallory.has_heard(FORGED), "");
    running.signal(Signal::TERM);
    running.end();
    // Nor is it used by a forward that is opened anew.
    assert_eq!(shell.ok(&page), "hello from the vpc\n");
    assert_eq!(mallory.has_heard(FORGED), "");

    shell.ok(&["pod", "delete", "brow-web-*", "--yes"]);
    until("only the forged one is left", || space.pods() == [FORGED]);
    assert_eq!(shell.run(&["pod", "delete", "brow-web-zzzz*", "--yes"]).code, 3, "a pattern means our own");
    shell.ok(&["pod", "cleanup", "--yes"]);
    assert_eq!(space.pods(), [FORGED]);

    // It would have told what it got.
    let port = own["spec"]["containers"][0]["ports"][0]["containerPort"].as_u64().unwrap();
    let kubectl = Kubectl::forward(&space.0, FORGED, port);
    let mut stream = TcpStream::connect(&kubectl.local).unwrap();
    stream.write_all(b"a secret\n").unwrap();
    until("it is written down", || mallory.has_heard(FORGED).contains("a secret"));
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_forged_pod_that_takes_the_name_of_ours_hears_no_address() {
    let home = Home::new(CONFIG);
    let scene = Scene::new(&home, Namespace::new("samename"), |token| json!({ "token": token }));
    let shell = Shell { home: &home, kubeconfig: Some(scene.kubeconfig.clone()) };
    let mut running = shell.spawn(&["connect", "vpc", "-q"]);
    let local = address(&running.line());
    assert!(echoes(&mut open(&local)));
    let pods = scene.space.pods();
    let name = pods.iter().find(|name| name.starts_with("brow-")).unwrap();
    // No watch tells that ours is gone.
    scene.refuse_watches();
    let mallory = Mallory::new(&home, &scene.space.0);
    let own: Value = serde_json::from_str(&mallory.does(&["get", "pod", name, "-o", "json"])).unwrap();
    mallory.does(&["delete", "pod", name, "--grace-period=0", "--force"]);
    // It says that it is new, and wants the secret.
    mallory.forges(&home, &own, name, "SYSTEM:echo new; cat >/dev/null");
    let is_nonce = |line: &str| line.len() == 32 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
    // Gone for the API server, ours may run on for a moment.
    until("ours has ended", || !echoes(&mut open(&local)));
    until("it is asked", || {
        assert!(!echoes(&mut open(&local)), "nobody but ours leads there");
        mallory.has_heard(name).lines().any(is_nonce)
    });
    let heard = mallory.has_heard(name);
    let said = |line: &&str| !line.starts_with(['>', '<']);
    assert!(heard.lines().filter(said).all(|line| is_nonce(line) || line == "new"), "{heard}");
    running.signal(Signal::TERM);
}
