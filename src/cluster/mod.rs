//! Kubeconfig contexts and the clients for them.
//!
//! [`Clusters`] is made from the kubeconfig at start, and again when a person asks for it, and connects nothing. A
//! client comes into being when somebody first asks for it, and is shared by all who ask after that.

mod again;
mod bounded;
mod browse;
mod buffered;
mod connector;
mod credential;
pub mod descriptors;
mod fault;
mod kubeconfig;
mod login;
mod node;
mod path;
mod plugin;
mod probe;
mod rights;
mod settle;
mod watching;
mod way;
pub mod workload;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use kube::config::{AuthInfo, Kubeconfig};
use tokio::sync::watch;

use kube_tunnel::Login;

use crate::store::limited;
use brow_model::cluster::Context;
use brow_model::fault::{Fault, What, without_logins};
use brow_model::workload::is_dns_label;

pub use again::retry_after;
pub use browse::browse;
pub use connector::client;
pub use fault::{fault, grant, of_io};
pub use node::node_fault;
pub use plugin::through as plugins_through;
pub use probe::{keep, probe};
pub use rights::{GET, is_get_enough, may, rights};
pub use watching::{Watch, watch_fault};
pub use way::{Way, Why};

use login::Slot;

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
    /// The newest login to each context, as soon as there was one.
    logins: Mutex<BTreeMap<String, watch::Sender<Login>>>,
    /// How often each context's server has answered again.
    answering: Mutex<BTreeMap<String, watch::Sender<u64>>>,
}

