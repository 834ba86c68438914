//! Kubeconfig contexts and the clients for them.
//!
//! [`Clusters`] is made from the kubeconfig at start, and again when a person asks for it, and connects nothing. A client comes into being when somebody
//! first asks for it, and is shared by all who ask after that.

mod again;
mod browse;
mod buffered;
mod connector;
mod fault;
mod kubeconfig;
mod node;
mod plugin;
mod probe;
mod rights;
mod watching;
pub mod workload;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::model::cluster::Context;
use crate::model::fault::{Fault, What, without_logins};

pub use again::retry_after;
pub use browse::browse;
pub use connector::client;
pub use fault::{fault, grant, of_io};
pub use node::node_fault;
pub use probe::{keep, probe};
pub use rights::{may, rights};
pub use watching::watch_fault;

use plugin::Stderr;

/// How long a login plugin that failed is not run again for those who only try again: it may open a browser each time.
const PLUGIN_REST: Duration = Duration::from_secs(25);

/// The contexts of a kubeconfig, and the clients made so far. Cheap to clone: all clones are one.
#[derive(Clone, Default)]
pub struct Clusters {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The kubeconfig that was asked for by name.
    explicit: Option<PathBuf>,
    inner: RwLock<Arc<Inner>>,
}

#[derive(Default)]
struct Inner {
    kubeconfig: Kubeconfig,
    slots: BTreeMap<String, Arc<Slot>>,
}

/// One context.
#[derive(Default)]
struct Slot {
    /// The lock within is held while the client is made, so that a login plugin runs once however many ask. Who wants
    /// to begin anew puts another in its place: a plugin may wait for a person for ever.
    made: RwLock<Arc<Mutex<Made>>>,
    /// What the kubeconfig says of the context, in one number.
    entries: u64,
    /// What keeps the context from being used, as far as the kubeconfig shows it.
    broken: Option<Fault>,
    stderr: Option<Stderr>,
    /// What the kubeconfig says to do where the plugin is missing.
    install_hint: Option<String>,
}

/// What came of making a client.
#[derive(Default)]
struct Made {
    client: Option<Client>,
    /// When the login plugin failed last, and how.
    failed: Option<(Instant, Fault)>,
}

impl Clusters {
    /// Reads the kubeconfig: `explicit`, else every file of `KUBECONFIG`, else `~/.kube/config`. Nothing is connected.
    ///
    /// # Errors
    /// [`What::NoKubeconfig`] where there is none, [`What::FileUnreadable`] where one can't be read,
    /// [`What::KubeconfigBroken`] where it can't be parsed.
    pub fn read(explicit: Option<&Path>) -> Result<(Self, Vec<Context>), Fault> {
        let clusters = Self::unread(explicit.map(Path::to_owned));
        let contexts = clusters.read_again()?;
        Ok((clusters, contexts))
    }

    /// Knows no contexts until [`Clusters::read_again`].
    pub fn unread(explicit: Option<PathBuf>) -> Self {
        Self { shared: Arc::new(Shared { explicit, inner: RwLock::default() }) }
    }

