//! The language of the model: actions by a person, events from tasks, effects for them, faults and the log.

pub mod action;
pub mod command;
pub(crate) mod edit;
pub mod effect;
pub mod event;
pub mod fault;
pub mod gateway;
pub mod log;
pub(crate) mod logins;
pub(crate) mod lookup;
pub mod metrics;
pub(crate) mod page;
pub mod request;
pub(crate) mod session;