#[derive(Default)]
struct Inner {
    kubeconfig: Kubeconfig,
    contexts: Vec<Context>,
    slots: BTreeMap<String, Arc<Slot>>,
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
        Self { shared: Arc::new(Shared { explicit, ..Shared::default() }) }
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
        let contexts: Vec<Context> =
            found.kubeconfig.contexts.iter().map(|named| project(&found, &named.name)).collect();
        let kubeconfig = found.kubeconfig;
        let slots = contexts.iter().map(|context| {
            // One that is just being made goes on being made.
            let same = before.slots.get(&context.name).filter(|old| old.entries == context.entries);
            let new = || Arc::new(Slot::new(context, user_named(&kubeconfig, &context.user)));
            (context.name.clone(), same.map_or_else(new, Arc::clone))
        });
        let inner = Inner { slots: slots.collect(), contexts: contexts.clone(), kubeconfig };
        let stays = |old: &Arc<Slot>| inner.slots.values().any(|slot| Arc::ptr_eq(slot, old));
        let others: Vec<_> = before.slots.values().filter(|old| !stays(old)).collect();
        *self.shared.inner.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(inner);
        for old in others {
            old.forget();
        }
        Ok(contexts)
    }

    /// The files that say who logs in where, and how: the kubeconfig's own, and those that it names.
    pub fn files(&self) -> Vec<PathBuf> {
        let inner = self.inner();
        let users = inner.kubeconfig.auth_infos.iter().filter_map(|named| named.auth_info.as_ref());
        let users = users.flat_map(files_of_user);
        let clusters = inner.kubeconfig.clusters.iter().filter_map(|named| named.cluster.as_ref());
        let authorities = clusters.filter_map(|cluster| cluster.certificate_authority.as_ref());
        let named: BTreeSet<PathBuf> = users.chain(authorities).map(PathBuf::from).collect();
        let own = kubeconfig::paths(self.shared.explicit.as_deref()).into_iter();
        own.filter_map(|path| std::path::absolute(path).ok()).chain(named).collect()
    }

    /// The contexts as they were read last.
    pub fn contexts(&self) -> Vec<Context> {
        self.inner().contexts.clone()
    }

    /// What was read last.
    fn inner(&self) -> Arc<Inner> {
        Arc::clone(&self.shared.inner.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What an exec plugin has written on stderr since this was asked last.
    pub async fn plugin_said(&self, context: &str) -> Option<String> {
        let stderr = self.inner().slot(context).ok()?.stderr.clone()?;
        tokio::task::spawn_blocking(move || stderr.news()).await.ok().flatten()
    }

    /// The API server of a context, to be named where it cannot be reached, and the proxy on the way to it.
    fn server(&self, context: &str) -> (String, Option<String>) {
        let inner = self.inner();
        let server = inner.entries(context).1.and_then(|cluster| cluster.server.clone()).unwrap_or_default();
        (without_logins(&server), self.way(context).and_then(|way| way.shown()))
    }

    /// The way to the API server of a context, where the context can be used.
    pub fn way(&self, context: &str) -> Option<Way> {
        let inner = self.inner();
        let cluster = inner.entries(context).1?;
        settle::Server::of(cluster).ok()?.way(cluster).ok()
    }

    /// Whether the login of a context is not sent, because its server is reached over plain HTTP.
    pub fn withholds_login(&self, context: &str) -> bool {
        let inner = self.inner();
        let (at, cluster) = inner.entries(context);
        let user = user_of(&inner.kubeconfig, at);
        cluster.zip(user).is_some_and(|(cluster, user)| settle::withheld(cluster, user))
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

    /// What the client of a context is made from.
    fn config(&self, context: &str) -> Result<kube::Config, String> {
        let (at, cluster) = self.entries(context);
        let at = at.ok_or("it is empty")?;
        settle::config(at, cluster, user_of(&self.kubeconfig, Some(at)))
    }

    fn slot(&self, context: &str) -> Result<Arc<Slot>, Fault> {
        self.slots.get(context).cloned().ok_or_else(|| Fault::new(What::UnknownContext, context, ""))
    }
}

/// A context as the model knows it.
fn project(found: &kubeconfig::Found, name: &str) -> Context {
    let kubeconfig = &found.kubeconfig;
    let context = kubeconfig.contexts.iter().find(|named| named.name == name).and_then(|named| named.context.as_ref());
    let cluster = context.map(|context| context.cluster.clone()).unwrap_or_default();
    let server = kubeconfig.clusters.iter().find(|named| named.name == cluster);
    let server = server.and_then(|named| named.cluster.as_ref()?.server.clone()).unwrap_or_default();
    let namespace = context.and_then(|context| context.namespace.clone()).filter(|namespace| !namespace.is_empty());
    // It would be a part of the API's paths.
    let (namespace, no_name) = match namespace {
        Some(namespace) if !is_dns_label(&namespace) => (None, Some("its namespace cannot be one’s name".to_owned())),
        namespace => (namespace, None),
    };
    let broken = found.broken(name).or_else(|| unknown_user(kubeconfig, context)).or(no_name);
    Context {
        name: name.to_owned(),
        server: without_logins(&server),
        user: context.and_then(|context| context.user.clone()).unwrap_or_default(),
        namespace: namespace.unwrap_or_else(|| "default".to_owned()),
        current: kubeconfig.current_context.as_deref() == Some(name),
        entries: entries(kubeconfig, context, broken.as_deref()),
        fault: broken.map(|words| Fault::new(What::ContextBroken, name, words)),
        twice: found.twice(name),
        plugin: user_of(kubeconfig, context).and_then(|user| Some(plugin::shown(user.exec.as_ref()?))),
    }
}

/// A user that is not there would be a login without credentials, and a puzzling 401.
fn unknown_user(kubeconfig: &Kubeconfig, context: Option<&kube::config::Context>) -> Option<String> {
    let user = context.and_then(|context| context.user.clone()).unwrap_or_default();
    let known = user.is_empty() || kubeconfig.auth_infos.iter().any(|named| named.name == user);
    (!known).then(|| format!("it names the user “{user}”, which is not in the kubeconfig"))
}

fn files_of_user(user: &AuthInfo) -> impl Iterator<Item = &String> {
    [&user.token_file, &user.client_certificate, &user.client_key].into_iter().flatten()
}

fn user_of<'a>(kubeconfig: &'a Kubeconfig, context: Option<&kube::config::Context>) -> Option<&'a AuthInfo> {
    user_named(kubeconfig, context?.user.as_deref()?)
}

fn user_named<'a>(kubeconfig: &'a Kubeconfig, name: &str) -> Option<&'a AuthInfo> {
    kubeconfig.auth_infos.iter().find(|named| named.name == name)?.auth_info.as_ref()
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
    let authority = cluster.and_then(|named| named.cluster.as_ref()?.certificate_authority.as_ref());
    let user = user.and_then(|named| named.auth_info.as_ref());
    for file in user.into_iter().flat_map(files_of_user).chain(authority) {
        // One that is not there is the client's to report.
        limited::read(Path::new(file)).ok().hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
