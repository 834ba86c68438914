//! brow-tui: a full-screen dashboard for reaching what only a Kubernetes cluster can reach.
//!
//! One loop owns one [`model`]; everything else reads it or feeds it. Who may use whom:
//!
//! | room | what it is | may use |
//! |---|---|---|
//! | [`model`] | the only state: plain data and `update(event) -> effects` | nothing of ours |
//! | [`plain`] | text of others, made fit to be shown | nothing of ours; all may use it |
//! | [`contain`] | panics that stay where they are | nothing of ours; all may use it |
//! | [`text`] | every word a person sees, in every language | `model` |
//! | [`keymap`] | one table from keys to commands, which is also the help and the hints | `model`, `text` |
//! | [`view`] | draws the model | `model`, `text` |
//! | [`cluster`] | kubeconfig, clients by context, probes, what there is in them | `model`, `store` (reading files) |
//! | [`proxy`] | the proxy pod: its spec, its relay, its life, the watch on it | `model`, `cluster` |
//! | [`tunnel`] | upgraded connections to the API server that carry streams to a pod | nothing of ours |
//! | [`forward`] | listeners on this machine and what keeps them going | `model`, `tunnel` |
//! | [`store`] | config, state, audit log, imports; one writer | `model` |
//! | [`instance`] | the sockets by which running instances know each other | `model` |
//! | [`term`] | the terminal, taken and given back | nothing of ours |
//! | [`practice`] | a Kubernetes API of our own on loopback, to practise on | `tunnel` (its frames) |
//! | [`log`] | the log file, without secrets | `model`, `text` |
//! | [`effects`] | effects become tasks | `model`, `cluster`, `proxy`, `tunnel`, `forward`, `store`, `instance` |
//! | [`check`] | the doctor: whether what the work needs is there | `model`, `cluster`, `proxy`, `tunnel`, `store`, `keymap`, `view` |
//! | [`app`] | the loop | `model`, `text`, `view`, `keymap`, `term`, `effects`, `log` |
//! | [`cli`] | the command line | `app`, `model`, `text`, `view`, `term`, `effects`, `store`, `cluster`, `proxy`, `instance`, `practice`, `check`, `log` |

pub mod app;
pub mod check;
pub mod cli;
pub mod cluster;
pub mod contain;
pub mod effects;
pub mod forward;
pub mod instance;
pub mod keymap;
pub mod log;
pub mod model;
pub mod plain;
pub mod practice;
pub mod proxy;
pub mod store;
pub mod term;
pub mod text;
pub mod tunnel;
pub mod view;
