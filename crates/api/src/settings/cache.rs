//! `cache.*`

use std::time::Duration;

use fields::{Fields, Value, all, whole, word};

use super::reader::setting;

/// Longest time that an answer may be old, in milliseconds.
const MAX_STALENESS_MS: u64 = 60_000;
/// Longest time that a reader may wait for a shared cache, in milliseconds.
const MAX_TIMEOUT_MS: u64 = 500;

/// Where decided state is kept for those who only look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheAdapter {
    /// Each process has a cache of its own.
    Memory,
    /// All processes share it.
    Redis,
}

/// The cache of decided state.
#[derive(Debug, Clone)]
pub struct CacheSettings {
    /// Which adapter.
    pub adapter: CacheAdapter,
    /// How old an answer may be about what can still change.
    pub max_staleness: Duration,
    /// How long a reader waits for a shared cache.
    pub timeout: Duration,
}

/// Which adapter.
pub(super) fn adapter(fields: &mut Fields<'_, '_>) -> Option<CacheAdapter> {
    let adapters = [
        ("memory", CacheAdapter::Memory),
        ("redis", CacheAdapter::Redis),
    ];
    setting(fields, "cache.adapter", word(adapters))
}

pub(super) fn read(
    fields: &mut Fields<'_, '_>,
    adapter: Option<CacheAdapter>,
) -> Option<CacheSettings> {
    let up_to =
        |max: u64| move |value: &Value<'_>| whole(1..=max)(value).map(Duration::from_millis);
    all!(CacheSettings {
        adapter: adapter,
        max_staleness: setting(fields, "cache.max_staleness_ms", up_to(MAX_STALENESS_MS)),
        timeout: setting(fields, "cache.timeout_ms", up_to(MAX_TIMEOUT_MS)),
    })
}
