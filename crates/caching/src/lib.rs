//! What a process keeps at hand in front of any store: decorators over its ports.
//!
//! [`ShowCache`] and [`UserDirectory`] are there so that orders ask the store nothing. Both may be
//! behind the store, so what they say may refuse an order early, and never sells.
//! [`CachedState`] answers those who only look, out of a [`MemoryStateCache`] or one that processes
//! share; no order asks it. A miss is never cached.

mod cached_state;
mod flights;
mod memory_state_cache;
mod newest;
mod reads;
mod show_cache;
mod user_directory;

pub use cached_state::CachedState;
pub use memory_state_cache::MemoryStateCache;
pub use reads::CacheReads;
pub use show_cache::ShowCache;
pub use user_directory::UserDirectory;
