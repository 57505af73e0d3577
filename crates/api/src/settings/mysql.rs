//! `mysql.*`

use std::sync::Arc;

use secrecy::SecretString;

use super::reader::{Reader, YES_OR_NO};
use super::urls as check;
use crate::wiring::StoreAdapter;

/// `mysql.*`
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

pub(super) fn read(reader: &mut Reader, is_used: bool) -> Option<Arc<dyn StoreAdapter>> {
    Some(Arc::new(settings(reader, is_used)?))
}

pub(super) fn settings(reader: &mut Reader, is_used: bool) -> Option<MySqlSettings> {
    let urls = reader.urls("mysql.url", "mysql.urls", is_used, check::mysql);
    // One for each purpose: claims, changes, what sells, what reads.
    let max_connections = reader.number("mysql.max_connections", 4, 10_000);
    let user_directory_max = reader.number("mysql.user_directory_max", 0, 1_000_000_000);
    let migrate_at_start = reader.choice("mysql.migrate_at_start", &YES_OR_NO);
    Some(MySqlSettings {
        urls: urls?,
        max_connections: max_connections?,
        user_directory_max: user_directory_max?,
        migrate_at_start: migrate_at_start?,
    })
}
