//! What there is: clusters, targets, pods, forwards and what belongs to them. Nothing here knows of events or effects.

pub mod address;
pub mod backend;
pub mod cluster;
pub mod epoch;
pub mod field;
pub mod forward;
pub mod found;
pub mod health;
pub mod installation;
pub mod instance;
pub mod keep;
pub mod offer;
pub mod own;
pub mod plan;
pub mod proxy;
pub mod renew;
pub mod route;
pub mod service;
pub mod settings;
pub mod strings;
pub mod target;
pub mod traffic;
pub mod ttl;
pub mod upkeep;
pub mod workload;
