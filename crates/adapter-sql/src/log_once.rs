//! Faults of rows, which every reader finds again.

use std::sync::LazyLock;
use std::time::Duration;

use moka::sync::Cache;

/// Logs what is wrong with a row at most once in ten minutes: every reader of it would fill the
/// log, and anybody may read shows.
pub(crate) fn log_once(what: &str, log: impl FnOnce()) {
    const AGAIN: Duration = Duration::from_secs(600);
    /// More than that are one fault.
    const MAX: u64 = 1_000;
    static LOGGED: LazyLock<Cache<String, ()>> = LazyLock::new(|| {
        Cache::builder()
            .max_capacity(MAX)
            .time_to_live(AGAIN)
            .build()
    });

    if LOGGED.entry_by_ref(what).or_insert(()).is_fresh() {
        log();
    }
}
