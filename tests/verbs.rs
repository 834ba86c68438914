//! The same things without a screen: what a script sees of them. Exit codes, lines, JSON, sockets, completions.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

#[path = "verbs/certificates.rs"]
mod certificates;
mod common;
#[path = "verbs/complete.rs"]
mod complete;
#[path = "verbs/config.rs"]
mod config;
#[path = "verbs/connect.rs"]
mod connect;
#[path = "verbs/detach.rs"]
mod detach;
#[path = "verbs/find.rs"]
mod find;
#[path = "verbs/forged.rs"]
mod forged;
#[path = "verbs/instances.rs"]
mod instances;
#[path = "verbs/logins.rs"]
mod logins;
#[path = "verbs/pods.rs"]
mod pods;
#[path = "verbs/proxies.rs"]
mod proxies;
#[path = "verbs/ready.rs"]
mod ready;
#[path = "verbs/report.rs"]
mod report;
#[path = "verbs/shell.rs"]
mod shell;
#[path = "verbs/sieve.rs"]
mod sieve;
#[path = "verbs/why.rs"]
mod why;
