//! brow-tui: a full-screen dashboard for reaching what only a Kubernetes cluster can reach.
//!
//! One loop owns one [`model`]; everything else reads it or feeds it. Who may use whom:
//!
//! | room | what it is | may use |
//! |---|---|---|
//! | [`model`] | the only state: plain data and `update(event) -> effects` | nothing of ours |
//! | [`tunnel`] | upgraded connections to the API server that carry streams to a pod | nothing of ours |

pub mod model;
pub mod tunnel;
