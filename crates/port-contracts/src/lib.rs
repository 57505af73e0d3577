//! The contract of each port, as cases that every adapter runs.
