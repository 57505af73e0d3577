//! Users, shows and the ledger over an SQL database: the script that every database runs.
//!
//! The rule is [`domain::rule`]; here rows are loaded under the shows' locks and
//! saved in one transaction. A task that needs several locks takes shows by id;
//! tickets are written only under the lock of their show.
//!
//! A database brings an [`Engine`] (where its servers are, how a session begins, how the schema is
//! made), the [`statements`] of its sessions, and its driver's errors as a [`SqlError`]. Then
//! [`SqlStore`] is its store.

mod authors;
mod by_show;
pub mod chunks;
mod connections;
mod database;
mod dependency;
mod engine;
mod error;
mod lane_claims;
mod log_once;
mod look_ups;
mod opening;
mod page;
pub mod row;
mod show_repository;
pub mod statements;
mod store;
mod store_identity;
mod ticket_ledger;
mod user_changes;
mod user_repository;

pub use connections::{PoolUse, within};
pub use engine::{Engine, Limits, MIN_CONNECTIONS, Shares};
pub use error::{Fault, SqlError};
pub use store::SqlStore;
