//! Streams opened ahead at a relay: ready for a connection, and unknown to the target until there is one.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use brow_model::address::Address;
use brow_model::installation::Installation;
use brow_tui::effects::ask_relay;
use brow_tui::forward::{Lane, LaneEnd};
use brow_tui::proxy::relay::{self, RelayError, RelayRequest, Secret};
use futures::FutureExt;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use kube_tunnel::{LeaseOptions, Stream, Tunnels};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Stage;
use crate::forward::{Forward, keep};
use crate::load::until;
use crate::relayed::SECRET_OF;
use crate::server;
use crate::testpod::{ECHO, ENDLESS, LANES, NAMESPACE, RELAY, secret};

async fn spares(forward: &Forward, count: usize) {
    let wait = async {
        while forward.stats().spares != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.expect("opened ahead");
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn the_target_sees_a_connection_only_when_there_is_one() {
    let stage = Stage::new().await;
    let address = server::free().await;
    let target = TcpListener::bind(address).await.expect("free a moment ago");
    let forward = Forward::by_line(&stage.tunnels(None).await, stage.route(RELAY), &address.to_string()).await;
    for _ in 0..5 {
        spares(&forward, 2).await;
        assert_eq!(forward.stats().streams, 0);
        assert!(target.accept().now_or_never().is_none(), "the target was reached by nobody");
        let mut socket = TcpStream::connect(forward.address).await.unwrap();
        socket.write_all(b"x").await.unwrap();
        let (mut accepted, _) = target.accept().await.unwrap();
        let mut byte = [0];
        accepted.read_exact(&mut byte).await.unwrap();
        accepted.write_all(&byte).await.unwrap();
        socket.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"x");
        assert_eq!(forward.stats().streams, 1);
        drop(socket);
        while accepted.read(&mut byte).await.is_ok_and(|count| count > 0) {}
        let idle = async {
            while forward.stats().streams > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), idle).await.expect("given back");
    }
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_lane_serves_connections_and_outlives_none_of_them() {
    let stage = Stage::new().await;
    let address = server::free().await;
    let target = TcpListener::bind(address).await.expect("free a moment ago");
    let tunnels = stage.tunnels(None).await;
    let mut forward = Forward::relayed(&tunnels, stage.route(LANES), secret(), &address.to_string()).await;
    until("a lane", || forward.lane().port().is_some()).await;
    assert!(target.accept().now_or_never().is_none(), "the target was reached by nobody");
    spares(&forward, 2).await;

    let mut socket = TcpStream::connect(forward.address).await.unwrap();
    socket.write_all(b"x").await.unwrap();
    let (mut accepted, _) = target.accept().await.unwrap();
    let mut byte = [0];
    accepted.read_exact(&mut byte).await.unwrap();

    // What goes by a lane stays when the lane goes; what comes then finds the way as before.
    forward.give_lane_up();
    for _ in 0..3 {
        let mut other = TcpStream::connect(forward.address).await.unwrap();
        other.write_all(b"y").await.unwrap();
        let (mut its, _) = target.accept().await.unwrap();
        its.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"y");
    }
    for sent in [b"a", b"b", b"c"] {
        accepted.write_all(sent).await.unwrap();
        socket.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, sent);
        socket.write_all(sent).await.unwrap();
        accepted.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, sent);
    }
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_lane_that_is_lost_or_held_up_is_followed_by_another() {
    let stage = Stage::new().await;
    let address = server::free().await;
    let tunnels = stage.tunnels(None).await;
    let lease = tunnels.lease(stage.route(LANES), LeaseOptions { tunnels: 1 });
    until("one tunnel, that all share", || lease.stats().tunnels == 1).await;
    let address: Address = address.to_string().parse().unwrap();
    let lane = Lane::default();
    let keeping = async { while keep(&lease, &secret(), &address, &lane).await != LaneEnd::Unsupported {} };
    let followed = async {
        until("a lane", || lane.port().is_some()).await;
        let first = lane.port().expect("a lane");
        lane.discard(first);
        assert_eq!(lane.port(), None);
        until("another lane", || lane.port().is_some()).await;
        let second = lane.port().expect("a lane");
        assert_ne!(first, second);

        // A download that nobody takes keeps the one tunnel there is from being read.
        let mut paused = lease.open_at(ENDLESS).await.expect("a stream");
        paused.read_exact(&mut [0]).await.unwrap();
        until("a lane beside the paused download", || lane.port().is_some_and(|port| port != second)).await;
        let mut buffer = vec![0; 1 << 20];
        for _ in 0..4 {
            paused.read_exact(&mut buffer).await.expect("nobody waited for it");
        }
    };
    tokio::select! {
        () = keeping => panic!("the relay knows lanes"),
        () = followed => {}
    }
}

