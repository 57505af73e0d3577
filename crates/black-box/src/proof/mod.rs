//! What every client was told, beside what the store and the service's own
//! audit say. Only clients know of an order that was accepted and then lost.

pub mod audit;
pub mod evidence;
pub mod findings;
pub mod history;
pub mod order;
pub mod reconcile;
pub mod ticket;
pub mod told;
