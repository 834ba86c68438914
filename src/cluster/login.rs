//! Logins: a client for a context, made when it is first asked for and made anew when the login runs out, is refused,
//! or the kubeconfig says something else. Subscribers of a context are told of each new one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use http::HeaderValue;
use kube::Client;
use kube::config::AuthInfo;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio::time::{Instant, sleep};

use super::plugin::{self, Credential, Stderr};
use super::{Clusters, Inner, connector, fault};
use brow_model::cluster::Context;
use brow_model::fault::{Fault, What};
use kube_tunnel::contain::contain_blocking;
use kube_tunnel::{Backoff, Login};

/// How long a login plugin that failed is not run again for those who only try again, and how long a login that the
/// server refuses is not made anew: a plugin may open a browser each time.
pub(super) const REST: Duration = Duration::from_secs(25);

/// How long before a login runs out another takes its place, as in client-go's and kube's refreshing.
const AHEAD: TimeDelta = TimeDelta::seconds(60);

/// A token that is longer is none.
const LONGEST_TOKEN: u64 = 1 << 20;

/// One context.
#[derive(Default)]
pub(super) struct Slot {
    /// The lock within is held while the client is made, so that a login plugin runs once however many ask. Who wants
    /// to begin anew puts another in its place: a plugin may wait for a person for ever.
    made: RwLock<Arc<Mutex<Made>>>,
    /// The generation of the last login that the server refused.
    refused: AtomicU64,
    /// What the kubeconfig says of the context, in one number.
    pub entries: u64,
    /// What keeps the context from being used, as far as the kubeconfig shows it.
    broken: Option<Fault>,
    /// Whether logging in again may bring another login, although the kubeconfig says the same.
    renewable: bool,
    /// Where its login plugin's words go.
    pub stderr: Option<Stderr>,
    /// What the kubeconfig says to do where the plugin is missing.
    install_hint: Option<String>,
}

/// What came of making a client.
#[derive(Default)]
struct Made {
    /// The login, and those that take its place.
    logins: Option<watch::Receiver<Login>>,
    /// When the login was made.
    since: Option<Instant>,
    /// When it runs out.
    expires: Option<DateTime<Utc>>,
    /// When a login plugin failed last, and how.
    failed: Option<(Instant, Fault)>,
}

/// What a login is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Worth {
    /// It can be used.
    Good,
    /// It can be used for a moment still.
    Ending,
    /// It lets nobody in.
    Over,
}

impl Made {
    fn worth(&self, slot: &Slot, now: DateTime<Utc>) -> Worth {
        let (Some(logins), Some(since)) = (&self.logins, self.since) else {
            return Worth::Over;
        };
        let refused = slot.refused.load(Ordering::Relaxed) == logins.borrow().generation;
        if refused && slot.renewable && since.elapsed() >= REST {
            return Worth::Over;
        }
        match self.expires {
            Some(at) if at <= now => Worth::Over,
            // One that was given for less than that is used until it is over.
            Some(at) if at - AHEAD <= now && since.elapsed() >= REST => Worth::Ending,
            Some(_) | None => Worth::Good,
        }
    }

    /// Why the plugin is not run again just now.
    fn rests(&self) -> Option<&Fault> {
        self.failed.as_ref().filter(|(at, _)| at.elapsed() < REST).map(|(_, fault)| fault)
    }
}

