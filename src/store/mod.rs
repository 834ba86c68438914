//! Config, state, audit log, imports; one writer.
