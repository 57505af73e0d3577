//! The machine's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use domain::ports::Clock;
use domain::time::Timestamp;

/// Tells the time of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    /// A machine that believes to live before 1970 or after 9998 gets the
    /// nearest instant that a [`Timestamp`] can hold.
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since_epoch.as_micros())
            .ok()
            .and_then(|micros| Timestamp::from_micros(micros).ok())
            .unwrap_or(Timestamp::MAX)
    }
}
