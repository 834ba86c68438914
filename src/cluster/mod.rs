//! Kubeconfig, clients by context, probes.
