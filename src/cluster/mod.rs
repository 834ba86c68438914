//! Kubeconfig contexts and the clients for them.
//!
//! [`Clusters`] is made from the kubeconfig at start and connects nothing. A client comes into being when somebody
//! first asks for it, and is shared by all who ask after that.

mod buffered;
mod connector;
mod fault;
mod plugin;
mod probe;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tokio::sync::Mutex;

use crate::model::cluster::Context;
use crate::model::fault::{Fault, What};

pub use connector::client;
pub use fault::{fault, grant, of_io};
pub use probe::keep;

use plugin::Stderr;

/// The contexts of a kubeconfig, and the clients made so far. Cheap to clone: all clones are one.
#[derive(Clone, Default)]
pub struct Clusters {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    kubeconfig: Kubeconfig,
    slots: BTreeMap<String, Slot>,
}

/// One context. The lock is held while the client is made, so that a login plugin runs once however many ask.
#[derive(Default)]
struct Slot {
    client: Mutex<Option<Client>>,
    stderr: Option<Stderr>,
}

impl Clusters {
    /// Reads the kubeconfig: `explicit`, else every file of `KUBECONFIG`, else `~/.kube/config`. Nothing is connected.
    ///
    /// # Errors
    /// [`What::NoKubeconfig`] where there is none, [`What::KubeconfigBroken`] where one can't be read or parsed.
    pub fn read(explicit: Option<&Path>) -> Result<(Self, Vec<Context>), Fault> {
        let mut kubeconfig = match explicit {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        }
        .map_err(|error| unreadable(explicit, &error))?;
        let mut slots = BTreeMap::new();
        let contexts: Vec<Context> =
            kubeconfig.contexts.iter().map(|named| project(&kubeconfig, &named.name)).collect();
        for context in &contexts {
            slots.insert(context.name.clone(), Slot::default());
        }
        for user in &mut kubeconfig.auth_infos {
            let Some(exec) = user.auth_info.as_mut().and_then(|info| info.exec.as_mut()) else {
                continue;
            };
            // Without a place for its words the plugin still runs; they only show when it fails.
            let stderr = Stderr::new().ok();
            plugin::tame(exec, stderr.as_ref());
            for context in contexts.iter().filter(|context| context.user == user.name) {
                slots.insert(context.name.clone(), Slot { stderr: stderr.clone(), ..Slot::default() });
            }
        }
        Ok((Self { inner: Arc::new(Inner { kubeconfig, slots }) }, contexts))
    }

    /// The client for a context, made when it is first asked for.
    ///
    /// # Errors
    /// [`What::UnknownContext`]; [`What::KubeconfigBroken`] where the context is incomplete or names missing files;
    /// [`What::PluginFailed`] for an exec plugin.
    pub async fn client(&self, context: &str) -> Result<Client, Fault> {
        let slot = self.slot(context)?;
        let mut made = slot.client.lock().await;
        if let Some(client) = &*made {
            return Ok(client.clone());
        }
        let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(self.inner.kubeconfig.clone(), &options)
            .await
            .map_err(|error| Fault::new(What::KubeconfigBroken, context, fault::chain(&error)))?;
        // An exec plugin runs in here, and takes the time it takes.
        let client = tokio::task::spawn_blocking(move || connector::client(&config))
            .await
            .map_err(|error| Fault::new(What::PluginFailed, context, error.to_string()))?
            .map_err(|error| fault(context, &error, None).1)?;
        *made = Some(client.clone());
        Ok(client)
    }

    /// Drops the client of a context, so that the next one logs in anew.
    pub async fn forget(&self, context: &str) {
        if let Ok(slot) = self.slot(context) {
            *slot.client.lock().await = None;
        }
    }

    /// What an exec plugin has written on stderr since this was asked last.
    pub async fn plugin_said(&self, context: &str) -> Option<String> {
        let stderr = self.slot(context).ok()?.stderr.clone()?;
        tokio::task::spawn_blocking(move || stderr.news()).await.ok().flatten()
    }

    fn slot(&self, context: &str) -> Result<&Slot, Fault> {
        self.inner.slots.get(context).ok_or_else(|| Fault::new(What::UnknownContext, context, ""))
    }
}

/// A context as the model knows it.
fn project(kubeconfig: &Kubeconfig, name: &str) -> Context {
    let context = kubeconfig.contexts.iter().find(|named| named.name == name).and_then(|named| named.context.as_ref());
    let cluster = context.map(|context| context.cluster.clone()).unwrap_or_default();
    let server = kubeconfig.clusters.iter().find(|named| named.name == cluster);
    Context {
        name: name.to_owned(),
        server: server.and_then(|named| named.cluster.as_ref()?.server.clone()).unwrap_or_default(),
        user: context.and_then(|context| context.user.clone()).unwrap_or_default(),
        namespace: context
            .and_then(|context| context.namespace.clone())
            .filter(|namespace| !namespace.is_empty())
            .unwrap_or_else(|| "default".to_owned()),
        current: kubeconfig.current_context.as_deref() == Some(name),
    }
}

fn unreadable(explicit: Option<&Path>, error: &KubeconfigError) -> Fault {
    let looked_at = match (explicit, error) {
        (_, KubeconfigError::ReadConfig(_, path)) => path.display().to_string(),
        (Some(path), _) => path.display().to_string(),
        (None, _) => std::env::var("KUBECONFIG").unwrap_or_else(|_| "~/.kube/config".to_owned()),
    };
    let missing = match error {
        KubeconfigError::ReadConfig(io, _) => io.kind() == std::io::ErrorKind::NotFound,
        KubeconfigError::FindPath => true,
        _ => false,
    };
    let what = if missing { What::NoKubeconfig } else { What::KubeconfigBroken };
    Fault::new(what, looked_at, fault::chain(error))
}
