//! `mysql.*`

use fields::{Fields, all, flag, whole};
use secrecy::SecretString;

use super::reader::{setting, urls};
use super::urls as check;

/// The section `mysql`: the database and its limits.
#[derive(Debug, Clone)]
pub struct MySqlSettings {
    /// `mysql://user:password@host:port/database`, of each server. The one that takes changes is
    /// used.
    pub urls: Vec<SecretString>,
    /// The most connections of this process.
    pub max_connections: u32,
    /// Users whose class an api process keeps in memory.
    pub user_directory_max: usize,
    /// Whether the schema is brought up to date before anything else.
    pub migrate_at_start: bool,
}

pub(super) fn settings(fields: &mut Fields<'_, '_>, is_used: bool) -> Option<MySqlSettings> {
    all!(MySqlSettings {
        urls: urls(fields, "mysql.url", "mysql.urls", is_used, check::mysql),
        // One for each purpose: claims, changes, what sells, what reads.
        max_connections: setting(fields, "mysql.max_connections", whole(4..=10_000)),
        user_directory_max: setting(fields, "mysql.user_directory_max", whole(0..=1_000_000_000)),
        migrate_at_start: setting(fields, "mysql.migrate_at_start", flag),
    })
}
