//! The tunnel against a real cluster.

#[path = "cluster/tunnel.rs"]
mod cluster;

use brow_tui::tunnel::{LeaseOptions, Route, Tunnels};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A pod of the Deployment `web`: HTTP on 8080, echo on 7.
async fn web_pod(client: &kube::Client) -> String {
    let pods: Api<Pod> = Api::namespaced(client.clone(), "brow-dev");
    let list = pods.list(&ListParams::default().labels("app=web")).await.expect("pods");
    list.items.first().and_then(|pod| pod.metadata.name.clone()).expect("a web pod")
}

#[tokio::test]
async fn bytes_come_back_from_the_echo() {
    let Some(kubeconfig) = cluster::kubeconfig() else { return };
    let client = cluster::client(cluster::config(&kubeconfig, "brow-developer").await);
    let route = Route { namespace: "brow-dev".into(), pod: web_pod(&client).await, port: 7 };
    let lease = Tunnels::new(client, None).lease(route, LeaseOptions::default());
    let mut stream = lease.open().await.expect("a stream");
    stream.write_all(b"hello").await.expect("written");
    let mut back = [0; 5];
    stream.read_exact(&mut back).await.expect("echoed");
    assert_eq!(&back, b"hello");
}
