//! Users, shows and the ledger in MySQL 8.4 or later, or MariaDB 10.11 or later.
//!
//! The rule is [`domain::rule`]; here rows are loaded under the shows' locks and
//! saved in one transaction. Whoever needs several locks takes shows by id;
//! tickets are written only under the lock of their show.

mod by_show;
mod connections;
mod database;
mod dependency;
mod error;
mod examination;

mod lane_claims;
mod migration;
mod page;
mod row;
mod servers;
mod session;
mod show_repository;
mod store;
mod store_identity;
mod ticket_ledger;
mod user_changes;
mod user_repository;

pub use error::{InvalidUrl, MigrateError};
pub use store::{MIN_CONNECTIONS, MySqlConfig, MySqlStore};
