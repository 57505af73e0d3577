//! The result of a run: for machines as JSON, for people as text, as tables and as a page.

mod counted;
pub(crate) mod faults;
pub(crate) mod html;
mod latency;
pub(crate) mod plots;
pub(crate) mod result;
mod series;
mod silences;
pub(crate) mod tables;
#[cfg(test)]
pub(crate) mod tests;
