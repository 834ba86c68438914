//! Tests of relays that answer late, not at all, or from a pod that goes.

use super::ask::answered;
use super::*;
use crate::proxy::relay::RelayError;

#[tokio::test(start_paused = true)]
async fn a_relay_that_is_slow_is_not_told_as_one_of_another_version() {
    let (mut near, _far) = tokio::io::duplex(1_024);
    let (secret, address) = (Secret::new(&Installation::default(), "team", "p"), "10.0.0.1:1".parse().unwrap());
    let slow = answered(relay::request(&mut near, &secret, RelayRequest::Connect(&address), async { Ok(()) }))
        .await
        .unwrap_err();
    assert!(matches!(slow, kube_tunnel::Error::TunnelLost { .. }), "{slow}");
    let ended = answered(async { Err(RelayError::Silent) }).await.unwrap_err();
    let kube_tunnel::Error::Pod { text } = ended else { panic!("{ended}") };
    assert_eq!(What::by_words(&text), Some(What::Relay));
}

#[cfg(feature = "practice")]
#[tokio::test]
async fn what_goes_wrong_with_a_pod_that_goes_is_for_the_next_one() {
    use brow_model::proxy::PodKey;
    use k8s_openapi::api::core::v1::Pod;
    use kube::api::{Api, DeleteParams, PostParams};

    let practice = brow_practice::Practice::start().await.unwrap();
    let (clusters, _) = Clusters::read(Some(&practice.kubeconfig())).unwrap();
    let pods: Api<Pod> = Api::namespaced(clusters.client("practice").await.unwrap(), "shop");
    // It says back what it hears, as no relay of ours does.
    let echo = serde_json::json!({
        "metadata": { "name": "echo" }, "spec": { "containers": [{ "name": "only", "image": "practice/echo:1" }] },
    });
    let made = pods.create(&PostParams::default(), &serde_json::from_value(echo).unwrap()).await.unwrap();
    let uid = made.metadata.uid.unwrap();
    let runs = async || pods.get("echo").await.unwrap().status.is_some_and(|at| at.phase.as_deref() == Some("Running"));
    while !runs().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let tunnels = Arc::new(ClusterTunnels::new(clusters, Installation::default()));
    let events = EventSender::channel(1).0.about(|event| brow_model::event::Event::Forward {
        id: brow_model::forward::ForwardId(1),
        epoch: brow_model::epoch::Epoch(1),
        event,
    });
    let dialer = ForwardDialer {
        tunnels,
        forced: None,
        relay: Relay::Socat,
        carrier: Carrier::PortForward,
        pod_proxy_worked: false,
        events,
    };
    let to: Address = "10.0.0.1:80".parse().unwrap();
    let key = PodKey { cluster: "practice".into(), namespace: "shop".into(), name: "echo".into() };
    let via = |uid: &str| Via {
        pod: key.clone(),
        uid: uid.to_owned(),
        port: 7,
        to: Some(Relayed::To(to.clone())),
        node: None,
    };
    let lease = dialer.lease(&via(&uid)).await.unwrap();
    let asked =
        async |uid: &str| dialer.request(&lease.tunnels, &via(uid), RelayRequest::Connect(&to)).await.unwrap_err();
    let there = asked(&uid).await;
    assert!(matches!(there, kube_tunnel::Error::Pod { .. }), "{there}");
    let another = asked("another").await;
    assert!(another.is_pod_gone(), "{another}");
    pods.delete("echo", &DeleteParams::default()).await.unwrap();
    let gone = asked(&uid).await;
    assert!(gone.is_pod_gone(), "{gone}");
    practice.end().await.unwrap();
}
