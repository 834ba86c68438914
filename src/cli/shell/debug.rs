//! `shell --debug`: a debug container beside one that has no shell. Its entry stays in the pod.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::hold::Hold;
use super::resolve::Refused;
use crate::cli::print::{self, Failure};
use crate::cli::signals::Signals;
use crate::cluster::{self, Clusters};
use crate::proxy::{self, DebugContainer, DebugProfile, DebugState};
use crate::text::Text;
use brow_model::fault::{Fault, Remedy, What};
use brow_model::proxy::PodKey;

/// The longest wait for the container to run.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// The interval at which it is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// The rights that it takes, besides those to a shell.
const NEEDS: [(&str, &str); 3] =
    [("patch", "pods/ephemeralcontainers"), ("create", "pods/attach"), ("create", "pods/exec")];

/// A debug container that is asked for.
pub(super) struct DebugRequest<'a> {
    pub clusters: &'a Clusters,
    pub text: &'a Text,
    /// The pod that gets it.
    pub key: &'a PodKey,
    /// The container that it is for.
    pub target: &'a str,
    pub image: &'a str,
    pub profile: DebugProfile,
}

/// A debug container that runs, as long as this lives.
pub(super) struct DebugSession {
    pub name: String,
    pub hold: Hold,
}

impl DebugRequest<'_> {
    /// Adds the container, waits until it runs, and connects to it.
    ///
    /// # Errors
    /// The reason: missing rights, a server or a namespace that does not have it, an image that cannot be pulled.
    pub(super) async fn open(&self, signals: &mut Signals) -> Result<DebugSession, Refused> {
        let opening = async {
            self.check_rights().await?;
            let name = proxy::debug_name();
            self.add(&name).await?;
            let with =
                [("thing", self.key.name.as_str()), ("name", &name), ("container", self.target), ("image", self.image)];
            print::err(&self.text.fill("cli.debug-added", &with));
            let late = || Fault::new(What::TimedOut, &name, "");
            let runs = timeout(START_TIMEOUT, self.runs(&name)).await;
            let hold = match runs.unwrap_or_else(|_| Err(late())) {
                Ok(()) => Hold::attach(self.clusters, self.key, &name).await,
                Err(fault) => Err(fault),
            };
            Ok(DebugSession { name, hold: hold? })
        };
        tokio::select! {
            biased;
            number = signals.next() => Err(Refused::ended(number)),
            opened = opening => opened,
        }
    }

    /// Checks all rights at once, before there is anything that would stay.
    async fn check_rights(&self) -> Result<(), Fault> {
        let grants = NEEDS.map(|(verb, resource)| cluster::grant(verb, resource, Some(&self.key.namespace)));
        let has = cluster::may(self.clusters, &self.key.cluster, &grants).await?;
        match grants.into_iter().zip(has).find(|(_, has)| !has) {
            Some((grant, _)) => Err(Fault::new(What::Forbidden, &self.key.cluster, "").with(Remedy::Grant(grant))),
            None => Ok(()),
        }
    }

    async fn api(&self) -> Result<Api<Pod>, Fault> {
        Ok(Api::namespaced(self.clusters.client(&self.key.cluster).await?, &self.key.namespace))
    }

    async fn get(&self) -> Result<Pod, Fault> {
        let asked = cluster::grant("get", "pods", Some(&self.key.namespace));
        let found = self.api().await?.get(&self.key.name).await;
        found.map_err(|error| cluster::object_fault(&self.key.cluster, &self.key.name, &error, Some(asked)))
    }

    async fn add(&self, name: &str) -> Result<(), Refused> {
        let pod = self.get().await?;
        let debug = DebugContainer { name, image: self.image, profile: self.profile, target: self.target };
        let patch = Patch::Strategic(proxy::debug_patch(&debug, &pod));
        let api = self.api().await?;
        let lacks = || {
            let with = [("cluster", self.key.cluster.as_str()), ("thing", &self.key.name)];
            Refused::from(Failure::usage(self.text.fill("cli.debug-unsupported", &with)))
        };
        match api.patch_ephemeral_containers(&self.key.name, &PatchParams::default(), &patch).await {
            Ok(pod) if proxy::has_debug(&pod, name) => Ok(()),
            // A server that does not know them ignores what it is sent, or has no such resource.
            Ok(_) => Err(lacks()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 405) && !says(&status.message, self.key) => {
                Err(lacks())
            }
            Err(error) => {
                let asked = cluster::grant("patch", "pods/ephemeralcontainers", Some(&self.key.namespace));
                Err(cluster::object_fault(&self.key.cluster, &self.key.name, &error, Some(asked)).into())
            }
        }
    }

    /// Waits until the container runs.
    async fn runs(&self, name: &str) -> Result<(), Fault> {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            match proxy::debug_state(&self.get().await?, name) {
                DebugState::Running => return Ok(()),
                DebugState::Over(fault) => return Err(fault),
                DebugState::Waiting => {}
            }
        }
    }
}

/// Returns true if the words are about the pod itself: it is gone.
fn says(words: &str, key: &PodKey) -> bool {
    words.contains(&format!("\"{}\"", key.name))
}
