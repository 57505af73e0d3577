//! `store.*`

use std::sync::Arc;

use fields::{Fields, all, flag};

use super::reader::{ReadAdapter, adapter, setting};
use super::{memory, mysql};
use crate::wiring::StoreAdapter;

/// What `store.adapter` may name.
const ADAPTERS: [(&str, ReadAdapter<dyn StoreAdapter>); 2] =
    [("memory", memory::store), ("mysql", mysql::read)];

/// The users', shows' and tickets' store.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// The adapter of the store that `store.adapter` names.
    pub adapter: Arc<dyn StoreAdapter>,
    /// Whether user `1` and show `230920` are added at start.
    pub seed_demo: bool,
}

pub(super) fn read(fields: &mut Fields<'_, '_>) -> Option<StoreSettings> {
    all!(StoreSettings {
        adapter: adapter(fields, "store.adapter", ADAPTERS),
        seed_demo: setting(fields, "store.seed_demo", flag),
    })
}
