//! All ports in memory, for development and as the reference.
