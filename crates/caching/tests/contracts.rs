//! The cache in memory against the contract of its port.

use std::sync::Arc;

use caching::MemoryStateCache;
use domain::ports::StateCache;
use port_contracts::StateCacheHarness;

async fn cache() -> StateCacheHarness {
    let cache: Arc<dyn StateCache> = Arc::new(MemoryStateCache::new());
    StateCacheHarness {
        cache: Arc::clone(&cache),
        // There is no other process that could see this memory.
        connect: Box::new(move || {
            let cache = Arc::clone(&cache);
            Box::pin(async { cache })
        }),
        keep: Box::new(()),
    }
}

port_contracts::state_cache_contract!(cache);
