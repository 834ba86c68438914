//! The proxy pod: its spec, its relay, its life.
