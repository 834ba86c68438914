//! Forwards through real pods.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

#[path = "cluster/bridge.rs"]
mod bridge;
#[path = "cluster/tunnel.rs"]
mod cluster;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bridge::{Bridge, Lets, NODES};
use brow_model::address::Address;
use brow_model::allow::AllowList;
use brow_model::epoch::Epoch;
use brow_model::event::{Event, ForwardEvent};
use brow_model::fault::{Fault, What};
use brow_model::forward::{ForwardId, ForwardSpec};
use brow_model::forward_settings::LocalUsers;
use brow_model::installation::Installation;
use brow_model::proxy::{PodKey, PodSelector};
use brow_model::route::Via;
use brow_tui::effects::{LANE_PARSER, ask_relay};
use brow_tui::forward::{self, Dialer, Handle, Lane, LaneEnd, ReachError, keep_lane};
use brow_tui::proxy::relay::{self, RelayRequest, Secret};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube_tunnel::{self, Error, LeaseOptions, Tunnels};
use sha2::{Digest, Sha256};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const NAMESPACE: &str = "brow-dev";
const TIMEOUT: Duration = Duration::from_mins(1);

/// The dialer of one target, in place of that of `effects`.
struct Real {
    tunnels: Tunnels,
    /// The address that the relay connects to; without one, the pod's port is the target.
    target: Option<Address>,
}

impl Dialer for Real {
    type Lease = kube_tunnel::Lease;

    async fn lease(&self, via: &Via) -> Result<kube_tunnel::Lease, Fault> {
        let route =
            kube_tunnel::Route { namespace: via.pod.namespace.clone(), pod: via.pod.name.clone(), port: via.port };
        Ok(self.tunnels.lease(route, LeaseOptions::default()))
    }

    fn is_relayed(&self, _: &Via) -> bool {
        self.target.is_some()
    }

    async fn open(&self, lease: &kube_tunnel::Lease, _: &Via) -> Result<kube_tunnel::Stream, kube_tunnel::Error> {
        match &self.target {
            Some(target) => ask_relay(lease, &secret(), RelayRequest::Connect(target), async { Ok(()) }).await,
            None => lease.open().await,
        }
    }

    async fn lane(&self, lease: &kube_tunnel::Lease, _: &Via, lane: &Lane) -> LaneEnd {
        match &self.target {
            Some(target) => {
                let (word, secret) = (relay::new_word(), secret());
                let asked = ask_relay(lease, &secret, RelayRequest::Lane(target, &word), async { Ok(()) });
                keep_lane(lease, asked, word.clone(), LANE_PARSER, lane).await
            }
            None => LaneEnd::Unsupported,
        }
    }

    async fn reach(&self, _: &kube_tunnel::Lease, _: &Via) -> Result<Option<Duration>, ReachError> {
        Ok(None)
    }

    async fn blame(&self, _: &Via) -> Option<Fault> {
        None
    }

    async fn diagnose(&self, lease: &kube_tunnel::Lease, _: &Via, _: Duration) -> Result<Option<Fault>, Error> {
        let Some(target) = &self.target else { return Ok(None) };
        let mut stream = ask_relay(lease, &secret(), RelayRequest::Diagnose(target), async { Ok(()) }).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.map_err(Error::from_io)?;
        Ok(relay::read_diagnosis(&answer).map(|(what, words)| Fault::new(what, "the target", words)))
    }
}

struct Open {
    handle: Handle,
    task: JoinHandle<()>,
    events: mpsc::Receiver<Event>,
    locals: Vec<SocketAddr>,
}

impl Open {
    async fn new(client: &kube::Client, via: Via, target: Option<&str>) -> Self {
        let spec = ForwardSpec {
            id: ForwardId(1),
            epoch: Epoch(1),
            target: "web".into(),
            selector: PodSelector {
                cluster: "brow-developer".into(),
                namespace: NAMESPACE.into(),
                label: "web".into(),
            },
            address: "10.99.0.10:7".parse().expect("an address"),
            bind: vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
            port: 0,
            any_port: true,
            on_demand: false,
            probe: None,
            tunnel: None,
            local_users: LocalUsers::Me,
            local_socket: None,
            allow: AllowList::default(),
            relay: brow_model::settings::Relay::Socat,
            carrier: brow_model::settings::Carrier::PortForward,
            pod_proxy_worked: false,
        };
        let target = target.map(|target| target.parse().expect("an address"));
        let (sender, events) = brow_tui::events::EventSender::channel(64);
        let route = Real { tunnels: Tunnels::new(client.clone(), None), target };
        let (handle, run) = forward::start(spec, Some(via), route, sender, &CancellationToken::new());
        let mut open = Self { handle, task: tokio::spawn(run), events, locals: Vec::new() };
        let ForwardEvent::Bound(locals) = open.event().await else { panic!("not bound") };
        open.locals = locals;
        open
    }

