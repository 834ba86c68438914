//! The only state: plain data, no locks, no IO, no clock. [`Model::update`] is a function of (state, event) and
//! returns effects, which are data too.
#![deny(clippy::disallowed_methods)]

mod language;
pub mod near;
pub mod sanitize;
mod screen;
mod short;
mod state;
mod types;
mod update;

pub use language::{action, command, effect, event, fault, gateway as engine, log, metrics as measuring, request};
pub use screen::{
    batch, browser, dialog, edit as object_edit, filter, find, first_run, focus, form, kinds as kind_browser, list,
    menu, page as object_page, palette, text_field,
};
pub use state::{Detection, GatewayRow, Measured, Mode, Model, ShownQuestion};
pub use types::{
    address, agent, allow, attention, backend, cluster, connection, connection_strings, edit, epoch, field, forward,
    forward_settings, gateway, health, index, installation, instance, inventory, kinds, lifecycle, local_cluster,
    metrics, node, offer, ownership, page, port_plan, proxy, restore, route, service, settings, shell, target, traffic,
    ttl, why, workload,
};

#[cfg(test)]
mod tests;
