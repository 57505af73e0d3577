//! One log line when something stops working, and one when it works again.

use tracing::{info, warn};

use crate::worker::chain;

/// The failures in a row of one component.
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
