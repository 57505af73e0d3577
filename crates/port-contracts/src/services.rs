//! Where the real servers are that adapters are tested against.

use std::{env, fs};

/// Written by `make services`; variables of the same names come first.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.local/services.env");

/// A MySQL or MariaDB server, without a database in the URL; its user may create databases.
///
/// # Panics
/// When there is none: a missing service fails a test, it is never skipped.
#[must_use]
pub fn mysql_url() -> String {
    url("TICKETS_TEST_MYSQL_URL")
}

/// A RabbitMQ broker.
///
/// # Panics
/// Like [`mysql_url`].
#[must_use]
pub fn rabbitmq_url() -> String {
    url("TICKETS_TEST_RABBITMQ_URL")
}

#[expect(clippy::panic, reason = "fails the test that needs the service")]
fn url(name: &str) -> String {
    let from_file = || {
        let file = fs::read_to_string(FILE).ok()?;
        file.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(str::to_owned)
    };
    env::var(name)
        .ok()
        .or_else(from_file)
        .unwrap_or_else(|| panic!("{name} is not set and no server is known; run `make services`"))
}
