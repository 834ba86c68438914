//! A client for the test cluster, as the program makes its own.

#![allow(dead_code, reason = "each test file that includes this uses a part of it")]

use std::time::Duration;

use kube::{Client, Config};

/// The kubeconfig of the test cluster. Tests that need it are ignored where there is none (see `build.rs`).
#[track_caller]
pub fn kubeconfig() -> String {
    std::env::var("BROW_TEST_KUBECONFIG").expect("a cluster: set BROW_TEST_KUBECONFIG")
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
