//! The practice cluster through the program's own client.
