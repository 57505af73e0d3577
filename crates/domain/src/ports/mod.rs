//! What the domain needs of the outside, one port per file. Adapters implement
//! these traits; `port-contracts` holds the cases that every adapter must pass.
//!
//! All ports are used behind `Arc<dyn Port>` by many tasks at once. The future
//! of any method may be dropped at any await: what it was doing then either
//! happened as a whole or not at all.

mod clock;
mod dead_letters;
mod decided_state;
mod dependency;
mod examination;
mod lane_claims;
mod show_repository;
mod state_cache;
mod store_identity;
mod ticket_consumer;
mod ticket_events;
mod ticket_ledger;
mod ticket_publisher;
mod user_changes;
mod user_repository;

pub use clock::Clock;
pub use dead_letters::{DeadLetter, DeadLetters, DeadLettersError};
pub use decided_state::DecidedState;
pub use dependency::{ClocksDiffer, Dependency, DependencyDown};
pub use examination::{Examination, Finding, Level};
pub use lane_claims::{LaneClaims, LaneClaimsError};
pub use show_repository::{
    CreateShowError, ShowRepository, ShowRepositoryError, TermsSet, UnreadableShow,
};
pub use state_cache::{CacheInstant, Cached, State, StateCache, StateKey};
pub use store_identity::{DeploymentId, StoreIdentity};
pub use ticket_consumer::{ConsumeError, DeliveryBatch, LaneConsumer, TicketConsumer};
pub use ticket_events::{EventFeed, EventFeedError, TicketEvents, TicketEventsError};
pub use ticket_ledger::{
    ChangeShowError, DecideReport, LedgerError, TicketLedger, TicketPage, TransitionReport,
};
pub use ticket_publisher::{PublishError, TicketPublisher};
pub use user_changes::{ChangedUsers, UserChanges, UserMark};
pub use user_repository::{CreateUserError, UserAuthors, UserRepository, UserRepositoryError};

/// What went wrong below a port; callers log it and look no further.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;
