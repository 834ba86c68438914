//! The binary: parse, start, restore, exit code.
fn main() {}
