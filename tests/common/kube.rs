//! The real cluster, through kubectl, and the practice cluster: what a test arranges and checks behind the program's
//! back.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{Home, TIMEOUT};

/// The kubeconfig of the test cluster. Tests that need it are ignored where there is none (see `build.rs`).
#[track_caller]
pub fn kubeconfig() -> PathBuf {
    std::env::var_os("BROW_TEST_KUBECONFIG").expect("a cluster: set BROW_TEST_KUBECONFIG").into()
}

/// Runs kubectl as the admin; its standard output.
#[track_caller]
pub fn kubectl(args: &[&str]) -> String {
    try_kubectl(args).unwrap_or_else(|error| panic!("kubectl {args:?}: {error}"))
}

pub fn try_kubectl(args: &[&str]) -> Result<String, String> {
    // Each of its requests has a limit, but not what it waits for.
    let mut kubectl = Command::new("timeout");
    kubectl
        .args(["-k", "5", "300", "kubectl", "--kubeconfig"])
        .arg(kubeconfig())
        .args(["--context", "brow-admin"])
        .args(args);
    let output = kubectl.output().expect("timeout, from the package coreutils");
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
    }
}

/// A namespace of a test's own, deleted with all that is in it when the test ends.
pub struct Namespace(pub String);

/// Somebody, and a token for them.
const PERSON: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: { name: person }
---
apiVersion: v1
kind: Secret
metadata: { name: person, annotations: { kubernetes.io/service-account.name: person } }
type: kubernetes.io/service-account-token
";

/// Another token of the same person.
const SECOND_TOKEN: &str = "
apiVersion: v1
kind: Secret
metadata: { name: person-2, annotations: { kubernetes.io/service-account.name: person } }
type: kubernetes.io/service-account-token
";

