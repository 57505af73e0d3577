//! Log lines that are few, however often the same thing happens.

use std::mem;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use crate::worker::chain;

/// Between two lines about the same thing.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// What is said at once, and then together with what came since.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    said: Option<Instant>,
    unsaid: usize,
}

impl Seldom {
    /// How many there were since the last line, these included, if it is time for another one.
    pub(crate) fn count(&mut self, more: usize) -> Option<usize> {
        self.unsaid += more;
        let is_late = self.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN);
        if self.unsaid == 0 || !is_late {
            return None;
        }
        self.said = Some(Instant::now());
        Some(mem::take(&mut self.unsaid))
    }
}

/// One line when something stops working, and one when it works again.
#[derive(Debug)]
pub(crate) struct Outage {
    component: &'static str,
    failures: u32,
}

impl Outage {
    pub(crate) const fn of(component: &'static str) -> Self {
        Self {
            component,
            failures: 0,
        }
    }

    /// One whose beginning was logged already.
    pub(crate) const fn known(component: &'static str) -> Self {
        Self {
            component,
            failures: 1,
        }
    }

    /// So many in a row.
    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }

    /// It does not work; logged if it did before.
    pub(crate) fn goes_on(&mut self, error: &(dyn std::error::Error + 'static)) {
        if self.failures == 0 {
            warn!(
                component = self.component,
                error = chain(error),
                "failed; trying again until it works"
            );
        }
        self.failures = self.failures.saturating_add(1);
    }

    /// It works; logged if it did not before.
    pub(crate) fn is_over(&mut self) {
        if self.failures > 0 {
            info!(
                component = self.component,
                failures = self.failures,
                "works again"
            );
            self.failures = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_is_said_at_once_and_all_others_later_together() {
        let mut seldom = Seldom::default();
        assert_eq!(seldom.count(0), None);
        assert_eq!(seldom.count(2), Some(2));
        assert_eq!(seldom.count(3), None);
        advance(SAY_AGAIN).await;
        assert_eq!(seldom.count(0), Some(3));
        advance(SAY_AGAIN).await;
        assert_eq!(seldom.count(0), None);
    }
}
