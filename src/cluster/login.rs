//! Logins: the client of a context, created when first needed, and again when the login expires, is refused, or the
//! kubeconfig changes. Subscribers of a context receive each new one.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use kube::Client;
use kube::config::AuthInfo;
use parking_lot::RwLock;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::plugin::Stderr;
use super::{Clusters, Loaded, connector, credential, fault};
use brow_model::cluster::Context;
use brow_model::fault::{Fault, What};
use kube_tunnel::contain::{contain, contain_blocking};
use kube_tunnel::{Backoff, Login};

/// The time for which a login plugin that failed is not run again by retries, and a login that the server refuses is
/// not renewed: a plugin may open a browser each time.
pub(super) const PLUGIN_COOLDOWN: Duration = Duration::from_secs(25);

/// The time before its expiry at which a login is renewed, as in client-go and kube.
const RENEW_BEFORE_EXPIRY: TimeDelta = TimeDelta::seconds(60);

#[derive(Default)]
pub(super) struct ContextLogin {
    /// Replaced to start over: a plugin may wait for a person for ever.
    attempt: RwLock<Arc<LoginAttempt>>,
    /// The generation of the last login that the server refused.
    refused: AtomicU64,
    /// A hash of the context's entries in the kubeconfig.
    pub entries: u64,
    /// The error of the context's entries in the kubeconfig.
    broken: Option<Fault>,
    /// True if logging in again may return another login although the kubeconfig is the same.
    renewable: bool,
    /// The stderr of its login plugin.
    pub stderr: Option<Stderr>,
    /// The kubeconfig's `installHint` for a missing plugin.
    install_hint: Option<String>,
}

/// The creation of a context's client.
#[derive(Default)]
struct LoginAttempt {
    made: parking_lot::Mutex<LoginState>,
    /// Held while a client is created, so that a login plugin runs once for all callers.
    busy: Arc<Mutex<()>>,
    /// Cancelled when it is replaced.
    replaced: CancellationToken,
}

/// The result of creating a client.
#[derive(Default)]
struct LoginState {
    /// The current login and its successors.
    logins: Option<watch::Receiver<Login>>,
    /// The time at which the login was created.
    since: Option<Instant>,
    /// The expiry of the login.
    expires: Option<DateTime<Utc>>,
    /// The time and fault of the last failure of a login plugin.
    failed: Option<(Instant, Fault)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Validity {
    Valid,
    /// It expires within [`RENEW_BEFORE_EXPIRY`].
    Expiring,
    /// It has expired, or the server refused it.
    Expired,
}

impl LoginState {
    fn validity(&self, context_login: &ContextLogin, now: DateTime<Utc>) -> Validity {
        let (Some(logins), Some(since)) = (&self.logins, self.since) else {
            return Validity::Expired;
        };
        let refused = context_login.refused.load(Ordering::Relaxed) == logins.borrow().generation;
        if refused && context_login.renewable && since.elapsed() >= PLUGIN_COOLDOWN {
            return Validity::Expired;
        }
        match self.expires {
            Some(at) if at <= now => Validity::Expired,
            // One that was given for less than that is used until it is over.
            Some(at) if at - RENEW_BEFORE_EXPIRY <= now && since.elapsed() >= PLUGIN_COOLDOWN => Validity::Expiring,
            Some(_) | None => Validity::Valid,
        }
    }

    /// Returns the last failure while the plugin must not be run again.
    fn cooldown_fault(&self) -> Option<&Fault> {
        self.failed.as_ref().filter(|(at, _)| at.elapsed() < PLUGIN_COOLDOWN).map(|(_, fault)| fault)
    }
}

impl LoginAttempt {
    /// Returns the result for a caller that needs a login, or `Continue` with the login to use meanwhile if a new one
    /// has to be created.
    fn check(
        &self,
        context_login: &ContextLogin,
    ) -> ControlFlow<Result<watch::Receiver<Login>, Fault>, Option<watch::Receiver<Login>>> {
        let made = self.made.lock();
        let validity = made.validity(context_login, Utc::now());
        match (made.logins.clone().filter(|_| validity != Validity::Expired), made.cooldown_fault()) {
            (Some(logins), _) if validity == Validity::Valid => ControlFlow::Break(Ok(logins)),
            (usable, Some(fault)) => ControlFlow::Break(usable.ok_or_else(|| fault.clone())),
            (usable, None) => ControlFlow::Continue(usable),
        }
    }
}

impl ContextLogin {
    /// Creates the state of a context without a login.
    pub(super) fn new(context: &Context, user: Option<&AuthInfo>) -> Self {
        let exec = user.and_then(|user| user.exec.as_ref());
        Self {
            entries: context.entries,
            broken: context.fault.clone(),
            renewable: user.is_some_and(credential::is_renewable),
            // Without a place for its words a plugin still runs; they only show when it fails.
            stderr: exec.and_then(|_| Stderr::new().ok()),
            install_hint: exec.and_then(|exec| exec.install_hint.clone()),
            ..Self::default()
        }
    }