impl Namespace {
    pub fn new(stem: &str) -> Self {
        let name = format!("brow-t-{stem}-{:08x}", rand::random::<u32>());
        kubectl(&["create", "namespace", &name]);
        let end = Instant::now() + TIMEOUT;
        // Pods are refused until the namespace has its service account.
        while try_kubectl(&["-n", &name, "get", "serviceaccount", "default"]).is_err() {
            assert!(Instant::now() < end, "no service account in {name}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self(name)
    }

    /// A kubeconfig whose only context, `story`, is somebody with rights in this namespace alone. So the program sees
    /// nothing of what other tests do to the same cluster.
    pub fn kubeconfig(&self, home: &Home) -> PathBuf {
        let manifest = home.path().join("person.yaml");
        // The rights that docs/permissions.md promises are enough, and no others.
        let rights = include_str!("../../assets/rbac.yaml").replace("kind: ClusterRole\n", "kind: Role\n");
        let user = format!("name: \"system:serviceaccount:{}:person\"", self.0);
        let rights = rights.replace("name: USER", &user).replace("NAMESPACE", &self.0);
        std::fs::write(&manifest, format!("{PERSON}---\n{rights}")).unwrap();
        kubectl(&["-n", &self.0, "apply", "-f", manifest.to_str().unwrap()]);
        let token = self.token("person");
        let path = home.path().join("kubeconfig");
        std::fs::write(&path, kubectl(&["config", "view", "--minify", "--raw", "--flatten"])).unwrap();
        let edit = |args: &[&str]| {
            let status =
                Command::new("kubectl").arg("--kubeconfig").arg(&path).arg("config").args(args).output().unwrap();
            assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
            String::from_utf8(status.stdout).unwrap()
        };
        let cluster = edit(&["view", "-o", "go-template={{(index .clusters 0).name}}"]);
        let admin = edit(&["view", "-o", "go-template={{(index .users 0).name}}"]);
        let namespace = format!("--namespace={}", self.0);
        edit(&["set-credentials", "person", &format!("--token={token}")]);
        edit(&["set-context", "story", &format!("--cluster={cluster}"), "--user=person", &namespace]);
        edit(&["use-context", "story"]);
        edit(&["delete-context", "brow-admin"]);
        edit(&["unset", &format!("users.{admin}")]);
        path
    }

    /// The token in a secret, once there is one.
    pub fn token(&self, secret: &str) -> String {
        let token = || kubectl(&["-n", &self.0, "get", "secret", secret, "-o", "go-template={{.data.token}}"]);
        until("the token is there", || !token().is_empty() && !token().contains("no value"));
        String::from_utf8(BASE64_STANDARD.decode(token()).unwrap()).unwrap()
    }

    /// Makes another token of the person in [`Namespace::kubeconfig`].
    pub fn second_token(&self, home: &Home) -> String {
        let manifest = home.path().join("token.yaml");
        std::fs::write(&manifest, SECOND_TOKEN).unwrap();
        kubectl(&["-n", &self.0, "apply", "-f", manifest.to_str().unwrap()]);
        self.token("person-2")
    }

    /// Puts a pod `echo` there, which sends back what comes by TCP and UDP on port 7, and a Service of that name with
    /// its ports on the nodes.
    pub fn echo(&self) {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/echo.yaml");
        kubectl(&["-n", &self.0, "apply", "-f", manifest]);
        kubectl(&["-n", &self.0, "wait", "--for=condition=Ready", "--timeout=60s", "pod/echo"]);
    }

    /// The ports of the Service `echo` on the nodes, by TCP and UDP.
    pub fn echo_ports(&self) -> [String; 2] {
        [0, 1].map(|at| {
            let path = format!("jsonpath={{.spec.ports[{at}].nodePort}}");
            kubectl(&["-n", &self.0, "get", "service", "echo", "-o", &path])
        })
    }

    /// The names of its pods, without those that are being deleted already: a kubelet may take a minute over them.
    pub fn pods(&self) -> Vec<String> {
        let names =
            "go-template={{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}{{end}}";
        let names = kubectl(&["-n", &self.0, "get", "pods", "-o", names]);
        names.split_whitespace().map(str::to_owned).collect()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let gone = try_kubectl(&["delete", "namespace", &self.0, "--wait=false"]);
        let pods =
            try_kubectl(&["-n", &self.0, "delete", "pods", "--all", "--wait=false", "--grace-period=0", "--force"]);
        if let (Err(error), false) = (gone.and(pods), std::thread::panicking()) {
            eprintln!("namespace {} was left behind: {error}", self.0);
        }
    }
}

/// A right in the whole cluster for a service account of a namespace, taken away when the test ends.
pub struct ClusterRight(String);

impl ClusterRight {
    /// `rules` are options of `kubectl create clusterrole`.
    pub fn new(name: String, rules: &[&str], namespace: &str, account: &str) -> Self {
        let right = Self(name);
        kubectl(&[&["create", "clusterrole", &right.0], rules].concat());
        let (role, account) = (format!("--clusterrole={}", right.0), format!("--serviceaccount={namespace}:{account}"));
        kubectl(&["create", "clusterrolebinding", &right.0, &role, &account]);
        right
    }
}

impl Drop for ClusterRight {
    fn drop(&mut self) {
        for kind in ["clusterrolebinding", "clusterrole"] {
            let gone = try_kubectl(&["delete", kind, &self.0, "--wait=false"]);
            if let (Err(error), false) = (gone, std::thread::panicking()) {
                eprintln!("{kind} {} was left behind: {error}", self.0);
            }
        }
    }
}

/// Asks the API of a practice cluster behind the program's back.
pub fn practice_get(kubeconfig: &Path, path: &str) -> serde_json::Value {
    let kubeconfig = std::fs::read_to_string(kubeconfig).unwrap();
    let login = kubeconfig.split_once("server: \"http://").unwrap().1.split('"').next().unwrap();
    let (login, address) = login.split_once('@').unwrap();
    let token = login.split_once(':').unwrap().1;
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// Waits for a condition that nothing announces.
#[track_caller]
pub fn until(what: &str, holds: impl FnMut() -> bool) {
    until_within(TIMEOUT, what, holds);
}

/// Waits for a condition that may take longer than others.
#[track_caller]
pub fn until_within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
