use std::error::Error;

use tracing::{info, warn};

use crate::error_chain;

/// Logs one line when a component stops working, and one when it works again.
#[derive(Debug)]
pub struct Outage {
    component: &'static str,
    failures: u32,
}

impl Outage {
    /// A component that works so far.
    #[must_use]
    pub const fn of(component: &'static str) -> Self {
        Self {
            component,
            failures: 0,
        }
    }

    /// A component whose failure was logged already.
    #[must_use]
    pub const fn already_logged(component: &'static str) -> Self {
        Self {
            component,
            failures: 1,
        }
    }

    /// How many attempts in a row have failed.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts a failure; the first one in a row is logged.
    pub fn record_failure(&mut self, error: &(dyn Error + 'static)) {
        if self.failures == 0 {
            warn!(
                component = self.component,
                error = error_chain(error),
                "failed; trying again until it works"
            );
        }
        self.failures = self.failures.saturating_add(1);
    }

    /// Ends the outage; logged if there was one.
    pub fn record_success(&mut self) {
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
