//! What every client was told, beside what the store and the service's own
//! audit say. Only clients know of an order that was accepted and then lost.

pub mod audit;
pub mod history;
mod reconcile;
pub mod store;
pub mod ticket;

pub use reconcile::{Evidence, Findings, Kind, reconcile};