    async fn event(&mut self) -> ForwardEvent {
        let event = timeout(TIMEOUT, self.events.recv()).await.expect("no event").expect("ended");
        let Event::Forward { event, .. } = event else { panic!("{event:?}") };
        event
    }

    async fn failure(&mut self) -> Fault {
        loop {
            match self.event().await {
                ForwardEvent::ConnectionFailed(fault) => return fault,
                ForwardEvent::Up(_) | ForwardEvent::Down(_) | ForwardEvent::Refused(_) | ForwardEvent::Drained(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.locals[0]).await.expect("connected")
    }

    async fn close(self) {
        self.handle.close();
        timeout(TIMEOUT, self.task).await.expect("in time").expect("ended");
    }
}

fn via(name: &str, port: u16) -> Via {
    Via {
        pod: PodKey { cluster: "brow-developer".into(), namespace: NAMESPACE.into(), name: name.into() },
        uid: String::new(),
        port,
        to: None,
        node: None,
    }
}

/// A client, and the names of the pods of the Deployment `web`: HTTP on 8080, echo on 7.
async fn cluster() -> (kube::Client, Vec<String>) {
    let kubeconfig = cluster::kubeconfig();
    let client = cluster::client(&cluster::config(&kubeconfig, "brow-developer").await);
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let list = pods.list(&ListParams::default().labels("app=web")).await.expect("pods");
    let names = list.items.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    (client, names.filter_map(|pod| pod.metadata.name).collect())
}

async fn ask_name(open: &Open) -> String {
    let mut client = open.connect().await;
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").await.expect("asked");
    let mut answer = String::new();
    timeout(TIMEOUT, client.read_to_string(&mut answer)).await.expect("in time").expect("answered");
    answer
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn bytes_through_a_pod_are_counted_exactly() {
    let (client, pods) = cluster().await;
    let open = Open::new(&client, via(&pods[0], 7), None).await;
    let bytes: Vec<u8> = (0..3_000_001_u32).map(|i| i.to_le_bytes()[0] ^ i.to_le_bytes()[2]).collect();
    let (mut read, mut write) = open.connect().await.into_split();
    let sent = bytes.clone();
    let sender = tokio::spawn(async move {
        write.write_all(&sent).await.expect("sent");
        write
    });
    let mut back = vec![0; bytes.len()];
    timeout(TIMEOUT, read.read_exact(&mut back)).await.expect("in time").expect("echoed");
    assert_eq!(Sha256::digest(&back), Sha256::digest(&bytes));
    drop((sender.await.expect("sent"), read));
    let ended = async {
        while open.handle.counts().open > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(TIMEOUT, ended).await.expect("in time");
    let counts = open.handle.counts();
    assert_eq!((counts.up, counts.down), (bytes.len() as u64, bytes.len() as u64));
    assert_eq!((counts.total, counts.failed), (1, 0));
    assert!(open.handle.tunnel().is_some());
    open.close().await;
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_forward_moves_from_pod_to_pod() {
    let (client, pods) = cluster().await;
    let open = Open::new(&client, via(&pods[0], 8080), None).await;
    assert!(ask_name(&open).await.contains(&pods[0]));
    open.handle.set_pod(Some(via(&pods[1], 8080)), false);
    // The order to move and the next connection are not one: it may still find the old way.
    let moved = async { while !ask_name(&open).await.contains(&pods[1]) {} };
    timeout(TIMEOUT, moved).await.expect("moved");
    assert_eq!(open.handle.counts().failed, 0);
    open.close().await;
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_port_where_nothing_listens_fails_that_connection_only() {
    let (client, pods) = cluster().await;
    for node in NODES {
        let bridge = Bridge::to(client.clone(), Lets::Everything, node).await;
        fails_that_connection_only(&bridge.client(), &pods).await;
    }
}

async fn fails_that_connection_only(client: &kube::Client, pods: &[String]) {
    let mut open = Open::new(client, via(&pods[0], 9), None).await;
    for _ in 0..2 {
        let mut client = open.connect().await;
        let end = timeout(TIMEOUT, client.read(&mut [0])).await.expect("in time");
        assert_eq!(end.expect_err("not an orderly end").kind(), std::io::ErrorKind::ConnectionReset);
        let fault = open.failure().await;
        assert_eq!(fault.what, What::TargetRefused, "{fault:?}");
    }
    open.handle.set_pod(Some(via("no-such-pod", 7)), false);
    let mut client = open.connect().await;
    assert!(timeout(TIMEOUT, client.read(&mut [0])).await.expect("in time").is_err());
    let gone = async { while open.failure().await.what != What::PodDeleted {} };
    timeout(TIMEOUT, gone).await.expect("told");
    open.handle.set_pod(Some(via(&pods[0], 8080)), false);
    let back = async { while !ask_name(&open).await.contains(&pods[0]) {} };
    timeout(TIMEOUT, back).await.expect("back");
    open.close().await;
}

fn secret() -> Secret {
    Secret::new(&Installation::default(), NAMESPACE, "tests")
}

/// A pod with the program's own relay, which takes its time to listen.
fn pod(name: &str) -> Pod {
    let mut command = vec!["sh".to_owned(), "-c".to_owned(), "sleep 2; exec socat \"$@\"".to_owned(), "sh".to_owned()];
    command.extend(relay::args());
    let env: Vec<_> = relay::env(&secret(), false)
        .iter()
        .map(|(name, value)| serde_json::json!({ "name": name, "value": value }))
        .collect();
    let pod = serde_json::json!({
        "metadata": { "name": name },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": 300,
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "relay",
                "image": "alpine/socat:latest",
                "imagePullPolicy": "IfNotPresent",
                "command": command,
                "env": env,
            }],
        },
    });
    serde_json::from_value(pod).expect("a pod")
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_fresh_relay_is_waited_for_and_its_target_asked() {
    let (client, _) = cluster().await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    for node in NODES {
        let name = format!("forward-test-{}-{node:?}", std::process::id()).to_lowercase();
        let bridge = Bridge::to(client.clone(), Lets::Everything, node).await;
        pods.create(&PostParams::default(), &pod(&name)).await.expect("created");
        let result = tokio::spawn(through_relay(pods.clone(), bridge.client(), name.clone())).await;
        pods.delete(&name, &DeleteParams::default()).await.expect("deleted");
        result.expect("the story");
    }
}

async fn through_relay(pods: Api<Pod>, client: kube::Client, name: String) {
    let running = kube::runtime::wait::await_condition(pods, &name, kube::runtime::conditions::is_pod_running());
    timeout(TIMEOUT, running).await.expect("in time").expect("running");
    let open = Open::new(&client, via(&name, relay::PORT), Some("10.99.0.10:7")).await;
    // The relay does not listen yet; the connection does not notice.
    let mut echo = open.connect().await;
    echo.write_all(b"through the relay").await.expect("sent");
    let mut back = [0; 17];
    timeout(TIMEOUT, echo.read_exact(&mut back)).await.expect("in time").expect("echoed");
    assert_eq!(&back, b"through the relay");
    assert_eq!((open.handle.counts().up, open.handle.counts().down), (17, 17), "without the address line");
    assert_eq!(open.handle.counts().failed, 0);
    drop(echo);
    open.close().await;

    // A target that refuses looks like one, not like an orderly end.
    let mut open = Open::new(&client, via(&name, relay::PORT), Some("10.99.0.10:4")).await;
    let mut refused = open.connect().await;
    refused.write_all(b"anybody?").await.expect("sent");
    let end = timeout(TIMEOUT, refused.read(&mut [0])).await.expect("in time");
    assert_eq!(end.expect_err("not an orderly end").kind(), std::io::ErrorKind::ConnectionReset);
    let fault = open.failure().await;
    assert_eq!((fault.what, fault.detail.as_str()), (What::TargetRefused, "Connection refused"));
    open.close().await;
    ends_as_its_target_does(&client, &name).await;
}

/// The first connections ask the relay themselves, those after them go by a lane: either way a reset stays a reset, and
/// an end an end.
async fn ends_as_its_target_does(client: &kube::Client, name: &str) {
    let target = TcpListener::bind("10.99.0.1:0").await.expect("the address that pods reach this machine by");
    let address = target.local_addr().expect("bound").to_string();
    let mut open = Open::new(client, via(name, relay::PORT), Some(&address)).await;
    for resets in [true, false, true, true, false, true] {
        let mut client = open.connect().await;
        client.write_all(b"x").await.expect("sent");
        let (mut server, _) = timeout(TIMEOUT, target.accept()).await.expect("in time").expect("reached");
        server.read_exact(&mut [0]).await.expect("sent");
        server.write_all(&[7; 5_000]).await.expect("answered");
        timeout(TIMEOUT, client.read_exact(&mut [0; 5_000])).await.expect("in time").expect("the answer");
        if resets {
            SockRef::from(&server).set_linger(Some(Duration::ZERO)).expect("set");
        }
        drop(server);
        let end = timeout(TIMEOUT, client.read(&mut [0])).await.expect("in time");
        if resets {
            assert_eq!(end.expect_err("not an orderly end").kind(), std::io::ErrorKind::ConnectionReset);
            assert_eq!(open.failure().await.what, What::TargetReset);
        } else {
            assert_eq!(end.expect("an end in order"), 0);
        }
    }
    assert_eq!(open.handle.counts().failed, 4);
    open.close().await;
}
