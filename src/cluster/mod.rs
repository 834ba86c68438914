//! Kubeconfig contexts and their clients.
//!
//! [`Clusters`] is created from the kubeconfig and connects nothing. A client is created when it is first needed, and
//! shared from then on.

mod bounded;
mod browse;
mod buffered;
mod client_config;
mod connector;
mod credential;
pub mod descriptors;
mod fault;
mod index;
mod kind;
mod kubeconfig;
mod liveness;
mod login;
mod node;
mod node_ports;
mod nodes;
mod object;
mod object_watch;
mod page;
mod plugin;
mod probe;
mod proxy_choice;
mod retry;
mod rights;
mod table;
pub mod workload;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kube::config::{AuthInfo, Kubeconfig};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::time::Instant;

use kube_tunnel::Login;

use crate::store::limited;
use brow_model::cluster::Context;
use brow_model::fault::{Fault, What, without_logins};
use brow_model::workload::is_dns_label;

pub use browse::{browse, read_ports};
pub use connector::{client, client_at, url_decoded};
pub use fault::{fault, grant, object_fault, of_io};
pub use index::index;
pub use kind::{find_kind, kind_of};
pub use node::node_fault;
pub use node_ports::node_ports;
pub use nodes::{NodeQuery, follow as follow_nodes};
pub use object::{manifest, resource};
pub use object_watch::{Watch, watch_fault};
pub use page::{PageCache, find_pods, relate, reveal, show_events, show_object};
pub use plugin::through as plugins_through;
pub use probe::{probe, run_probe};
pub use proxy_choice::{ProxyChoice, ProxyReason};
pub use retry::retry_after;
pub use rights::{GET, is_get_enough, may, rights};
pub use table::{list_kinds, show_kind};

use login::ContextLogin;

/// The contexts of a kubeconfig, and the clients created so far. Cheap to clone: all clones share one state.
#[derive(Clone, Default)]
pub struct Clusters {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// The kubeconfig that was passed by `--kubeconfig`.
    explicit: Option<PathBuf>,
    loaded: RwLock<Arc<Loaded>>,
    /// The newest login to each context that had one.
    logins: Mutex<BTreeMap<String, watch::Sender<Login>>>,
    /// The number of times that each context's server has recovered.
    answering: Mutex<BTreeMap<String, watch::Sender<u64>>>,
    /// The time until which this machine does not try to reach the nodes of a context by itself.
    unreached: Mutex<BTreeMap<String, Instant>>,
}

#[derive(Default)]
struct Loaded {
    kubeconfig: Kubeconfig,
    contexts: Vec<Context>,
    context_logins: BTreeMap<String, Arc<ContextLogin>>,
}

impl Clusters {
    /// Reads the kubeconfig: `explicit`, else every file of `KUBECONFIG`, else `~/.kube/config`. Nothing is connected.
    ///
    /// # Errors
    /// [`What::NoKubeconfig`] where there is none, [`What::FileUnreadable`] where one can't be read,
    /// [`What::KubeconfigBroken`] where it can't be parsed.
    pub fn read(explicit: Option<&Path>) -> Result<(Self, Vec<Context>), Fault> {
        let clusters = Self::empty(explicit.map(Path::to_owned));
        let contexts = clusters.reload()?;
        Ok((clusters, contexts))
    }

    /// Creates an instance without contexts; [`Clusters::reload`] reads them.
    pub fn empty(explicit: Option<PathBuf>) -> Self {
        Self { state: Arc::new(State { explicit, ..State::default() }) }
    }

    /// Reads the kubeconfig again. A client stays until it is forgotten or the file changes its context. If the file is
    /// missing or broken, everything stays. Blocks while reading.
    ///
    /// # Errors
    /// As [`Clusters::read`].
    pub fn reload(&self) -> Result<Vec<Context>, Fault> {
        let found = kubeconfig::read(self.state.explicit.as_deref())?;
        let before = self.loaded();
        let contexts: Vec<Context> =
            found.kubeconfig.contexts.iter().map(|named| project(&found, &named.name)).collect();
        let kubeconfig = found.kubeconfig;
        let context_logins = contexts.iter().map(|context| {
            // One that is just being made goes on being made.
            let same = before.context_logins.get(&context.name).filter(|old| old.entries == context.entries);
            let new = || Arc::new(ContextLogin::new(context, user_named(&kubeconfig, &context.user)));
            (context.name.clone(), same.map_or_else(new, Arc::clone))
        });
        let loaded = Loaded { context_logins: context_logins.collect(), contexts: contexts.clone(), kubeconfig };
        let stays = |old: &Arc<ContextLogin>| {
            loaded.context_logins.values().any(|context_login| Arc::ptr_eq(context_login, old))
        };
        let others: Vec<_> = before.context_logins.values().filter(|old| !stays(old)).collect();
        *self.state.loaded.write() = Arc::new(loaded);
        for old in others {
            old.forget();
        }
        Ok(contexts)
    }

