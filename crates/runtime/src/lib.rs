//! What every task needs that runs until the process stops: [`Outage`] logs a failure once and
//! its end once, [`Backoff`] waits between attempts, [`LogThrottle`] merges log lines, and
//! [`error_chain()`] writes an error with its causes. [`Coalescer`] makes one call of many,
//! and [`read_bounded()`] reads no file without end. [`Count`] and [`Timing`] are what operators
//! read of it, kept so that threads do not meet there.

mod backoff;
mod coalesce;
mod error_chain;
mod outage;
mod read_bounded;
mod sharded;
mod throttle;
mod timing;

pub use backoff::{Backoff, Draw};
pub use coalesce::{Coalescer, NotCalled};
pub use error_chain::error_chain;
pub use outage::Outage;
pub use read_bounded::read_bounded;
pub use sharded::{Count, Sharded};
pub use throttle::LogThrottle;
pub use timing::{Timed, Timing};
