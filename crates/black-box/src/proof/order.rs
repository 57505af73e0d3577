//! What a client asks for.

/// An order that will be placed, and what its buyer will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedOrder {
    /// When it is to be sent, in µs from the start.
    pub at_micros: u64,
    /// Number of its user.
    pub user: u32,
    /// Number of its show.
    pub show: u32,
    /// The number of seats.
    pub quantity: u32,
    /// From the verdict to a confirmation or cancellation.
    pub think_ms: u32,
    /// How its buyer learns the verdict.
    pub reader: Reader,
    /// What its buyer does with a hold.
    pub intent: Intent,
    /// Whether it has an `Idempotency-Key`.
    pub keyed: bool,
    /// Whether it is sent once more after its answer.
    pub repeated: bool,
}

/// How a buyer learns a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Not at all.
    Absent,
    /// By asking again and again.
    Poll,
    /// By a subscription.
    WebSocket,
}

/// What a buyer does with a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Buys.
    Confirm,
    /// Gives it back.
    Cancel,
    /// Lets it lapse.
    Lapse,
}
