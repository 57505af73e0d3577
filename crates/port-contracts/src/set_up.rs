//! How the queue and the events of a harness are set up.

use std::num::NonZeroU32;

use domain::order::Lanes;

/// Lanes of a harness's queue.
pub const LANES: Lanes = Lanes::new(4).unwrap();
/// Turns of the class high while both classes wait.
pub const HIGH_WEIGHT: NonZeroU32 = NonZeroU32::new(4).unwrap();
/// Turns of the class standard while both classes wait.
pub const STANDARD_WEIGHT: NonZeroU32 = NonZeroU32::new(1).unwrap();
/// `queue.capacity` of a harness's queue, in orders.
pub const QUEUE_CAPACITY: usize = 1_000;
/// The most dead letters of a harness's queue.
pub const DEAD_LETTER_CAPACITY: usize = 20;
/// Single events that a harness's feed can be behind before it gets a gap.
pub const EVENT_BUFFER: usize = 64;
