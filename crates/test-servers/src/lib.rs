//! Servers for tests and measurements: where they are, and the databases, parts of a broker
//! and whole servers that one of them has for itself.
//!
//! What measures returns errors. What only tests use ([`TestDatabase`], [`TestPrefix`],
//! [`DatabaseServer`], [`RedisServer`]) panics: a missing service fails a test, it is never skipped.

#![expect(
    clippy::missing_errors_doc,
    reason = "errors are for people and say themselves what failed; the others are explained"
)]

pub mod broker;
mod cluster;
pub mod database;
mod database_server;
pub mod ports;
mod redis_server;
mod scripts;
mod servers;
pub mod services;
mod test_database;
mod test_prefix;

pub use cluster::Cluster;
pub use database_server::DatabaseServer;
pub use redis_server::RedisServer;
pub use scripts::ROOT;
pub use servers::{Server, Servers};
pub use test_database::{HeldLock, TestDatabase};
pub use test_prefix::TestPrefix;

/// Removes what a test had, whatever becomes of the test: its runtime may be gone by now, and
/// its threads must not wait.
#[expect(clippy::unwrap_used, reason = "fails the test that needs it")]
fn on_a_thread(work: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
    let working = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(work).unwrap();
    });
    working.join().unwrap();
}
