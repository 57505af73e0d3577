//! The adapter in memory has no settings of its own.

use std::sync::Arc;

use fields::Fields;

use crate::wiring::{QueueAdapter, StoreAdapter};

/// Store and queue in this process.
#[derive(Debug, Clone, Copy)]
pub struct MemorySettings;

pub(super) fn queue(_: &mut Fields<'_, '_>, _: bool) -> Option<Arc<dyn QueueAdapter>> {
    Some(Arc::new(MemorySettings))
}

pub(super) fn store(_: &mut Fields<'_, '_>, _: bool) -> Option<Arc<dyn StoreAdapter>> {
    Some(Arc::new(MemorySettings))
}
