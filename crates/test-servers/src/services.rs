//! Where the servers are that everybody uses.

use std::path::Path;
use std::{env, fs};

use anyhow::Context;

use crate::scripts::{ROOT, value_in};

/// Written by `make services`; variables of the same names come first.
const FILE: &str = ".local/services.env";
pub(crate) const MYSQL_URL: &str = "TICKETS_TEST_MYSQL_URL";
pub(crate) const RABBITMQ_URL: &str = "TICKETS_TEST_RABBITMQ_URL";

/// The variable of that name, of the environment or else of the file of `make services`.
pub(crate) fn find(name: &str) -> anyhow::Result<String> {
    let from_file = || {
        let file = fs::read_to_string(Path::new(ROOT).join(FILE)).ok()?;
        value_in(&file, name).map(str::to_owned)
    };
    env::var(name).ok().or_else(from_file).with_context(|| {
        format!(
            "{name} is not set and {FILE} does not name it; \
             run `make services` in the repository's folder"
        )
    })
}

/// A MySQL or MariaDB server, without a database in the URL; its user may create databases.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn mysql_url() -> String {
    needed(MYSQL_URL)
}

/// A RabbitMQ broker.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn rabbitmq_url() -> String {
    needed(RABBITMQ_URL)
}

/// `http://user:password@host:port`, the management API of that broker.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn rabbitmq_management_url() -> String {
    needed("TICKETS_TEST_RABBITMQ_MANAGEMENT_URL")
}

/// A Redis server. Keys have a prefix of the test's own, and expire.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn redis_url() -> String {
    needed("TICKETS_TEST_REDIS_URL")
}

#[expect(clippy::panic, reason = "fails the test that needs the service")]
fn needed(name: &str) -> String {
    find(name).unwrap_or_else(|missing| panic!("{missing}"))
}
