//! One cluster: whether it answers, as whom we are let in, and what is known of pods and tunnels there.

use std::time::Duration;

use chrono::TimeDelta;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use tokio::time::timeout;

use super::deep;
use super::finding::{Area, Finding, State};
use crate::cluster::{Clusters, GET, ProxyChoice, ProxyReason, fault, grant, is_get_enough, may, probe};
use crate::proxy::{DEFAULT_IMAGE, MANAGED_BY, project};
use brow_model::cluster::Context;
use brow_model::event::ClusterEvent;
use brow_model::fault::{Fault, Grant, Remedy, What};
use brow_model::proxy::{Phase, ProxyPod};
use brow_model::settings::{PodSettings, Settings};
use kube_tunnel::{Error, LeaseOptions, Protocol, Route, Tunnels};

/// The longest wait for a login plugin and the first answer.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(40);
/// The longest wait for any other answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Clocks that differ by more confuse tokens and certificates.
const MAX_SKEW: TimeDelta = TimeDelta::seconds(10);

/// The right for the faster carrier.
const POD_PROXY: (&str, &str) = ("get", "pods/proxy");

/// The right to shells and copies, and that to shells where a container has none.
const EXEC: (&str, &str) = ("create", "pods/exec");
const DEBUG: (&str, &str) = ("patch", "pods/ephemeralcontainers");

/// The rights that daily work needs, most important first, each with the state to report without it.
const NEEDS: [(&str, &str, State); 9] = [
    ("create", "pods/portforward", State::Failed),
    ("list", "pods", State::Failed),
    ("watch", "pods", State::Failed),
    ("create", "pods", State::Warning),
    ("delete", "pods", State::Warning),
    // A tunnel inside a WebSocket is a GET; needed only behind gateways that know no SPDY.
    (GET.0, GET.1, State::Note),
    // Connections to brow-tui's own relay past the node.
    (POD_PROXY.0, POD_PROXY.1, State::Note),
    (EXEC.0, EXEC.1, State::Note),
    (DEBUG.0, DEBUG.1, State::Note),
];

/// Checks a cluster. `tried`: the result of the pod proxy when it was tried last, the reason if it did not work.
pub(super) async fn check(
    clusters: &Clusters,
    context: &Context,
    settings: &Settings,
    tried: Option<&Option<String>>,
    deep: bool,
) -> Vec<Finding> {
    let (name, mut version) = (context.name.as_str(), String::new());
    let mut findings = match timeout(LOGIN_TIMEOUT, probe(clusters, name)).await {
        Ok(Ok(ClusterEvent::Answered { version: told, rtt, skew })) => {
            version = told;
            let millis = format!("{:.0}", rtt.as_secs_f64() * 1_000.0);
            let with = [("server", context.server.as_str()), ("version", &version), ("millis", &millis)];
            vec![found("reachable", State::Good, "check.answers", &with), clock(skew)]
        }
        // A probe answers so and not otherwise.
        Ok(Ok(_)) => Vec::new(),
        Ok(Err((_, fault))) => vec![failed("reachable", fault)],
        Err(_) => {
            let words = format!("{}: no answer within {} s", context.server, LOGIN_TIMEOUT.as_secs());
            vec![failed("reachable", Fault::new(What::TimedOut, name, words))]
        }
    };
    if findings.iter().all(|finding| finding.state != State::Failed) {
        let rights = rights(clusters, context, &version).await;
        let allowed = rights.iter().all(|finding| finding.state < State::Warning);
        findings.extend(rights);
        if deep && allowed {
            findings.extend(deep::check(clusters, context, settings).await);
        } else {
            findings.extend(known(clusters, context, settings).await);
        }
    }
    findings.extend(tried.map(|failure| carrier(failure.as_deref())));
    findings.extend(clusters.proxy_choice(name).as_ref().map(proxy));
    if clusters.withholds_login(name) {
        findings.push(found("login", State::Warning, "check.login-withheld", &[]).remedy("check.use-https"));
    }
    let twice = context.twice.iter().cloned();
    findings.extend(twice.map(|fault| Finding::fault(Area::Cluster, "entry", State::Warning, fault)));
    findings.into_iter().map(|finding| finding.on(name)).collect()
}

