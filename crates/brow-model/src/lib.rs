//! The only state: plain data, no locks, no IO, no clock. [`Model::update`] is a function of (state, event) and
//! returns effects, which are data too.
#![deny(clippy::disallowed_methods)]

mod language;
pub mod near;
pub mod plain;
mod screen;
mod state;
mod types;
mod update;

pub use language::{action, command, effect, event, fault, log, wish};
pub use screen::{browser, dialog, filter, focus, form, leave, lesson, list, menu, text_field, welcome};
pub use state::{Front, Model};
pub use types::{
    address, backend, cluster, epoch, field, forward, found, health, installation, instance, keep, offer, own, plan,
    proxy, renew, route, service, settings, strings, target, traffic, ttl, upkeep, workload,
};

#[cfg(test)]
mod tests;
