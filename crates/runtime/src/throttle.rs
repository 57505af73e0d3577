use std::mem;
use std::time::Duration;

use tokio::time::Instant;

/// Between two lines about the same thing.
const INTERVAL: Duration = Duration::from_secs(10);

/// Counts events for one log line at a time: the first event is logged at once, later ones
/// together, at most once in 10 s.
#[derive(Debug, Default)]
pub struct LogThrottle {
    logged: Option<Instant>,
    unlogged: usize,
}

impl LogThrottle {
    /// Adds `more` events. Returns how many to log now, these included; `None` if there is
    /// nothing to log, or the last line is too recent.
    pub fn add(&mut self, more: usize) -> Option<usize> {
        self.unlogged += more;
        let is_due = self.logged.is_none_or(|at| at.elapsed() >= INTERVAL);
        if self.unlogged == 0 || !is_due {
            return None;
        }
        self.logged = Some(Instant::now());
        Some(mem::take(&mut self.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_is_logged_at_once_and_later_ones_together() {
        let mut throttle = LogThrottle::default();
        assert_eq!(throttle.add(0), None);
        assert_eq!(throttle.add(2), Some(2));
        assert_eq!(throttle.add(3), None);
        advance(INTERVAL).await;
        assert_eq!(throttle.add(0), Some(3));
        advance(INTERVAL).await;
        assert_eq!(throttle.add(0), None);
    }
}
