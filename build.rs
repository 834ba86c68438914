//! Tells the tests what this machine has: a cluster, a container engine, a client of MCP, chromium, socat, qemu. Without
//! them, those that need them are ignored, and counted as such.

use std::env;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(chromium, cluster, docker, socat, qemu, mcp_client)");
    println!("cargo::rerun-if-env-changed=PATH");
    let given = [
        ("BROW_TEST_KUBECONFIG", "cluster"),
        ("BROW_TEST_DOCKER_HOST", "docker"),
        ("BROW_TEST_MCP_PYTHON", "mcp_client"),
    ];
    for (variable, cfg) in given {
        println!("cargo::rerun-if-env-changed={variable}");
        if env::var_os(variable).is_some_and(|path| !path.is_empty()) {
            println!("cargo::rustc-cfg={cfg}");
        }
    }
    let path = env::var_os("PATH").unwrap_or_default();
    for (program, cfg) in [("chromium", "chromium"), ("socat", "socat"), ("qemu-aarch64", "qemu")] {
        if env::split_paths(&path).any(|dir| dir.join(program).is_file()) {
            println!("cargo::rustc-cfg={cfg}");
        }
    }
}
