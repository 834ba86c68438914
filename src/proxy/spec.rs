//! The spec of a proxy pod.
//!
//! It meets the *restricted* Pod Security Standard and needs no right beyond `pods` and `pods/portforward`. The address
//! that it relays to appears nowhere in it.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, LocalObjectReference, Pod,
    PodSecurityContext, PodSpec, ResourceRequirements, SeccompProfile, SecurityContext, Toleration, Volume,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rand::RngExt as _;

use super::relay::Secret;
use super::{CREATED_AT, INSTALLATION, MANAGED_BY, NONCE, ON_DEMAND, OWNER, TARGET, TTL, relay};
use brow_model::installation::Identity;
use brow_model::proxy::PodRequest;
use brow_model::settings::{PodSettings, PullPolicy, Relay};

/// The default image, with socat and sh.
pub const DEFAULT_IMAGE: &str = "alpine/socat:latest";

/// The default CPU request. There is no default limit: it would throttle transfers.
const CPU_REQUEST: &str = "5m";

/// The default memory limit: enough for the processes of a relay ([`relay::MAX_PROCESSES`]).
const MEMORY_LIMIT: &str = "512Mi";

/// The CPU limit if the namespace demands one: less would throttle a transfer.
pub(super) const CPU_LIMIT: &str = "1";

/// The name of the container, its port, and the volume with its program.
const RELAY: &str = "relay";

/// The uid of `nobody` in every distribution that the image could be built on.
pub(super) const NOBODY: i64 = 65_534;

/// The characters of a pod's random suffix: those of Kubernetes' own names, which spell no words
/// (`k8s.io/apimachinery/pkg/util/rand`).
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The random values of a pod, drawn before it is requested: nobody can know them before the pod exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPod {
    pub name: String,
    pub nonce: String,
}

impl NewPod {
    /// Chooses a random name and a nonce for the pod of a request.
    pub fn new(request: &PodRequest) -> Self {
        let nonce = format!("{:032x}", rand::random::<u128>());
        Self { name: format!("brow-{}-{}", request.label, random()), nonce }
    }
}

/// Builds the pod for a request.
pub fn spec(request: &PodRequest, me: &Identity, new_pod: &NewPod, now: DateTime<Utc>) -> Pod {
    let label = request.label.clone();
    let hidden = brow_model::target::hides(&request.target, &request.address);
    let settings = &request.settings;
    let mut labels = settings.labels.clone();
    labels.extend([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned()), (TARGET.to_owned(), label)]);
    let mut annotations = settings.annotations.clone();
    annotations.extend([
        (CREATED_AT.to_owned(), now.to_rfc3339_opts(SecondsFormat::Secs, true)),
        (TTL.to_owned(), request.ttl.to_string()),
        (OWNER.to_owned(), me.owner.clone()),
        (INSTALLATION.to_owned(), me.installation.id().to_owned()),
        (NONCE.to_owned(), new_pod.nonce.clone()),
    ]);
    annotations.extend(request.on_demand.then(|| (ON_DEMAND.to_owned(), "true".to_owned())));
    if !hidden {
        annotations.insert(TARGET.to_owned(), request.target.clone());
    }
    let secret = Secret::new(&me.installation, &request.namespace, &new_pod.name);
    Pod {
        metadata: ObjectMeta {
            name: Some(new_pod.name.clone()),
            namespace: Some(request.namespace.clone()),
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        spec: Some(pod_spec(request, settings, &secret)),
        status: None,
    }
}

fn pod_spec(request: &PodRequest, settings: &PodSettings, secret: &Secret) -> PodSpec {
    let secrets = settings.pull_secrets.clone().unwrap_or_default();
    PodSpec {
        containers: vec![container(settings, secret)],
        restart_policy: Some("Never".to_owned()),
        active_deadline_seconds: Some(request.ttl.secs().into()),
        // The relay keeps nothing that a slow end could save.
        termination_grace_period_seconds: Some(1),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(NOBODY),
            run_as_group: Some(NOBODY),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
            ..PodSecurityContext::default()
        }),
        volumes: runs_our_relay(settings).then(|| vec![volume()]),
        image_pull_secrets: (!secrets.is_empty())
            .then(|| secrets.into_iter().map(|name| LocalObjectReference { name }).collect()),
        node_selector: (!settings.node_selector.is_empty()).then(|| settings.node_selector.clone()),
        tolerations: settings.tolerations.as_ref().map(|all| {
            let one = |t: &brow_model::settings::Toleration| Toleration {
                key: t.key.clone(),
                operator: t.operator.clone(),
                value: t.value.clone(),
                effect: t.effect.clone(),
                toleration_seconds: None,
            };
            all.iter().map(one).collect()
        }),
        ..PodSpec::default()
    }
}

