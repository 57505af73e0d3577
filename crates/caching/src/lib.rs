//! What a process keeps in memory so that orders ask the store nothing: decorators over the ports
//! of any store. Both may be behind the store, so what they say may refuse an order early, and
//! never sells. A miss is never cached.

mod show_cache;
mod user_directory;

pub use show_cache::ShowCache;
pub use user_directory::UserDirectory;
