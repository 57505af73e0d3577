//! `store.*`

use std::sync::Arc;

use super::reader::{ReadAdapter, Reader, YES_OR_NO};
use super::{memory, mysql};
use crate::wiring::StoreAdapter;

/// What `store.adapter` may name.
const ADAPTERS: [(&str, ReadAdapter<dyn StoreAdapter>); 2] =
    [("memory", memory::store), ("mysql", mysql::read)];

/// The users', shows' and tickets' store.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Which adapter.
    pub adapter: Arc<dyn StoreAdapter>,
    /// Whether user `1` and show `230920` are added at start.
    pub seed_demo: bool,
}

pub(super) fn read(reader: &mut Reader) -> Option<StoreSettings> {
    let adapter = reader.adapter("store.adapter", &ADAPTERS);
    let seed_demo = reader.choice("store.seed_demo", &YES_OR_NO);
    Some(StoreSettings {
        adapter: adapter?,
        seed_demo: seed_demo?,
    })
}
