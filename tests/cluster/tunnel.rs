//! A client for the test cluster, as the program makes its own.

#![allow(dead_code, reason = "each test file that includes this uses a part of it")]

use std::time::Duration;

use kube::{Client, Config};

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

/// A client for `config`, as the program itself makes it.
pub fn client(config: &Config) -> Client {
    brow_tui::cluster::client(config).expect("a client")
}
