//! Listeners on this machine and what keeps them going.
