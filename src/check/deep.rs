//! Checks that need a pod: it is admitted, its image is pulled, a tunnel reaches it. The pod is deleted at once; if we
//! are stopped before, Kubernetes ends it at its TTL.

use tokio::time::Instant;

use super::cluster::{failed, found, image, tunnel};
use super::finding::{Finding, State};
use crate::cluster::Clusters;
use crate::proxy;
use crate::store;
use brow_model::cluster::Context;
use brow_model::forward_settings::ForwardPolicy;
use brow_model::installation::Identity;
use brow_model::proxy::{PodRequest, PodRequestId};
use brow_model::settings::{PodSettings, Settings};
use brow_model::ttl::Ttl;

/// The pod's TTL.
const TTL_SECONDS: u64 = 120;

pub(super) async fn check(clusters: &Clusters, context: &Context, settings: &Settings) -> Vec<Finding> {
    let Some(request) = request(context, settings) else { return Vec::new() };
    // The pod is deleted before this returns, so that no installation has to recognise it later.
    let me = Identity { owner: proxy::owner(), installation: store::throwaway() };
    let pod = match proxy::create(clusters, &request, &me, &proxy::NewPod::new(&request)).await {
        Ok(pod) => pod,
        Err(fault) => return vec![failed("pod", fault)],
    };
    let began = Instant::now();
    let image = image(context, settings);
    let mut findings = match proxy::until_ready(clusters, &pod).await {
        Ok(pod) => {
            let seconds = format!("{:.1}", began.elapsed().as_secs_f64());
            let with = [("image", image.as_str()), ("seconds", &seconds)];
            let runs = found("image", State::Good, "check.image-runs", &with);
            vec![runs, tunnel(clusters, context, settings, &pod).await]
        }
        Err(fault) => vec![failed("image", fault)],
    };
    if let Err(fault) = proxy::delete(clusters, &pod.key, &pod.uid).await {
        findings.push(failed("pod", fault));
    }
    findings
}

fn request(context: &Context, settings: &Settings) -> Option<PodRequest> {
    Some(PodRequest {
        id: PodRequestId(0),
        target: "check".to_owned(),
        cluster: context.name.clone(),
        namespace: context.namespace.clone(),
        label: "check".to_owned(),
        // Nowhere: nothing is sent there.
        address: "192.0.2.1:9".parse().ok()?,
        ttl: Ttl::from_secs(TTL_SECONDS)?.min(settings.max_ttl),
        on_demand: false,
        agent: None,
        patience: ForwardPolicy::BUILT_IN.create,
        settings: settings.pod_for(&context.name, &PodSettings::default()),
    })
}
