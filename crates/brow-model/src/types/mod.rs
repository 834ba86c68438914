//! The types of the model: clusters, targets, pods, forwards and their parts. None knows of events or effects.

pub mod address;
pub mod attention;
pub mod backend;
pub mod cluster;
pub mod connection;
pub mod connection_strings;
pub mod epoch;
pub mod field;
pub mod forward;
pub mod forward_settings;
pub mod health;
pub mod installation;
pub mod instance;
pub mod inventory;
pub mod lifecycle;
pub mod offer;
pub mod ownership;
pub mod port_plan;
pub mod proxy;
pub mod route;
pub mod service;
pub mod settings;
pub mod target;
pub mod traffic;
pub mod ttl;
pub mod workload;
