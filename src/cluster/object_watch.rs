//! The common parts of all watches: the current client, retries, and the translation of errors.

use std::fmt::Debug;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{Clusters, fault, grant};
use brow_model::cluster::Link;
use brow_model::fault::{Fault, What};
use kube_tunnel::{Backoff, Login};

/// A watch on objects of one kind that retries after every failure.
///
/// If the server refuses it, it starts over with a list: kube's watcher would continue silently, and nobody would learn
/// that the watch is allowed again.
pub struct Watch<K> {
    api: Api<K>,
    config: watcher::Config,
    clusters: Clusters,
    context: String,
    generation: u64,
    stream: Option<BoxStream<'static, watcher::Result<watcher::Event<K>>>>,
    /// The time before which nothing is requested.
    retry_at: Option<Instant>,
    backoff: Backoff,
    /// True from an error until the next event.
    failing: bool,
    again: watch::Receiver<u64>,
}

impl<K> Watch<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    /// Creates a watch with a login to a context, whose client is the one in `api`.
    pub fn new(clusters: &Clusters, context: &str, login: &Login, api: Api<K>, config: watcher::Config) -> Self {
        Self {
            api,
            config,
            clusters: clusters.clone(),
            context: context.to_owned(),
            generation: login.generation,
            stream: None,
            retry_at: None,
            backoff: Backoff::default(),
            failing: false,
            again: clusters.answers_again(context),
        }
    }

    /// Returns the next event. Cancel safe.
    ///
    /// # Errors
    /// Every failure; the watch goes on after it.
    pub async fn next(&mut self) -> watcher::Result<watcher::Event<K>> {
        loop {
            if let Some(until) = self.retry_at {
                tokio::select! {
                    () = sleep_until(until) => {}
                    Ok(()) = self.again.changed() => {}
                }
                // A login that was refused may have to be had anew; whoever holds this watch is told of that.
                let _told = self.clusters.login(&self.context).await;
                self.retry_at = None;
            }
            let stream = self
                .stream
                .get_or_insert_with(|| watcher(self.api.clone(), self.config.clone()).default_backoff().boxed());
            let next = tokio::select! {
                next = stream.next() => next,
                // kube's watcher would wait for up to half a minute before it tries again.
                Ok(()) = self.again.changed(), if self.failing => None,
            };
            match next {
                Some(Ok(event)) => {
                    // A watcher begins before it has asked.
                    if !matches!(event, watcher::Event::Init) {
                        self.failing = false;
                        self.backoff.reset();
                        self.again.mark_unchanged();
                    }
                    return Ok(event);
                }
                Some(Err(error)) => {
                    self.failing = true;
                    tracing::debug!(context = self.context, generation = self.generation, %error, "a watch has failed");
                    let (link, _) = watch_fault(&self.context, &error, "", None);
                    if matches!(link, Link::Unauthorized | Link::Forbidden) {
                        self.refused(link);
                    }
                    return Err(error);
                }
                // It begins anew: such a stream has no end by itself.
                None => self.stream = None,
            }
        }
    }

    fn refused(&mut self, link: Link) {
        if link == Link::Unauthorized {
            self.clusters.refused(&self.context, self.generation);
        }
        self.stream = None;
        self.retry_at = Some(Instant::now() + self.backoff.next_pause());
    }
}

/// Translates a watch's error into a fault and the state of the cluster. The `resource` is named as in rights
/// (`deployments.apps`), in a namespace or in all.
pub fn watch_fault(cluster: &str, error: &watcher::Error, resource: &str, namespace: Option<&str>) -> (Link, Fault) {
    let of = |error: &kube::Error, verb| fault(cluster, error, Some(grant(verb, resource, namespace)));
    match error {
        watcher::Error::InitialListFailed(error) => of(error, "list"),
        watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => of(error, "watch"),
        watcher::Error::WatchError(status) => of(&kube::Error::Api(status.clone()), "watch"),
        watcher::Error::NoResourceVersion => (Link::Ready, Fault::new(What::Server, cluster, error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use k8s_openapi::api::core::v1::Pod;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    /// Less than the pause after this many failures.
    const TIMEOUT: Duration = Duration::from_secs(20);
    const FAILURES: usize = 12;

    /// A server that hangs up until it is `up`.
    async fn serve(listener: TcpListener, up: Arc<AtomicBool>) {
        const LIST: &str = "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[]}";
        while let Ok((mut socket, _)) = listener.accept().await {
            if up.load(Ordering::Relaxed) {
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    head.push(char::from(socket.read_u8().await.unwrap()));
                }
                let length = LIST.len();
                let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{LIST}");
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_watch_that_fails_goes_on_once_the_server_answers_again() {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let path = dir.path().join("kubeconfig");
        let text = format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: dev\n  cluster: {{ server: '{server}' }}\n\
             contexts:\n- name: dev\n  context: {{ cluster: dev }}\n"
        );
        std::fs::write(&path, text).unwrap();
        let up = Arc::new(AtomicBool::new(false));
        let serving = tokio::spawn(serve(listener, Arc::clone(&up)));
        let clusters = Clusters::read(Some(&path)).unwrap().0;
        let login = clusters.login("dev").await.unwrap();
        let api: Api<Pod> = Api::all(login.client.clone());
        let mut watch = Watch::new(&clusters, "dev", &login, api, watcher::Config::default());
        // The pauses are over at once, and grow all the same.
        tokio::time::pause();
        let mut failures = 0;
        while failures < FAILURES {
            failures += usize::from(watch.next().await.is_err());
        }
        tokio::time::resume();
        up.store(true, Ordering::Relaxed);
        let coming = async { while !matches!(watch.next().await, Ok(watcher::Event::InitDone)) {} };
        let told = async {
            tokio::task::yield_now().await;
            clusters.notify_answers_again("dev");
        };
        timeout(TIMEOUT, async { tokio::join!(coming, told) }).await.expect("it does not wait for its turn");
        // So it is where it rests because it was refused.
        for _ in 0..FAILURES {
            watch.refused(Link::Forbidden);
        }
        let coming = async { while !matches!(watch.next().await, Ok(watcher::Event::InitDone)) {} };
        let told = async {
            tokio::task::yield_now().await;
            clusters.notify_answers_again("dev");
        };
        timeout(TIMEOUT, async { tokio::join!(coming, told) }).await.expect("nor here");
        serving.abort();
    }
}