    /// Returns the files that decide about logins: the kubeconfig's own, and those that it names.
    pub fn files(&self) -> Vec<PathBuf> {
        let loaded = self.loaded();
        let users = loaded.kubeconfig.auth_infos.iter().filter_map(|named| named.auth_info.as_ref());
        let users = users.flat_map(files_of_user);
        let clusters = loaded.kubeconfig.clusters.iter().filter_map(|named| named.cluster.as_ref());
        let authorities = clusters.filter_map(|cluster| cluster.certificate_authority.as_ref());
        let named: BTreeSet<PathBuf> = users.chain(authorities).map(PathBuf::from).collect();
        let own = kubeconfig::paths(self.state.explicit.as_deref()).into_iter();
        own.filter_map(|path| std::path::absolute(path).ok()).chain(named).collect()
    }

    /// Returns the contexts as last read.
    pub fn contexts(&self) -> Vec<Context> {
        self.loaded().contexts.clone()
    }

    /// Returns the kubeconfig as last read.
    fn loaded(&self) -> Arc<Loaded> {
        Arc::clone(&self.state.loaded.read())
    }

    /// Returns what an exec plugin has written on stderr since the last call.
    pub async fn plugin_output(&self, context: &str) -> Option<String> {
        let stderr = self.loaded().context_login(context).ok()?.stderr.clone()?;
        tokio::task::spawn_blocking(move || stderr.news()).await.ok().flatten()
    }

    /// Returns the API server of a context, for messages, and the proxy that is used to reach it.
    fn server(&self, context: &str) -> (String, Option<String>) {
        let loaded = self.loaded();
        let server = loaded.entries(context).1.and_then(|cluster| cluster.server.clone()).unwrap_or_default();
        (without_logins(&server), self.proxy_choice(context).and_then(|way| way.shown()))
    }

    /// Returns the proxy, or none, for the API server of a context, if the context is usable.
    pub fn proxy_choice(&self, context: &str) -> Option<ProxyChoice> {
        let loaded = self.loaded();
        let cluster = loaded.entries(context).1?;
        client_config::Server::of(cluster).ok()?.proxy_choice(cluster).ok()
    }

    /// Returns true if the login of a context is not sent because its server is reached over plain HTTP.
    pub fn withholds_login(&self, context: &str) -> bool {
        let loaded = self.loaded();
        let (at, cluster) = loaded.entries(context);
        let user = user_of(&loaded.kubeconfig, at);
        cluster.zip(user).is_some_and(|(cluster, user)| client_config::withheld(cluster, user))
    }
}

impl Loaded {
    fn entries(&self, context: &str) -> (Option<&kube::config::Context>, Option<&kube::config::Cluster>) {
        let kubeconfig = &self.kubeconfig;
        let context = kubeconfig.contexts.iter().find(|named| named.name == context);
        let context = context.and_then(|named| named.context.as_ref());
        let cluster = context.and_then(|at| kubeconfig.clusters.iter().find(|named| named.name == at.cluster));
        (context, cluster.and_then(|named| named.cluster.as_ref()))
    }

    /// Returns the config of a context's client.
    fn config(&self, context: &str) -> Result<kube::Config, String> {
        let (at, cluster) = self.entries(context);
        let at = at.ok_or("it is empty")?;
        client_config::config(at, cluster, user_of(&self.kubeconfig, Some(at)))
    }

    fn context_login(&self, context: &str) -> Result<Arc<ContextLogin>, Fault> {
        self.context_logins.get(context).cloned().ok_or_else(|| Fault::new(What::UnknownContext, context, ""))
    }
}

/// Converts a context to the model's type.
fn project(found: &kubeconfig::MergedKubeconfig, name: &str) -> Context {
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

/// Returns an error if a context's user is missing in the kubeconfig: it would be a login without credentials, and a
/// puzzling 401.
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

/// Hashes the entries of a context, its cluster and its user, to detect changes. No credential can be derived from the
/// hash, and it is not kept beyond the process.
fn entries(kubeconfig: &Kubeconfig, context: Option<&kube::config::Context>, broken: Option<&str>) -> u64 {
    let cluster = context.and_then(|at| kubeconfig.clusters.iter().find(|named| named.name == at.cluster));
    let user = context.and_then(|at| {
        let user = at.user.as_deref().unwrap_or_default();
        kubeconfig.auth_infos.iter().find(|named| named.name == user)
    });
    let mut hasher = DefaultHasher::new();
    // As a value, whose hash knows no order of keys: that of a plugin's variables differs with each reading.
    serde_json::to_value((context, cluster, user, broken)).ok().hash(&mut hasher);
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
