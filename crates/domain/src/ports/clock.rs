//! The time.

use crate::time::Timestamp;

/// Tells the time. It may go back; nothing may rely on two readings growing.
///
/// ```
/// use domain::ports::Clock;
///
/// fn is_over(clock: &dyn Clock, end: domain::time::Timestamp) -> bool {
///     clock.now() >= end
/// }
/// ```
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;

    /// The same, unless the clock is known to be off: what it would date must wait.
    fn right_now(&self) -> Option<Timestamp> {
        Some(self.now())
    }
}