fn container(settings: &PodSettings, secret: &Secret) -> Container {
    let ours = runs_our_relay(settings);
    let mount = VolumeMount { name: RELAY.into(), mount_path: relay::DIRECTORY.into(), ..VolumeMount::default() };
    let policy = match settings.pull_policy.unwrap_or(PullPolicy::IfNotPresent) {
        PullPolicy::Always => "Always",
        PullPolicy::IfNotPresent => "IfNotPresent",
        PullPolicy::Never => "Never",
    };
    let resources = &settings.resources;
    let amounts = |cpu: Option<&str>, memory: &str| {
        let all = cpu.map(|cpu| ("cpu", cpu)).into_iter().chain([("memory", memory)]);
        all.map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned()))).collect::<BTreeMap<_, _>>()
    };
    let requests = amounts(
        Some(resources.cpu_request.as_deref().unwrap_or(CPU_REQUEST)),
        resources.memory_request.as_deref().unwrap_or("16Mi"),
    );
    let limits = amounts(resources.cpu_limit.as_deref(), resources.memory_limit.as_deref().unwrap_or(MEMORY_LIMIT));
    Container {
        name: RELAY.to_owned(),
        image: Some(settings.image.clone().unwrap_or_else(|| DEFAULT_IMAGE.to_owned())),
        image_pull_policy: Some(policy.to_owned()),
        command: ours.then(relay::command),
        args: Some(relay::args()),
        env: Some(relay::env(secret, ours).into_iter().map(variable).collect()),
        volume_mounts: ours.then(|| vec![mount]),
        ports: Some(vec![ContainerPort {
            name: Some(RELAY.to_owned()),
            container_port: relay::PORT.into(),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        resources: Some(ResourceRequirements {
            requests: Some(requests),
            limits: Some(limits),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

/// Returns true if the pod may run our own relay.
fn runs_our_relay(settings: &PodSettings) -> bool {
    settings.relay.unwrap_or_default() == Relay::Auto
}

/// Returns the volume for our own relay. Its files count as the container's memory.
fn volume() -> Volume {
    let memory =
        EmptyDirVolumeSource { medium: Some("Memory".into()), size_limit: Some(Quantity("4Mi".into())), mode: None };
    Volume { name: RELAY.into(), empty_dir: Some(memory), ..Volume::default() }
}

fn variable((name, value): (&str, String)) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value), value_from: None }
}

/// Returns the random suffix of a name.
pub(super) fn random() -> String {
    let mut rng = rand::rng();
    let letter = |_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]);
    (0..6).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use brow_model::installation::Installation;
    use brow_model::proxy::PodRequestId;
    use brow_model::target::label;
    use brow_model::ttl::Ttl;

    fn me() -> Identity {
        Identity { owner: "ann@laptop".to_owned(), installation: Installation::new("0badcafe", [7; 32]) }
    }

    fn made(request: &PodRequest) -> Pod {
        spec(request, &me(), &NewPod::new(request), Utc::now())
    }

    fn request(target: &str, address: &str) -> PodRequest {
        let address = address.parse().unwrap();
        PodRequest {
            id: PodRequestId(1),
            target: target.to_owned(),
            cluster: "dev".to_owned(),
            namespace: "team".to_owned(),
            label: label(target, &address, &me().installation),
            address,
            ttl: Ttl::DEFAULT,
            settings: PodSettings::default(),
            on_demand: false,
            agent: None,
            patience: std::time::Duration::ZERO,
        }
    }

    #[test]
    fn the_address_is_nowhere_in_the_pod() {
        for (target, address, trace) in [
            ("mysql-dev", "10.0.0.1:3306", "10.0.0.1"),
            ("10.0.0.1:3306", "10.0.0.1:3306", "10.0.0.1"),
            ("db-10-0-0-1", "10.0.0.1:3306", "10-0-0-1"),
            ("DB.corp.internal", "db.corp.internal:5432", "corp.internal"),
            ("DB.corp.internal", "db.corp.internal:5432", "corp-internal"),
            ("v6 [fd00::9]", "[fd00::9]:1", "fd00"),
        ] {
            let pod = made(&request(target, address));
            let text = serde_json::to_string(&pod).unwrap().to_lowercase();
            assert!(!text.contains(trace), "{target}: {text}");
        }
    }

    #[test]
    fn any_target_makes_a_valid_name() {
        for target in ["mysql", "数据库", "A B", &"x".repeat(200)] {
            let name = made(&request(target, "10.0.0.1:1")).metadata.name.unwrap();
            assert!(name.len() <= 63, "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{name}");
        }
        let [one, two] = [1, 2].map(|_| made(&request("a", "10.0.0.1:1")).metadata);
        assert_ne!(one.name, two.name);
        assert_ne!(one.annotations.unwrap()[NONCE], two.annotations.unwrap()[NONCE]);
    }

    #[test]
    fn settings_reach_the_pod_but_never_replace_what_marks_it() {
        let mut request = request("a", "10.0.0.1:1");
        request.settings = PodSettings {
            image: Some("registry.local/socat:1".into()),
            pull_policy: Some(PullPolicy::Always),
            pull_secrets: Some(vec!["pull".into()]),
            labels: BTreeMap::from([("team".into(), "x".into()), (MANAGED_BY.0.into(), "someone".into())]),
            annotations: BTreeMap::from([(OWNER.into(), "someone".into()), (INSTALLATION.into(), "x".into())]),
            ..PodSettings::default()
        };
        let pod = made(&request);
        let labels = pod.metadata.labels.unwrap();
        assert_eq!((labels["team"].as_str(), labels[MANAGED_BY.0].as_str()), ("x", MANAGED_BY.1));
        let notes = pod.metadata.annotations.unwrap();
        assert_eq!((notes[OWNER].as_str(), notes[INSTALLATION].as_str()), ("ann@laptop", "0badcafe"));
        let spec = pod.spec.unwrap();
        assert_eq!(spec.containers[0].image.as_deref(), Some("registry.local/socat:1"));
        assert_eq!(spec.image_pull_secrets.unwrap()[0].name, "pull");
        assert_eq!(spec.active_deadline_seconds, Some(1_800));
    }
}
