//! Tells the tests what this machine has: a cluster, socat, qemu. Without them, those that need them are ignored, and counted
//! as such.

use std::env;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(cluster, socat, qemu)");
    println!("cargo::rerun-if-env-changed=BROW_TEST_KUBECONFIG");
    println!("cargo::rerun-if-env-changed=PATH");
    if env::var_os("BROW_TEST_KUBECONFIG").is_some_and(|path| !path.is_empty()) {
        println!("cargo::rustc-cfg=cluster");
    }
    let path = env::var_os("PATH").unwrap_or_default();
    for (program, cfg) in [("socat", "socat"), ("qemu-aarch64-static", "qemu")] {
        if env::split_paths(&path).any(|dir| dir.join(program).is_file()) {
            println!("cargo::rustc-cfg={cfg}");
        }
    }
}
