//! What is sold, to whom and when, and what is broken meanwhile: from a file and a seed.

pub(crate) mod arrivals;
pub(crate) mod faults;
pub(crate) mod plan;
mod read;
pub(crate) mod sale;
pub(crate) mod silences;