    fn attempt(&self) -> Arc<LoginAttempt> {
        Arc::clone(&self.attempt.read())
    }

    /// Drops the client, and ends the plugin that is making another.
    pub(super) fn forget(&self) {
        std::mem::take(&mut *self.attempt.write()).replaced.cancel();
    }

    /// Completes a plugin's fault with what it wrote on stderr from `before` on and, if it could not be started, with
    /// the kubeconfig's hint.
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

impl Clusters {
    /// Returns the newest login to a context, and its successors. It is created when first needed, and again if it
    /// expires within a minute or the server refused it some time ago. A login that is still valid meanwhile is
    /// returned at once.
    ///
    /// # Cancel safety
    /// A login that is being created is completed for the next caller.
    ///
    /// # Errors
    /// [`What::UnknownContext`]; [`What::ContextBroken`] where the context is incomplete or names missing files;
    /// [`What::PluginFailed`] and [`What::PluginMissing`] for an exec plugin, with what it wrote on stderr.
    pub async fn subscribe(&self, context: &str) -> Result<watch::Receiver<Login>, Fault> {
        loop {
            let loaded = self.loaded();
            let context_login = loaded.context_login(context)?;
            if let Some(fault) = &context_login.broken {
                return Err(fault.clone());
            }
            let attempt = context_login.attempt();
            let usable = match attempt.check(&context_login) {
                ControlFlow::Break(answer) => return answer,
                ControlFlow::Continue(usable) => usable,
            };
            let busy = Arc::clone(&attempt.busy);
            let busy = match &usable {
                None => busy.lock_owned().await,
                Some(logins) => match busy.try_lock_owned() {
                    Ok(busy) => busy,
                    Err(_) => return Ok(logins.clone()),
                },
            };
            let clusters = self.clone();
            let renewal = clusters.renew(loaded, context_login, attempt, busy, context.to_owned());
            // A task of its own: a plugin that takes its time is not ended by the next who does not wait for it.
            let renewal = tokio::spawn(contain(renewal));
            if let Some(logins) = usable {
                return Ok(logins);
            }
            let renewed = renewal.await.unwrap_or_else(|error| Err(error.to_string()));
            if let Some(logins) = renewed.map_err(|words| Fault::new(What::Internal, context, words))?? {
                return Ok(logins);
            }
            // The context was forgotten or has changed meanwhile, or somebody was faster: what is new counts.
        }
    }

    /// Creates a login and publishes it. `None` if it was superseded meanwhile.
    async fn renew(
        self,
        loaded: Arc<Loaded>,
        context_login: Arc<ContextLogin>,
        attempt: Arc<LoginAttempt>,
        _busy: OwnedMutexGuard<()>,
        context: String,
    ) -> Result<Option<watch::Receiver<Login>>, Fault> {
        if attempt.check(&context_login).is_break() {
            return Ok(None);
        }
        let before = context_login.stderr.as_ref().map_or(0, Stderr::length);
        let made = tokio::select! {
            biased;
            () = attempt.replaced.cancelled() => return Ok(None),
            made = self.make(&loaded, &context_login, &context) => made,
        };
        match made {
            Ok((client, expires)) => Ok(self.publish(&context, &attempt, client, expires)),
            Err(fault) if fault.what == What::PluginFailed => {
                let fault = context_login.explained(fault, before);
                attempt.made.lock().failed = Some((Instant::now(), fault.clone()));
                Err(fault)
            }
            Err(fault) => Err(fault),
        }
    }

    /// Publishes a new login, unless it was superseded meanwhile.
    fn publish(
        &self,
        context: &str,
        attempt: &Arc<LoginAttempt>,
        client: Client,
        expires: Option<DateTime<Utc>>,
    ) -> Option<watch::Receiver<Login>> {
        // Locked until it is published: a successor that is made meanwhile comes after it.
        let mut all = self.state.logins.lock();
        let context_login = self.loaded().context_login(context).ok()?;
        if !Arc::ptr_eq(&context_login.attempt(), attempt) {
            return None;
        }
        let newest = all.get(context);
        let login = Login { client, generation: newest.map_or(1, |newest| newest.borrow().generation + 1) };
        let newest = all.entry(context.to_owned()).or_insert_with(|| watch::Sender::new(login.clone()));
        newest.send_replace(login);
        let logins = newest.subscribe();
        *attempt.made.lock() =
            LoginState { logins: Some(logins.clone()), since: Some(Instant::now()), expires, failed: None };
        Some(logins)
    }

