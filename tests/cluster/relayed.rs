//! The container of a proxy pod as the program makes it, for the pods of tests and benches.

use std::time::Duration;

use brow_model::installation::{Identity, Installation};
use brow_model::proxy::{PodRequest, PodRequestId};
use brow_model::settings::{PodSettings, Relay};
use brow_model::ttl::Ttl;
use brow_tui::proxy::relay::Secret;
use brow_tui::proxy::{self, NewPod};
use chrono::Utc;
use serde_json::Value;

/// The name of the pod that has the secret: each process has a pod of its own, and all the same secret.
pub const SECRET_OF: &str = "tests";

/// The secret of the relay in a container of a namespace.
pub fn secret(namespace: &str) -> Secret {
    Secret::new(&Installation::default(), namespace, SECRET_OF)
}

/// Returns the spec of a pod whose relay knows [`secret`] once it is told, and that may run our own.
pub fn spec(namespace: &str) -> Value {
    let request = PodRequest {
        id: PodRequestId(1),
        target: "tests".into(),
        cluster: String::new(),
        namespace: namespace.into(),
        label: "tests".into(),
        address: "10.99.0.10:7".parse().expect("an address"),
        ttl: Ttl::DEFAULT,
        settings: PodSettings { relay: Some(Relay::Auto), ..PodSettings::default() },
        on_demand: false,
        agent: None,
        patience: Duration::ZERO,
    };
    let me = Identity { owner: String::new(), installation: Installation::default() };
    let new_pod = NewPod { name: SECRET_OF.into(), ..NewPod::new(&request) };
    let pod = proxy::spec(&request, &me, &new_pod, Utc::now());
    serde_json::to_value(pod.spec).expect("valid")
}