/// Lists the relay's directory for files, as an admin sees it from within.
fn files(stage: &Stage) -> String {
    let kubectl = ["--kubeconfig", &stage.kubeconfig, "--context", "brow-admin", "-n", NAMESPACE];
    let within = ["exec", &stage.pod, "-c", "lanes", "--", "ls", "/dev/shm"];
    let output = std::process::Command::new("kubectl").args(kubectl).args(within).output().expect("kubectl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Somebody else, who has the rights of `assets/rbac.yaml` in the namespace and no more.
struct Neighbour<'a> {
    stage: &'a Stage,
    name: String,
}

impl<'a> Neighbour<'a> {
    fn new(stage: &'a Stage) -> Self {
        let neighbour = Self { stage, name: format!("neighbour-{}", std::process::id()) };
        neighbour.kubectl("apply");
        neighbour
    }

    fn kubectl(&self, verb: &str) {
        let name = &self.name;
        let account =
            format!("apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: {name}\n  namespace: {NAMESPACE}\n");
        let rights = include_str!("../../assets/rbac.yaml")
            .replace("NAMESPACE", NAMESPACE)
            .replace("name: USER", &format!("name: system:serviceaccount:{NAMESPACE}:{name}"))
            .replace("name: brow-tui", &format!("name: {name}"));
        let mut child = std::process::Command::new("kubectl")
            .args(["--kubeconfig", &self.stage.kubeconfig, "--context", "brow-admin", verb, "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("kubectl");
        child.stdin.take().expect("piped").write_all(format!("{account}---\n{rights}").as_bytes()).expect("written");
        assert!(child.wait().expect("kubectl").success());
    }

    async fn client(&self) -> kube::Client {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.stage.client().await, NAMESPACE);
        let asked: TokenRequest = serde_json::from_value(json!({ "spec": { "audiences": [] } })).unwrap();
        let token = accounts.create_token_request(&self.name, &PostParams::default(), &asked).await.expect("a token");
        let mut config = crate::cluster::config(&self.stage.kubeconfig, "brow-admin").await;
        let login = json!({ "token": token.status.expect("a token").token });
        config.auth_info = serde_json::from_value(login).expect("a login");
        crate::cluster::client(&config)
    }
}

impl Drop for Neighbour<'_> {
    fn drop(&mut self) {
        self.kubectl("delete");
    }
}

async fn may(client: &kube::Client, verb: &str, subresource: &str) -> bool {
    let asked = json!({ "spec": { "resourceAttributes":
        { "namespace": NAMESPACE, "verb": verb, "resource": "pods", "subresource": subresource } } });
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &serde_json::from_value(asked).unwrap()).await;
    answer.expect("an answer").status.expect("a status").allowed
}

/// Reads a stream to its end.
async fn rest(stream: &mut Stream, what: &str) -> Vec<u8> {
    let mut said = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut said)).await;
    let _ended_or_reset = end.unwrap_or_else(|_| panic!("{what}: it hangs"));
    said
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn who_may_only_forward_to_a_relay_gets_nothing_from_it() {
    let stage = Stage::new().await;
    let address = server::free().await;
    let target = TcpListener::bind(address).await.expect("free a moment ago");
    let forward =
        Forward::relayed(&stage.tunnels(None).await, stage.route(LANES), secret(), &address.to_string()).await;
    until("a lane", || forward.lane().port().is_some()).await;
    let lane = forward.lane().port().expect("a lane");

    let neighbour = Neighbour::new(&stage);
    let client = neighbour.client().await;
    // The API server knows of a right a moment later.
    let known = async { while !may(&client, "create", "portforward").await {} };
    tokio::time::timeout(Duration::from_mins(1), known).await.expect("the right");
    assert!(!may(&client, "create", "exec").await);
    let tunnels = Tunnels::new(client, None);
    attack(&stage, &tunnels, &address.to_string()).await;

    // The lane of the other's target, with guesses at its word.
    for guess in [vec![b'0'; 40], vec![b'\n'; 64], vec![0; 1 << 20]] {
        let lease = tunnels.lease(stage.route(lane), LeaseOptions { tunnels: 1 });
        let mut stream = lease.open().await.expect("a stream");
        let _refused = stream.write_all(&guess).await;
        assert_eq!(rest(&mut stream, "a guess").await, b"");
    }
    assert!(target.accept().now_or_never().is_none(), "the target was reached by nobody");
    assert!(!files(&stage).contains("taken"), "nothing was run");
}