    /// Returns the newest login to a context.
    ///
    /// # Errors
    /// As [`Clusters::subscribe`].
    pub async fn login(&self, context: &str) -> Result<Login, Fault> {
        Ok(self.subscribe(context).await?.borrow().clone())
    }

    /// Returns the client of the newest login to a context.
    ///
    /// # Errors
    /// As [`Clusters::subscribe`].
    pub async fn client(&self, context: &str) -> Result<Client, Fault> {
        Ok(self.login(context).await?.client)
    }

    /// Runs `work` with the newest login to a context, or with the reason why there is none, and restarts it with each
    /// new login. Returns once `work` returns `true`; otherwise `work` runs again after a pause.
    pub async fn with_logins<S>(
        &self,
        context: &str,
        state: &mut S,
        work: impl for<'a> Fn(&'a mut S, Result<Login, Fault>) -> BoxFuture<'a, bool>,
    ) {
        let mut backoff = Backoff::default();
        loop {
            let done = match self.subscribe(context).await {
                Ok(mut logins) => {
                    let login = logins.borrow_and_update().clone();
                    tokio::select! {
                        done = work(state, Ok(login)) => done,
                        Ok(()) = logins.changed() => {
                            backoff.reset();
                            continue;
                        }
                    }
                }
                Err(fault) => work(state, Err(fault)).await,
            };
            if done {
                return;
            }
            self.pause(context, backoff.next_pause()).await;
        }
    }

    /// Notes that the server refused a login (401): if another can be created, the next caller gets that.
    pub fn refused(&self, context: &str, generation: u64) {
        if let Ok(context_login) = self.loaded().context_login(context) {
            context_login.refused.store(generation, Ordering::Relaxed);
        }
    }

    /// Returns a channel that changes whenever the server of a context answers again after an outage, so that retries
    /// need not wait.
    pub fn answers_again(&self, context: &str) -> watch::Receiver<u64> {
        self.state.answering.lock().entry(context.to_owned()).or_default().subscribe()
    }

    /// Notifies the receivers of [`Clusters::answers_again`].
    pub(super) fn notify_answers_again(&self, context: &str) {
        self.state.answering.lock().entry(context.to_owned()).or_default().send_modify(|times| *times += 1);
    }

    /// Waits before a retry; ends early if the server answers again.
    pub async fn pause(&self, context: &str, time: Duration) {
        let mut again = self.answers_again(context);
        tokio::select! {
            () = sleep(time) => {}
            // The sender is ours.
            Ok(()) = again.changed() => {}
        }
    }

    /// Drops the client of a context, so that the next caller logs in again.
    pub fn forget(&self, context: &str) {
        if let Ok(context_login) = self.loaded().context_login(context) {
            context_login.forget();
        }
    }

    /// Creates a client, and returns the expiry of its login.
    async fn make(
        &self,
        loaded: &Loaded,
        context_login: &ContextLogin,
        context: &str,
    ) -> Result<(Client, Option<DateTime<Utc>>), Fault> {
        let broken = |words| Fault::new(What::ContextBroken, context, words);
        let mut config = loaded.config(context).map_err(broken)?;
        let expires = credential::resolve(&mut config.auth_info, context_login.stderr.as_ref(), context).await?;
        let client = if config.auth_info.auth_provider.is_some() {
            // Such a provider may be a program, which takes the time it takes.
            let made = contain_blocking(move || connector::client(&config)).await;
            made.map_err(|words| Fault::new(What::PluginFailed, context, words))?
        } else {
            connector::client(&config)
        };
        client.map(|client| (client, expires)).map_err(|error| fault::fault(context, &error, None).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_login_that_is_made_after_its_successor_is_left_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kubeconfig");
        let text = "clusters: [{ name: dev, cluster: { server: 'https://dev.invalid' } }]\n\
                    users: [{ name: ann, user: { token: x } }]\n\
                    contexts: [{ name: dev, context: { cluster: dev, user: ann } }]\n";
        std::fs::write(&path, text).unwrap();
        let (clusters, _) = Clusters::read(Some(&path)).unwrap();
        let loaded = clusters.loaded();
        let context_login = loaded.context_login("dev").unwrap();
        // Somebody logs in; before that is done the context is forgotten, and somebody else logs in.
        let late = context_login.attempt();
        clusters.forget("dev");
        let logins = clusters.subscribe("dev").await.unwrap();
        let (client, expires) = clusters.make(&loaded, &context_login, "dev").await.unwrap();
        assert!(clusters.publish("dev", &late, client, expires).is_none());
        assert!(!logins.has_changed().unwrap(), "nobody is sent on to an older login");
    }
}