impl Slot {
    /// A context of this user, nothing made yet.
    pub(super) fn new(context: &Context, user: Option<&AuthInfo>) -> Self {
        let exec = user.and_then(|user| user.exec.as_ref());
        Self {
            entries: context.entries,
            broken: context.fault.clone(),
            renewable: user.is_some_and(is_renewable),
            // Without a place for its words a plugin still runs; they only show when it fails.
            stderr: exec.and_then(|_| Stderr::new().ok()),
            install_hint: exec.and_then(|exec| exec.install_hint.clone()),
            ..Self::default()
        }
    }

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

impl Clusters {
    /// Returns the newest login to a context, and those that take its place. It is made when it is first asked for, and
    /// made anew where it runs out within a minute, or where the server refused it some time ago.
    ///
    /// # Errors
    /// [`What::UnknownContext`]; [`What::ContextBroken`] where the context is incomplete or names missing files;
    /// [`What::PluginFailed`] and [`What::PluginMissing`] for an exec plugin, with what it wrote on stderr.
    pub async fn subscribe(&self, context: &str) -> Result<watch::Receiver<Login>, Fault> {
        loop {
            let inner = self.inner();
            let slot = inner.slot(context)?;
            if let Some(fault) = &slot.broken {
                return Err(fault.clone());
            }
            let mut made = slot.made().lock_owned().await;
            let worth = made.worth(&slot, Utc::now());
            let usable = made.logins.clone().filter(|_| worth != Worth::Over);
            if worth == Worth::Good
                && let Some(logins) = usable
            {
                return Ok(logins);
            }
            if let Some(fault) = made.rests() {
                return usable.ok_or_else(|| fault.clone());
            }
            let before = slot.stderr.as_ref().map_or(0, Stderr::length);
            match self.make(&inner, &slot, context).await {
                Ok((client, expires)) => {
                    if let Some(logins) = self.publish(context, &mut made, client, expires) {
                        return Ok(logins);
                    }
                    // The context was forgotten or has changed meanwhile: its new login counts.
                }
                Err(fault) => {
                    let mut fault = fault;
                    if fault.what == What::PluginFailed {
                        fault = slot.explained(fault, before);
                        made.failed = Some((Instant::now(), fault.clone()));
                    }
                    return usable.ok_or(fault);
                }
            }
        }
    }