/// Returns the secret of this stage's relay, in hex.
fn words() -> String {
    let bytes = Installation::default().derive("relay", &format!("{NAMESPACE}/{SECRET_OF}"));
    bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// A request as a relay wants it.
fn request(known: &str, asked: &str) -> Vec<u8> {
    format!("{:<400}", format!("{known} - {asked}")).into_bytes()
}

async fn attack(stage: &Stage, tunnels: &Tunnels, address: &str) {
    let (run, nonce) = ("touch /dev/shm/taken", "0".repeat(32));
    let mut attacks = vec![vec![b'a'; 1 << 20], vec![0; 1 << 20], b"\n".repeat(1 << 20)];
    for asked in [format!("={address}"), format!("?{address}"), format!("+{address}"), format!("=a!!SYSTEM:{run}")] {
        // As a relay of an older version was asked, with no secret, with a wrong one, with what the pod's description
        // says.
        attacks.push(format!("{}\n", &asked[1..]).into_bytes());
        for known in ["", "*", &"0".repeat(64)] {
            attacks.push([format!("{nonce}\n").into_bytes(), request(known, &asked)].concat());
        }
    }
    for attack in attacks {
        let shown = String::from_utf8_lossy(&attack[..attack.len().min(60)]).into_owned();
        // What is refused is not read to its end, which holds up what else its tunnel carries: one for each.
        let lease = tunnels.lease(stage.route(LANES), LeaseOptions { tunnels: 1 });
        let mut stream = lease.open().await.expect("a stream");
        let _refused = stream.write_all(&attack).await;
        let _refused = stream.shutdown().await;
        let said = rest(&mut stream, &shown).await;
        // No more than that it knows the secret, whoever asks.
        assert!(said.is_empty() || said.len() == 65, "{shown}: {}", String::from_utf8_lossy(&said));
    }
    // Who guesses is told so, by a proof that is another's.
    let to: Address = address.parse().expect("an address");
    let guess = Secret::new(&Installation::default(), NAMESPACE, "another");
    let lease = tunnels.lease(stage.route(LANES), LeaseOptions { tunnels: 1 });
    assert!(ask_relay(&lease, &guess, RelayRequest::Connect(&to), async { Ok(()) }).await.is_err());
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn what_is_no_address_is_refused_by_the_relay_itself() {
    let stage = Stage::new().await;
    let tunnels = stage.tunnels(None).await;
    let lease = tunnels.lease(stage.route(LANES), LeaseOptions { tunnels: 1 });
    // The relay has its secret from now on.
    let to: Address = "10.99.0.10:7".parse().expect("an address");
    drop(ask_relay(&lease, &secret(), RelayRequest::Diagnose(&to), async { Ok(()) }).await.expect("asked"));
    let said = async |asked: &str| {
        let mut stream = lease.open().await.expect("a stream");
        stream.write_all(format!("{}\n", "0".repeat(32)).as_bytes()).await.expect("sent");
        let mut proof = [0; 65];
        stream.read_exact(&mut proof).await.expect("a proof");
        stream.write_all(&request(&words(), asked)).await.expect("sent");
        String::from_utf8_lossy(&rest(&mut stream, asked).await).into_owned()
    };
    assert!(said("?10.99.0.10:7").await.contains(" N "), "it serves who knows the secret");
    for attack in [
        "=127.0.0.1:1!!SYSTEM:echo${IFS}owned",
        "?10.99.0.10:7!!SYSTEM:echo${IFS}owned",
        "+10.99.0.10:7!!SYSTEM:echo${IFS}owned",
        "=10.99.0.10:7,bind=127.0.0.1",
        "?10.99.0.10:7,fork",
        "?10.99.0.10:7)",
        "?$(echo${IFS}10.99.0.10):7",
        "?`echo${IFS}10.99.0.10`:7",
        "?10.99.0.10:7'",
        "?\"10.99.0.10:7\"",
        "?10.99.0.10:7\r",
        "?10.99.0.10:7\n!!SYSTEM:echo${IFS}owned",
        "?10.99.0.10:7\n10.99.0.10:8",
        "?\n10.99.0.10:7",
        "?10.99.0.10:7\0!!SYSTEM:echo${IFS}owned",
        "?10.99.0.10:7\0,fork",
        "?10.99.0.10:7;echo${IFS}owned",
        "??10.99.0.10:7",
        "?",
        "",
    ] {
        assert_eq!(said(attack).await, "", "{attack:?}");
    }
    assert!(said("?10.99.0.10:7").await.contains(" N "), "it goes on serving");
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_pod_that_is_no_relay_of_ours_hears_no_address() {
    let stage = Stage::new().await;
    let tunnels = stage.tunnels(None).await;
    let to: Address = "10.99.0.10:7".parse().expect("an address");
    let ask = async |port| {
        let lease = tunnels.lease(stage.route(port), LeaseOptions { tunnels: 1 });
        let mut stream = lease.open().await.expect("a stream");
        let confirm = async { Ok::<_, String>(()) };
        let refusal = relay::request(&mut stream, &secret(), RelayRequest::Connect(&to), confirm)
            .await
            .expect_err("no relay of ours");
        (stream, refusal, lease)
    };
    // It says back all that it hears.
    let (mut stream, refusal, _lease) = ask(ECHO).await;
    assert!(matches!(refusal, RelayError::WrongSecret), "{refusal:?}");
    stream.shutdown().await.expect("ended");
    assert_eq!(rest(&mut stream, "an echo").await, b"");
    // The relay of an older version is told from one that only lost its way.
    let (_, refusal, _lease) = ask(RELAY).await;
    assert!(matches!(refusal, RelayError::Silent) && refusal.to_string().contains("an older version"), "{refusal:?}");
}
