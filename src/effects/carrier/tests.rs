//! The memory of the pod proxy, and the pods that may get a secret.

use brow_model::installation::Installation;
use brow_model::proxy::PodKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

fn via(namespace: &str) -> Via {
    let pod = PodKey { cluster: "dev".into(), namespace: namespace.into(), name: "brow-db-abc".into() };
    Via { pod, uid: "1".into(), port: relay::PORT, to: None, node: None }
}

#[tokio::test]
async fn a_pod_that_asks_for_its_secret_again_does_not_get_it() {
    let (mut near, mut far) = tokio::io::duplex(4_096);
    let secret = Secret::new(&Installation::default(), "team", "brow-db-abc");
    let asking = async move {
        let asked = relay::request(&mut near, &secret, RelayRequest::Listen, not_ours()).await;
        asked.map_err(refusal).unwrap_err()
    };
    let another = async {
        let mut nonce = [0; 33];
        far.read_exact(&mut nonce).await.unwrap();
        far.write_all(b"new\n").await.unwrap();
        let mut said = Vec::new();
        far.read_to_end(&mut said).await.unwrap();
        said
    };
    let (error, said) = tokio::join!(asking, another);
    assert!(error.is_pod_gone(), "{error}");
    assert_eq!(said, b"");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_news_again_after_a_connection_that_lasted() {
    let (proxies, team) = (PodProxies::default(), via("team"));
    let (refused, forbidden) =
        (Error::NoUpgrade { status: 503, text: "no".into() }, Error::Forbidden { text: "no".into() });
    assert!(proxies.failed(&team, &refused).1);
    assert!(!proxies.failed(&team, &refused).1, "told");
    assert!(proxies.failed(&team, &forbidden).1, "for another reason");
    assert!(proxies.failed(&via("other"), &refused).1, "in another namespace");
    proxies.lasted(&team);
    assert!(proxies.at(&team, |known| known.told.is_none()));
    assert!(proxies.failed(&team, &forbidden).1, "after one that lasted");
}