    /// Publishes a login that was made, unless another is to take its place already.
    fn publish(
        &self,
        context: &str,
        made: &mut OwnedMutexGuard<Made>,
        client: Client,
        expires: Option<DateTime<Utc>>,
    ) -> Option<watch::Receiver<Login>> {
        // Locked until it is published: a successor that is made meanwhile comes after it.
        let mut all = lock(&self.shared.logins);
        let slot = self.inner().slot(context).ok()?;
        if !Arc::ptr_eq(&slot.made(), OwnedMutexGuard::mutex(made)) {
            return None;
        }
        let newest = all.get(context);
        let login = Login { client, generation: newest.map_or(1, |newest| newest.borrow().generation + 1) };
        let newest = all.entry(context.to_owned()).or_insert_with(|| watch::Sender::new(login.clone()));
        newest.send_replace(login);
        let logins = newest.subscribe();
        **made = Made { logins: Some(logins.clone()), since: Some(Instant::now()), expires, failed: None };
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

    /// Runs `work` with the newest login to a context, or the reason why there is none, and begins anew with each login
    /// that takes its place, until it is `true` that all is done; else it is run again after a pause.
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

    /// Takes note that the server refused a login (401): where there may be another, the next who asks gets that.
    pub fn refused(&self, context: &str, generation: u64) {
        if let Ok(slot) = self.inner().slot(context) {
            slot.refused.store(generation, Ordering::Relaxed);
        }
    }

    /// Changes whenever the server of a context answers again after it did not: what waits to try again need not wait.
    pub fn answers_again(&self, context: &str) -> watch::Receiver<u64> {
        lock(&self.shared.answering).entry(context.to_owned()).or_default().subscribe()
    }

    /// Notifies those who wait for that.
    pub(super) fn tell_answers_again(&self, context: &str) {
        lock(&self.shared.answering).entry(context.to_owned()).or_default().send_modify(|times| *times += 1);
    }

    /// Waits before something is tried again, for less where the server answers again.
    pub async fn pause(&self, context: &str, time: Duration) {
        let mut again = self.answers_again(context);
        tokio::select! {
            () = sleep(time) => {}
            // The sender is ours.
            Ok(()) = again.changed() => {}
        }
    }

    /// Drops the client of a context, so that the next one logs in anew.
    pub fn forget(&self, context: &str) {
        if let Ok(slot) = self.inner().slot(context) {
            *slot.made.write().unwrap_or_else(PoisonError::into_inner) = Arc::default();
        }
    }

    /// Makes a client, and says when its login runs out.
    async fn make(&self, inner: &Inner, slot: &Slot, context: &str) -> Result<(Client, Option<DateTime<Utc>>), Fault> {
        let broken = |words| Fault::new(What::ContextBroken, context, words);
        let mut config = inner.config(context).map_err(broken)?;
        let expires = resolve(&mut config.auth_info, slot, context).await?;
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

/// Nothing that holds these locks panics.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether logging in again may bring another login, although the kubeconfig says the same.
fn is_renewable(user: &AuthInfo) -> bool {
    let (exec, provider) = (user.exec.is_some(), user.auth_provider.is_some());
    exec || provider || user.token_file.is_some() || user.client_certificate.is_some()
}

/// Has a user's credentials stand in the config itself, where they come from a file or a plugin; when they run out.
async fn resolve(auth: &mut AuthInfo, slot: &Slot, context: &str) -> Result<Option<DateTime<Utc>>, Fault> {
    let broken = |words| Fault::new(What::ContextBroken, context, words);
    let mut expires = None;
    if auth.auth_provider.is_none() && !(auth.username.is_some() && auth.password.is_some()) {
        match (&auth.token, auth.token_file.take(), auth.exec.take()) {
            (None, Some(file), _) => {
                let text = read_token(&file).await.map_err(|error| broken(format!("{file}: {error}")))?;
                // A file's last line ends.
                auth.token = Some(text.trim().to_owned().into());
            }
            (None, None, Some(mut exec)) => {
                plugin::tame(&mut exec, slot.stderr.as_ref());
                let failed = |words| Fault::new(What::PluginFailed, context, words);
                let credential = plugin::run(&exec).await.map_err(failed)?;
                let Credential { token, certificate, key, expires: until } = credential;
                if let Some(token) = &token {
                    check_token(token).map_err(failed)?;
                }
                auth.token = token.map(Into::into);
                if let (Some(certificate), Some(key)) = (certificate, key) {
                    (auth.client_certificate_data, auth.client_key_data) = (Some(certificate), Some(key.into()));
                }
                expires = until;
            }
            (Some(_), ..) | (None, None, None) => {}
        }
    }
    if let Some(token) = &auth.token {
        check_token(secrecy::ExposeSecret::expose_secret(token)).map_err(broken)?;
    }
    Ok(expires)
}

async fn read_token(path: &str) -> std::io::Result<String> {
    use tokio::io::AsyncReadExt as _;
    let mut text = String::new();
    tokio::fs::File::open(path).await?.take(LONGEST_TOKEN).read_to_string(&mut text).await?;
    Ok(text)
}

/// Whether a token can be sent: what cannot stand in a header would have the client panic.
fn check_token(token: &str) -> Result<(), String> {
    match HeaderValue::from_str(token) {
        Ok(_) => Ok(()),
        Err(_) => Err("its token holds characters that cannot be sent, such as a line break".to_owned()),
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
        let inner = clusters.inner();
        let slot = inner.slot("dev").unwrap();
        // Somebody logs in; before that is done the context is forgotten, and somebody else logs in.
        let mut late = slot.made().lock_owned().await;
        clusters.forget("dev");
        let logins = clusters.subscribe("dev").await.unwrap();
        let (client, expires) = clusters.make(&inner, &slot, "dev").await.unwrap();
        assert!(clusters.publish("dev", &mut late, client, expires).is_none());
        assert!(!logins.has_changed().unwrap(), "nobody is sent on to an older login");
    }
}
