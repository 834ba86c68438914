//! The container engine of this machine: the nodes of local clusters that it runs, and gateways to their ports.
//!
//! A gateway is a container on the network of a k3d, kind or minikube cluster that was created without published ports.
//! It passes local ports on to ports of the cluster's nodes, and outlives this program.

mod engine;
mod find;
mod gateway;
mod node;
mod order;
mod port;
mod probe;
mod run;
mod watch;

pub use engine::Engine;
pub use find::find;
pub use gateway::{DEFAULT_IMAGE, Gateway, Owner};
pub use node::{LocalCluster, Node, cluster_of, clusters};
pub use order::{Order, OrderLock, Planned, plan};
pub use port::{Port, PortError, Wanted};
pub use probe::probe;
pub use run::{Containers, check, create, delete, logs, restart, start, stop};
pub use watch::{follow_log, meter, watch};
