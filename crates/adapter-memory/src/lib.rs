//! All ports in memory, for development and as the reference that other
//! adapters are compared with. Everything lasts as long as the process.
//!
//! Nothing here waits for anything but orders and events: locks are held for
//! the length of a batch at most, and never across an await.

mod books;
mod claims;
mod dead_letters;
mod lane_claims;
mod lane_queue;
mod queue;
mod show_repository;
mod store;
mod ticket_consumer;
mod ticket_events;
mod ticket_ledger;
mod ticket_publisher;
mod user_repository;

pub use queue::{MemoryQueue, MemoryQueueConfig};
pub use store::MemoryStore;
pub use ticket_events::MemoryTicketEvents;
