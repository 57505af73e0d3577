//! `store.*`

use std::time::Duration;

use fields::{Fields, all, flag};

use super::memory::MemorySettings;
use super::mysql::{self, MySqlSettings};
use super::reader::{ReadAdapter, adapter, millis, setting};

/// What `store.adapter` may name.
const ADAPTERS: [(&str, ReadAdapter<StoreChoice>); 2] = [
    ("memory", |_, _| Some(StoreChoice::Memory(MemorySettings))),
    ("mysql", |fields, is_used| {
        mysql::settings(fields, is_used).map(StoreChoice::MySql)
    }),
];

/// An adapter, with its settings.
#[derive(Debug, Clone)]
pub enum StoreChoice {
    /// `memory`
    Memory(MemorySettings),
    /// `mysql`
    MySql(MySqlSettings),
}

/// The users', shows' and tickets' store.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Which adapter.
    pub adapter: StoreChoice,
    /// How long a read of a database may take.
    pub read_timeout: Duration,
    /// Whether user `1` and show `230920` are added at start.
    pub seed_demo: bool,
}

pub(super) fn read(fields: &mut Fields<'_, '_>) -> Option<StoreSettings> {
    all!(StoreSettings {
        adapter: adapter(fields, "store.adapter", ADAPTERS),
        read_timeout: setting(fields, "store.read_timeout_ms", millis(100)),
        seed_demo: setting(fields, "store.seed_demo", flag),
    })
}