pub(super) fn found(check: &'static str, state: State, key: &'static str, with: &[(&'static str, &str)]) -> Finding {
    Finding::new(Area::Cluster, check, state, key, with)
}

pub(super) fn failed(check: &'static str, fault: Fault) -> Finding {
    Finding::fault(Area::Cluster, check, State::Failed, fault)
}

/// Reports the proxy of requests and tunnels, and the reason for it.
fn proxy(choice: &ProxyChoice) -> Finding {
    let proxy = choice.shown().unwrap_or_default();
    let say = |key, with: &[(&'static str, &str)]| found("way", State::Good, key, with);
    match &choice.why {
        ProxyReason::Kubeconfig => say("check.way-kubeconfig", &[("proxy", &proxy)]),
        ProxyReason::Variable(name) => say("check.way-variable", &[("proxy", &proxy), ("name", name)]),
        ProxyReason::None => say("check.way-direct", &[]),
        ProxyReason::Loopback => say("check.way-loopback", &[]),
        ProxyReason::NoProxy(item) => say("check.way-no-proxy", &[("item", item)]),
        ProxyReason::Unusable(name) => found("way", State::Warning, "check.way-unusable", &[("name", name)]),
    }
}

/// Reports the result of the pod proxy when it was tried last.
fn carrier(failure: Option<&str>) -> Finding {
    match failure {
        None => found("carrier", State::Good, "check.pod-proxy-works", &[]),
        Some(why) => found("carrier", State::Note, "check.pod-proxy-fails", &[("detail", why)]),
    }
}

fn clock(skew: TimeDelta) -> Finding {
    let seconds = format!("{:+}", skew.num_seconds());
    if skew.abs() > MAX_SKEW {
        found("clock", State::Warning, "check.clock-off", &[("seconds", &seconds)]).remedy("check.set-clock")
    } else {
        found("clock", State::Good, "check.clock", &[])
    }
}

async fn rights(clusters: &Clusters, context: &Context, version: &str) -> Vec<Finding> {
    let space = context.namespace.as_str();
    let grants: Vec<Grant> = NEEDS.iter().map(|(verb, resource, _)| grant(verb, resource, Some(space))).collect();
    let answers = match may(clusters, &context.name, &grants).await {
        Ok(answers) => answers,
        Err(fault) => return vec![failed("rights", fault)],
    };
    let may_get = NEEDS.iter().zip(&answers).any(|((verb, resource, _), may)| (*verb, *resource) == GET && *may);
    let missing: Vec<Finding> = (NEEDS.iter().zip(grants).zip(answers))
        .filter(|(_, may)| !may)
        .map(|(((verb, resource, state), grant), _)| {
            let with = [("verb", *verb), ("resource", *resource), ("namespace", space)];
            match state {
                _ if *resource == GET.1 && may_get && is_get_enough(version) => {
                    found("rights", State::Note, "check.right-get", &with)
                }
                _ if *resource == POD_PROXY.1 => found("rights", State::Note, "check.right-proxy", &with),
                _ if *resource == EXEC.1 => found("rights", State::Note, "check.right-shell", &with),
                _ if *resource == DEBUG.1 => found("rights", State::Note, "check.right-debug", &with),
                State::Good | State::Note => found("rights", State::Note, "check.right-spare", &with),
                State::Warning | State::Failed => {
                    let fault = Fault::new(What::Forbidden, &context.name, "").with(Remedy::Grant(grant));
                    Finding::fault(Area::Cluster, "rights", *state, fault)
                }
            }
        })
        .collect();
    if missing.iter().any(|finding| finding.state > State::Note) {
        return missing;
    }
    let all = found("rights", State::Good, "check.rights", &[("namespace", space)]);
    [all].into_iter().chain(missing).collect()
}

/// Checks image and tunnel with existing pods of ours.
async fn known(clusters: &Clusters, context: &Context, settings: &Settings) -> Vec<Finding> {
    let image = image(context, settings);
    // Who may not list was told that already.
    let pods = pods(clusters, context).await.unwrap_or_default();
    let ours = || pods.iter().filter(|pod| pod.image == image);
    let pulled = ours().find(|pod| matches!(pod.phase, Phase::Starting | Phase::Ready | Phase::Expired));
    let not = ours().find_map(|pod| pod.fault.clone().filter(|fault| fault.what == What::ImagePull));
    let of_image = match (pulled, not) {
        (Some(pod), _) => found("image", State::Good, "check.image-ran", &[("image", &image), ("pod", &pod.key.name)]),
        (None, Some(fault)) => failed("image", fault),
        (None, None) => found("image", State::Note, "check.image-unknown", &[("image", &image)]),
    };
    let of_tunnel = match pods.iter().find(|pod| pod.phase == Phase::Ready) {
        Some(pod) => tunnel(clusters, context, settings, pod).await,
        None => found("tunnel", State::Note, "check.tunnel-unknown", &[]),
    };
    vec![of_image, of_tunnel]
}

/// The image of a proxy pod in a cluster.
pub(super) fn image(context: &Context, settings: &Settings) -> String {
    let pod = settings.pod_for(&context.name, &PodSettings::default());
    pod.image.unwrap_or_else(|| DEFAULT_IMAGE.to_owned())
}

async fn pods(clusters: &Clusters, context: &Context) -> Result<Vec<ProxyPod>, Fault> {
    let client = clusters.client(&context.name).await?;
    let api: Api<Pod> = Api::namespaced(client, &context.namespace);
    let params = ListParams::default().labels(&format!("{}={}", MANAGED_BY.0, MANAGED_BY.1)).limit(100);
    let listed = timeout(TIMEOUT, api.list(&params)).await;
    let slow = || Fault::new(What::TimedOut, &context.name, format!("no answer within {} s", TIMEOUT.as_secs()));
    let listed = listed.map_err(|_| slow())?.map_err(|error| fault(&context.name, &error, None).1)?;
    Ok(listed.items.iter().filter_map(|pod| project(&context.name, pod)).collect())
}

/// Opens a stream to a ready pod's relay, and reports the protocol.
pub(super) async fn tunnel(clusters: &Clusters, context: &Context, settings: &Settings, pod: &ProxyPod) -> Finding {
    let broken = |words: String| failed("tunnel", Fault::new(What::Tunnel, &pod.key.name, words));
    let client = match clusters.client(&context.name).await {
        Ok(client) => client,
        Err(fault) => return failed("tunnel", fault),
    };
    let forced = settings.clusters.get(&context.name).and_then(|at| at.tunnel.as_ref()?.parse::<Protocol>().ok());
    let route = Route { namespace: pod.key.namespace.clone(), pod: pod.key.name.clone(), port: pod.port };
    let lease = Tunnels::new(client, forced).lease(route, LeaseOptions::default());
    match timeout(TIMEOUT, lease.open()).await {
        Ok(Ok(_stream)) => {
            let protocol = lease.protocol().map(|protocol| protocol.to_string()).unwrap_or_default();
            found("tunnel", State::Good, "check.tunnel", &[("protocol", &protocol)])
        }
        Ok(Err(Error::Forbidden { text })) => {
            let right = grant("create", "pods/portforward", Some(&pod.key.namespace));
            failed("tunnel", Fault::new(What::Forbidden, &context.name, text).with(Remedy::Grant(right)))
        }
        Ok(Err(error)) => broken(error.to_string()),
        Err(_) => broken(format!("no answer within {} s", TIMEOUT.as_secs())),
    }
}
