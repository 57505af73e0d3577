//! The adapter in memory has no settings of its own.

/// Store and queue in this process.
#[derive(Debug, Clone, Copy)]
pub struct MemorySettings;
