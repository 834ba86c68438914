//! A client for the test cluster, built as the program builds its own: with `TCP_NODELAY` on every connection.

#![allow(dead_code, reason = "each test file that includes this uses a part of it")]

use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use kube::{Client, Config};
use tower::{BoxError, ServiceBuilder};

/// The kubeconfig of the test cluster, or nothing (said aloud) where there is none.
pub fn kubeconfig() -> Option<String> {
    let found = std::env::var("BROW_TEST_KUBECONFIG").ok().filter(|path| !path.is_empty());
    if found.is_none() {
        eprintln!("SKIPPED: BROW_TEST_KUBECONFIG is not set, so there is no cluster to test against");
    }
    found
}

/// The configuration of one context of the test cluster.
pub async fn config(kubeconfig: &str, context: &str) -> Config {
    let kubeconfig = kube::config::Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let options = kube::config::KubeConfigOptions { context: Some(context.to_owned()), ..Default::default() };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a context");
    config.connect_timeout = Some(Duration::from_secs(5));
    config
}

/// A client for `config`.
pub fn client(config: Config) -> Client {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    let https = config.rustls_https_connector_with_connector(http).expect("a TLS configuration");
    let hyper = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(https);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().expect("credentials"))
        .map_err(BoxError::from)
        .service(hyper);
    Client::new(service, config.default_namespace)
}
