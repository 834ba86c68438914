//! brow-tui: a full-screen dashboard for reaching what only a Kubernetes cluster can reach.
//!
//! One loop owns one [`brow_model::Model`]; everything else reads it or feeds it. Four crates stand apart, and their
//! `Cargo.toml` is the wall: [`brow_model`] (state and transitions, and the sanitizer of text), [`kube_tunnel`]
//! (streams to pods, and [`kube_tunnel::contain`], which all may use), [`brow_relay`] (the protocol of our relay) and
//! `brow_practice` (the practice cluster). Of the modules here:
//!
//! | module | what it is | may use, besides `brow_model` |
//! |---|---|---|
//! | [`text`] | every word a person sees, in every language | nothing of ours |
//! | [`events`] | how tasks report to the loop | nothing of ours |
//! | [`keymap`] | one table from keys to commands, which is also the help and the hints | `text` |
//! | [`view`] | draws the model | `text` |
//! | [`cluster`] | kubeconfig, clients by context, probes, what there is in them | `events`, `store`, `kube_tunnel` |
//! | [`proxy`] | the proxy pod: its spec, relay, life and watch | `events`, `cluster`, `kube_tunnel`, `brow_relay` |
//! | [`forward`] | listeners on this machine and what keeps them going | `events`, `kube_tunnel` |
//! | [`store`] | config, state, audit log, imports; one writer | `events` |
//! | [`instance`] | the sockets by which running instances know each other, and agents give orders | `events`, `text` |
//! | [`term`] | the terminal, taken and given back | nothing of ours |
//! | [`edit`] | custom objects in a person's editor, tried and applied | `cluster`, `store` |
//! | [`shell`] | sessions in containers, on this terminal | `cluster`, `term`, `kube_tunnel` |
//! | [`log`] | the log file, without secrets | `text` |
//! | [`effects`] | effects become tasks | `events`, `cluster`, `proxy`, `kube_tunnel`, `forward`, `store`, `instance`, `why`, `edit`, `metrics`, `docker` |
//! | [`metrics`] | finds a Prometheus, and asks it or metrics-server | `cluster`, `kube_tunnel` |
//! | [`docker`] | the engine of this machine: local clusters' nodes, gateways to their ports | `forward` |
//! | [`check`] | checks what the work needs | `cluster`, `proxy`, `kube_tunnel`, `store`, `keymap`, `view`, `term` |
//! | [`why`] | takes the steps to something that cannot be reached | `cluster`, `proxy`, `store`, `kube_tunnel` |
//! | [`app`] | the loop | `text`, `view`, `keymap`, `term`, `effects`, `shell`, `log`, `edit` |
//! | [`cli`] | the command line | `events`, `app`, `text`, `view`, `term`, `effects`, `store`, `cluster`, `proxy`, `instance`, `shell`, `docker`, `kube_tunnel`, `brow_practice`, `check`, `why`, `log`, `edit` |

pub mod app;
pub mod check;
pub mod cli;
pub mod cluster;
pub mod docker;
pub mod edit;
pub mod effects;
pub mod events;
pub mod forward;
pub mod instance;
pub mod keymap;
pub mod log;
pub mod metrics;
pub mod proxy;
pub mod shell;
pub mod store;
pub mod term;
pub mod text;
pub mod view;
pub mod why;
