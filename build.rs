//! Tells the tests whether there is a cluster: without one, those that need it are ignored, and counted as such.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(cluster)");
    println!("cargo::rerun-if-env-changed=BROW_TEST_KUBECONFIG");
    if std::env::var_os("BROW_TEST_KUBECONFIG").is_some_and(|path| !path.is_empty()) {
        println!("cargo::rustc-cfg=cluster");
    }
}
