//! The only state.
