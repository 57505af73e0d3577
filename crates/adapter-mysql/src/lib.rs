//! Users, shows and the ledger in MySQL 8.4 or later, or MariaDB 10.11 or later: what
//! [`adapter_sql`] needs of them.

mod engine;
mod error;
mod examination;
mod migration;
mod servers;
mod session;
mod statements;

pub use adapter_sql::{MIN_CONNECTIONS, PoolUse};
pub use engine::{MySql, MySqlConfig, MySqlStore};
pub use error::{InvalidUrl, MigrateError};
