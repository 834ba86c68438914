//! Logins: a client for a context, made when it is first asked for and made anew when the login runs out, is refused,
//! or the kubeconfig says something else. Subscribers of a context are told of each new one.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use kube::Client;
use kube::config::AuthInfo;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::plugin::Stderr;
use super::{Clusters, Inner, connector, credential, fault};
use brow_model::cluster::Context;
use brow_model::fault::{Fault, What};
use kube_tunnel::contain::{contain, contain_blocking};
use kube_tunnel::{Backoff, Login};

/// How long a login plugin that failed is not run again for those who only try again, and how long a login that the
/// server refuses is not made anew: a plugin may open a browser each time.
pub(super) const REST: Duration = Duration::from_secs(25);

/// How long before a login runs out another takes its place, as in client-go's and kube's refreshing.
const AHEAD: TimeDelta = TimeDelta::seconds(60);

/// One context.
#[derive(Default)]
pub(super) struct Slot {
    /// Who wants to begin anew puts another in its place: a plugin may wait for a person for ever.
    making: RwLock<Arc<Making>>,
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

/// The making of a context's client.
#[derive(Default)]
struct Making {
    made: std::sync::Mutex<Made>,
    /// Held while a client is made, so that a login plugin runs once however many ask.
    busy: Arc<Mutex<()>>,
    /// Cancelled once another has taken its place.
    replaced: CancellationToken,
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

impl Making {
    /// Returns what whoever asks for a login gets, or, where one has to be made, the one that does until then.
    fn look(&self, slot: &Slot) -> ControlFlow<Result<watch::Receiver<Login>, Fault>, Option<watch::Receiver<Login>>> {
        let made = lock(&self.made);
        let worth = made.worth(slot, Utc::now());
        match (made.logins.clone().filter(|_| worth != Worth::Over), made.rests()) {
            (Some(logins), _) if worth == Worth::Good => ControlFlow::Break(Ok(logins)),
            (usable, Some(fault)) => ControlFlow::Break(usable.ok_or_else(|| fault.clone())),
            (usable, None) => ControlFlow::Continue(usable),
        }
    }
}

impl Slot {
    /// A context of this user, nothing made yet.
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

    fn making(&self) -> Arc<Making> {
        Arc::clone(&self.making.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Drops the client, and ends the plugin that is making another.
    pub(super) fn forget(&self) {
        std::mem::take(&mut *self.making.write().unwrap_or_else(PoisonError::into_inner)).replaced.cancel();
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
    /// made anew where it runs out within a minute, or where the server refused it some time ago. One that lasts until
    /// another is made is returned at once.
    ///
    /// # Cancel safety
    /// A login that is being made is made to its end, for whoever asks next.
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
            let making = slot.making();
            let usable = match making.look(&slot) {
                ControlFlow::Break(answer) => return answer,
                ControlFlow::Continue(usable) => usable,
            };
            let busy = Arc::clone(&making.busy);
            let busy = match &usable {
                None => busy.lock_owned().await,
                Some(logins) => match busy.try_lock_owned() {
                    Ok(busy) => busy,
                    Err(_) => return Ok(logins.clone()),
                },
            };
            let clusters = self.clone();
            let renewal = clusters.renew(inner, slot, making, busy, context.to_owned());
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

    /// Makes a login and publishes it; `None` where another counts.
    async fn renew(
        self,
        inner: Arc<Inner>,
        slot: Arc<Slot>,
        making: Arc<Making>,
        _busy: OwnedMutexGuard<()>,
        context: String,
    ) -> Result<Option<watch::Receiver<Login>>, Fault> {
        if making.look(&slot).is_break() {
            return Ok(None);
        }
        let before = slot.stderr.as_ref().map_or(0, Stderr::length);
        let made = tokio::select! {
            biased;
            () = making.replaced.cancelled() => return Ok(None),
            made = self.make(&inner, &slot, &context) => made,
        };
        match made {
            Ok((client, expires)) => Ok(self.publish(&context, &making, client, expires)),
            Err(fault) if fault.what == What::PluginFailed => {
                let fault = slot.explained(fault, before);
                lock(&making.made).failed = Some((Instant::now(), fault.clone()));
                Err(fault)
            }
            Err(fault) => Err(fault),
        }
    }

    /// Publishes a login that was made, unless another is to take its place already.
    fn publish(
        &self,
        context: &str,
        making: &Arc<Making>,
        client: Client,
        expires: Option<DateTime<Utc>>,
    ) -> Option<watch::Receiver<Login>> {
        // Locked until it is published: a successor that is made meanwhile comes after it.
        let mut all = lock(&self.shared.logins);
        let slot = self.inner().slot(context).ok()?;
        if !Arc::ptr_eq(&slot.making(), making) {
            return None;
        }
        let newest = all.get(context);
        let login = Login { client, generation: newest.map_or(1, |newest| newest.borrow().generation + 1) };
        let newest = all.entry(context.to_owned()).or_insert_with(|| watch::Sender::new(login.clone()));
        newest.send_replace(login);
        let logins = newest.subscribe();
        *lock(&making.made) = Made { logins: Some(logins.clone()), since: Some(Instant::now()), expires, failed: None };
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
            slot.forget();
        }
    }

    /// Makes a client, and says when its login runs out.
    async fn make(&self, inner: &Inner, slot: &Slot, context: &str) -> Result<(Client, Option<DateTime<Utc>>), Fault> {
        let broken = |words| Fault::new(What::ContextBroken, context, words);
        let mut config = inner.config(context).map_err(broken)?;
        let expires = credential::resolve(&mut config.auth_info, slot.stderr.as_ref(), context).await?;
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
        let late = slot.making();
        clusters.forget("dev");
        let logins = clusters.subscribe("dev").await.unwrap();
        let (client, expires) = clusters.make(&inner, &slot, "dev").await.unwrap();
        assert!(clusters.publish("dev", &late, client, expires).is_none());
        assert!(!logins.has_changed().unwrap(), "nobody is sent on to an older login");
    }
}