    /// Reads the kubeconfig, as it is now. Clients that are there stay until they are forgotten, or the file says
    /// something else of their context; without the file, or with one that makes no sense, everything stays. Blocks for
    /// as long as the file takes.
    ///
    /// # Errors
    /// As [`Clusters::read`].
    pub fn read_again(&self) -> Result<Vec<Context>, Fault> {
        let found = kubeconfig::read(self.shared.explicit.as_deref())?;
        let before = self.inner();
        let mut slots: BTreeMap<String, Slot> = BTreeMap::new();
        let contexts: Vec<Context> =
            found.kubeconfig.contexts.iter().map(|named| project(&found, &named.name)).collect();
        for context in &contexts {
            let slot = Slot { entries: context.entries, broken: context.fault.clone(), ..Slot::default() };
            slots.insert(context.name.clone(), slot);
        }
        let mut kubeconfig = found.kubeconfig;
        for user in &mut kubeconfig.auth_infos {
            let Some(exec) = user.auth_info.as_mut().and_then(|info| info.exec.as_mut()) else {
                continue;
            };
            // Without a place for its words the plugin still runs; they only show when it fails.
            let stderr = Stderr::new().ok();
            plugin::tame(exec, stderr.as_ref());
            for context in contexts.iter().filter(|context| context.user == user.name) {
                let install_hint = exec.install_hint.clone();
                if let Some(slot) = slots.get_mut(&context.name) {
                    (slot.stderr, slot.install_hint) = (stderr.clone(), install_hint);
                }
            }
        }
        for (name, slot) in &mut slots {
            let same = before.slots.get(name).filter(|old| old.entries == slot.entries);
            // One that is just being made is made once more.
            if let Some(client) = same.and_then(|old| old.made().try_lock().ok()?.client.clone()) {
                slot.made = RwLock::new(Arc::new(Mutex::new(Made { client: Some(client), failed: None })));
            }
        }
        let slots = slots.into_iter().map(|(name, slot)| (name, Arc::new(slot))).collect();
        *self.shared.inner.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Inner { kubeconfig, slots });
        Ok(contexts)
    }

    /// What was read last.
    fn inner(&self) -> Arc<Inner> {
        Arc::clone(&self.shared.inner.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The client for a context, made when it is first asked for.
    ///
    /// # Errors
    /// [`What::UnknownContext`]; [`What::ContextBroken`] where the context is incomplete or names missing files;
    /// [`What::PluginFailed`] and [`What::PluginMissing`] for an exec plugin, with what it wrote on stderr.
    pub async fn client(&self, context: &str) -> Result<Client, Fault> {
        let inner = self.inner();
        let slot = inner.slot(context)?;
        if let Some(fault) = &slot.broken {
            return Err(fault.clone());
        }
        let made = slot.made();
        let mut made = made.lock().await;
        if let Some(client) = &made.client {
            return Ok(client.clone());
        }
        if let Some((_, fault)) = made.failed.as_ref().filter(|(at, _)| at.elapsed() < PLUGIN_REST) {
            return Err(fault.clone());
        }
        let broken = |words| Fault::new(What::ContextBroken, context, words);
        let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
        let mut config = Config::from_custom_kubeconfig(inner.kubeconfig.clone(), &options)
            .await
            .map_err(|error| broken(fault::chain(&error)))?;
        if self.server(context).1.is_none() {
            config.proxy_url = None;
        }
        let before = slot.stderr.as_ref().map_or(0, Stderr::length);
        // An exec plugin runs in here, and takes the time it takes.
        let result = tokio::task::spawn_blocking(move || connector::client(&config))
            .await
            .map_err(|error| Fault::new(What::PluginFailed, context, error.to_string()))?
            .map_err(|error| fault(context, &error, None).1);
        match result {
            Ok(client) => {
                *made = Made { client: Some(client.clone()), failed: None };
                Ok(client)
            }
            Err(fault) if fault.what == What::PluginFailed => {
                let fault = slot.explained(fault, before);
                made.failed = Some((Instant::now(), fault.clone()));
                Err(fault)
            }
            Err(fault) => Err(fault),
        }
    }

    /// Drops the client of a context, so that the next one logs in anew.
    pub fn forget(&self, context: &str) {
        if let Ok(slot) = self.inner().slot(context) {
            *slot.made.write().unwrap_or_else(PoisonError::into_inner) = Arc::default();
        }
    }

    /// What an exec plugin has written on stderr since this was asked last.
    pub async fn plugin_said(&self, context: &str) -> Option<String> {
        let stderr = self.inner().slot(context).ok()?.stderr.clone()?;
        tokio::task::spawn_blocking(move || stderr.news()).await.ok().flatten()
    }

    /// The API server of a context, to be named where it cannot be reached, and the proxy on the way to it.
    fn server(&self, context: &str) -> (String, Option<String>) {
        let inner = self.inner();
        let (_, cluster) = inner.entries(context);
        let proxy = cluster.and_then(|cluster| cluster.proxy_url.clone()).filter(|proxy| !proxy.is_empty());
        let server = cluster.and_then(|cluster| cluster.server.clone()).unwrap_or_default();
        let proxy = proxy.or_else(|| {
            // As kube's config reads them; but no environment's proxy leads to this machine itself, as for kubectl
            // (Go's net/http, ProxyFromEnvironment).
            ["HTTPS_PROXY", "https_proxy"]
                .into_iter()
                .filter(|_| !is_loopback(&server))
                .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
        });
        (server, proxy.map(|url| without_logins(&url)))
    }
}

impl Inner {
    fn entries(&self, context: &str) -> (Option<&kube::config::Context>, Option<&kube::config::Cluster>) {
        let kubeconfig = &self.kubeconfig;
        let context = kubeconfig.contexts.iter().find(|named| named.name == context);
        let context = context.and_then(|named| named.context.as_ref());
        let cluster = context.and_then(|at| kubeconfig.clusters.iter().find(|named| named.name == at.cluster));
        (context, cluster.and_then(|named| named.cluster.as_ref()))
    }

    fn slot(&self, context: &str) -> Result<&Slot, Fault> {
        self.slots.get(context).map(AsRef::as_ref).ok_or_else(|| Fault::new(What::UnknownContext, context, ""))
    }
}

impl Slot {
    fn made(&self) -> Arc<Mutex<Made>> {
        Arc::clone(&self.made.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A plugin's failure with what it wrote on stderr from `before` on and, where it could not be started, with what
    /// the kubeconfig says to do then.
    fn explained(&self, fault: Fault, before: u64) -> Fault {
        let said = self.stderr.as_ref().and_then(|stderr| stderr.take_from(before));
        // The shell's own words, 127 is what it ends with then (POSIX, 2.8.2).
        let missing = fault.detail.contains("exit status: 127") || fault.detail.contains("os error 2");
        let what = if missing { What::PluginMissing } else { fault.what };
        let hint = self.install_hint.clone().filter(|_| missing);
        let parts = [said.unwrap_or_else(|| fault.detail.clone()), hint.unwrap_or_default()];
        let words: Vec<&str> = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).collect();
        Fault { what, detail: words.join("\n"), ..fault }
    }
}

/// Whether a server is on this machine.
fn is_loopback(server: &str) -> bool {
    let uri = server.parse::<http::Uri>().ok();
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
    let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

/// A context as the model knows it.
fn project(found: &kubeconfig::Found, name: &str) -> Context {
    let kubeconfig = &found.kubeconfig;
    let context = kubeconfig.contexts.iter().find(|named| named.name == name).and_then(|named| named.context.as_ref());
    let cluster = context.map(|context| context.cluster.clone()).unwrap_or_default();
    let server = kubeconfig.clusters.iter().find(|named| named.name == cluster);
    let server = server.and_then(|named| named.cluster.as_ref()?.server.clone()).unwrap_or_default();
    let broken = found.broken(name).or_else(|| unknown_user(kubeconfig, context));
    Context {
        name: name.to_owned(),
        server: without_logins(&server),
        user: context.and_then(|context| context.user.clone()).unwrap_or_default(),
        namespace: context
            .and_then(|context| context.namespace.clone())
            .filter(|namespace| !namespace.is_empty())
            .unwrap_or_else(|| "default".to_owned()),
        current: kubeconfig.current_context.as_deref() == Some(name),
        entries: entries(kubeconfig, context, broken.as_deref()),
        fault: broken.map(|words| Fault::new(What::ContextBroken, name, words)),
        twice: found.twice(name),
    }
}

/// A user that is not there would be a login without credentials, and a puzzling 401.
fn unknown_user(kubeconfig: &Kubeconfig, context: Option<&kube::config::Context>) -> Option<String> {
    let user = context.and_then(|context| context.user.clone()).unwrap_or_default();
    let known = user.is_empty() || kubeconfig.auth_infos.iter().any(|named| named.name == user);
    (!known).then(|| format!("it names the user “{user}”, which is not in the kubeconfig"))
}

/// All that a kubeconfig says of a context, its cluster and its user, in one number: two that differ say different
/// things. Nobody can read a credential from it, and it is not kept beyond the process.
fn entries(kubeconfig: &Kubeconfig, context: Option<&kube::config::Context>, broken: Option<&str>) -> u64 {
    let cluster = context.and_then(|at| kubeconfig.clusters.iter().find(|named| named.name == at.cluster));
    let user = context.and_then(|at| {
        let user = at.user.as_deref().unwrap_or_default();
        kubeconfig.auth_infos.iter().find(|named| named.name == user)
    });
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(&(context, cluster, user, broken)).unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
