//! One table from keys to commands.
