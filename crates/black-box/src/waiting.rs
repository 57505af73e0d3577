//! Waiting for a count, for as long as it goes on rising.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::time::sleep;

/// Orders are lost if none is decided for so long.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until what is `counted` is at least `count`.
///
/// # Errors
/// When it does not change for a minute.
pub async fn wait_for(
    count: u64,
    counted: impl AsyncFn() -> anyhow::Result<u64>,
) -> anyhow::Result<()> {
    let mut latest = (0, Instant::now());
    loop {
        let now = counted().await?;
        if now >= count {
            return Ok(());
        }
        if now != latest.0 {
            latest = (now, Instant::now());
        }
        ensure!(
            latest.1.elapsed() < PATIENCE,
            "{now} of {count}, and no more for {PATIENCE:?}"
        );
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_ends_with_the_count() {
        let counted = std::cell::Cell::new(0);
        let count = async || {
            counted.set(counted.get() + 1);
            Ok(counted.get())
        };
        wait_for(3, count).await.unwrap();
        assert_eq!(counted.get(), 3);
    }
}
