//! Mistakes that somebody could make, to see that the simulation finds them.

/// A mistake in the simulated half of the world: what an adapter, or the code
/// around the real one, would do if its author had not thought of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// Some acks never reach the broker, although the connection lives.
    AckLost,
    /// Orders are settled when they are handed out.
    AckBeforeCommit,
    /// The store decides without looking whether an id has its verdict.
    NoReplayCheck,
    /// Confirming, cancelling and expiring read the clock, then wait for the lock.
    ClockReadBeforeTheLock,
    /// A commit whose answer is lost is taken for failed, and done again under a new id.
    NewIdAfterALostAnswer,
    /// A message without a confirm is sent again after those that came later.
    RetriesOutOfSequence,
    /// Verdicts are announced before they are committed.
    AnnouncesBeforeCommit,
    /// Verdicts that were found in the ledger are not announced again.
    ReplaysNotAnnounced,
    /// Deciding takes no lock, so a former owner of a lane saves over its successor.
    DecidesWithoutLock,
    /// What a lane's former owner had not acked comes after what it never got.
    RedeliversAtTheEnd,
    /// An order that nobody confirmed in time is said not to be queued.
    UnknownSaidNotQueued,
    /// Due holds are released by the sweep only.
    DecidesWithoutReleasing,
    /// The ledger decides under any claim.
    DecidesUnderAnyClaim,
    /// Taking a lane does not compare the number that was seen.
    TakesWithoutComparing,
    /// A lane that was given back counts its claims from the beginning.
    NumbersComeBack,
}
