//! What is on sale, and its seats.

use std::num::NonZeroU32;

use smol_str::SmolStr;

use crate::ids::ShowId;
use crate::time::Timestamp;

/// The longest title or name, in characters.
pub const MAX_LABEL_LENGTH: usize = 200;
/// The most seats that one show can have.
pub const MAX_CAPACITY: u32 = 10_000_000;
/// The longest hold, in seconds: seven days.
pub const MAX_HOLD_SECONDS: u32 = 7 * 24 * 60 * 60;

/// Why a text is not a title or a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// The text is empty or blank.
    #[error("must not be blank; give 1 to {MAX_LABEL_LENGTH} characters")]
    Blank,
    /// The text is longer than [`MAX_LABEL_LENGTH`].
    #[error("has {length} characters; at most {MAX_LABEL_LENGTH} are allowed")]
    TooLong {
        /// Length of the refused text, in characters.
        length: usize,
    },
    /// The text contains a control character, a line break among them.
    #[error("must not contain control characters")]
    ControlCharacter,
}

pub(crate) fn validated_label(text: &str) -> Result<SmolStr, LabelError> {
    if text.trim().is_empty() {
        return Err(LabelError::Blank);
    }
    let length = text.chars().count();
    if length > MAX_LABEL_LENGTH {
        return Err(LabelError::TooLong { length });
    }
    if text.chars().any(char::is_control) {
        return Err(LabelError::ControlCharacter);
    }
    Ok(SmolStr::new(text))
}

/// A show's title: 1 to 200 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title(SmolStr);

impl Title {
    /// Takes 1 to 200 characters without control characters.
    ///
    /// # Errors
    /// [`LabelError`] says what is wrong with the text.
    pub fn new(text: &str) -> Result<Self, LabelError> {
        validated_label(text).map(Self)
    }

    /// The title as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why terms of sale are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// More seats than [`MAX_CAPACITY`].
    #[error("is {given}; at most {MAX_CAPACITY} seats are allowed")]
    CapacityTooLarge {
        /// The refused number of seats.
        given: u32,
    },
    /// Longer than [`MAX_HOLD_SECONDS`].
    #[error("is {given}; at most {MAX_HOLD_SECONDS} seconds are allowed")]
    HoldTooLong {
        /// The refused duration in seconds.
        given: u32,
    },
    /// The sale would close before it opens.
    #[error("must be later than sales_open_at")]
    WindowReversed,
}

/// The number of seats of a show, 0 to [`MAX_CAPACITY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capacity(u32);

impl Capacity {
    /// Takes 0 to [`MAX_CAPACITY`] seats.
    ///
    /// # Errors
    /// [`TermsError::CapacityTooLarge`].
    pub const fn new(seats: u32) -> Result<Self, TermsError> {
        if seats > MAX_CAPACITY {
            return Err(TermsError::CapacityTooLarge { given: seats });
        }
        Ok(Self(seats))
    }

    /// The number of seats.
    #[must_use]
    pub const fn seats(self) -> u32 {
        self.0
    }
}

/// How long a reserved ticket keeps its seats, in seconds; 0 confirms at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HoldSeconds(u32);

impl HoldSeconds {
    /// Takes 0 to [`MAX_HOLD_SECONDS`].
    ///
    /// # Errors
    /// [`TermsError::HoldTooLong`].
    pub const fn new(seconds: u32) -> Result<Self, TermsError> {
        if seconds > MAX_HOLD_SECONDS {
            return Err(TermsError::HoldTooLong { given: seconds });
        }
        Ok(Self(seconds))
    }

    /// The duration in seconds.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.0
    }
}

/// When orders are taken: from `open_at` on, until just before `close_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SalesWindow {
    open_at: Option<Timestamp>,
    close_at: Option<Timestamp>,
}

impl SalesWindow {
    /// A missing end is open for ever.
    ///
    /// # Errors
    /// [`TermsError::WindowReversed`] when the sale would close at or before its opening.
    pub fn new(
        open_at: Option<Timestamp>,
        close_at: Option<Timestamp>,
    ) -> Result<Self, TermsError> {
        if let (Some(open), Some(close)) = (open_at, close_at)
            && close <= open
        {
            return Err(TermsError::WindowReversed);
        }
        Ok(Self { open_at, close_at })
    }

    /// The first instant of the sale.
    #[must_use]
    pub const fn open_at(&self) -> Option<Timestamp> {
        self.open_at
    }

    /// The first instant after the sale.
    #[must_use]
    pub const fn close_at(&self) -> Option<Timestamp> {
        self.close_at
    }

    /// Whether an order accepted at `instant` is inside of the sale.
    #[must_use]
    pub fn contains(&self, instant: Timestamp) -> bool {
        self.open_at.is_none_or(|open| instant >= open)
            && self.close_at.is_none_or(|close| instant < close)
    }
}

/// The terms of sale: everything of a show that the rule looks at.
///
/// They change only in the ledger, under the same lock as the show's counters,
/// and every change is journaled, so that each verdict can be checked later
/// against the terms of its moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// All seats of the show.
    pub capacity: Capacity,
    /// The most seats that one user may have reserved and confirmed together.
    pub max_per_user: NonZeroU32,
    /// How long a reservation lasts.
    pub hold: HoldSeconds,
    /// When orders are taken.
    pub window: SalesWindow,
}

/// An event on sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Show {
    /// Names the show for ever.
    pub id: ShowId,
    /// The title that buyers read.
    pub title: Title,
    /// What the rule looks at.
    pub terms: Terms,
}

/// What administration may change of a [`Show`]; `None` leaves a field as it is,
/// `Some(None)` takes an end of the sales window away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShowChange {
    /// The new title.
    pub title: Option<Title>,
    /// The new number of seats, never below those held and sold.
    pub capacity: Option<Capacity>,
    /// The new limit, for orders decided from now on.
    pub max_per_user: Option<NonZeroU32>,
    /// The new duration, for tickets reserved from now on.
    pub hold: Option<HoldSeconds>,
    /// The new opening.
    pub sales_open_at: Option<Option<Timestamp>>,
    /// The new closing.
    pub sales_close_at: Option<Option<Timestamp>>,
}

impl Terms {
    /// The terms with `change` applied.
    ///
    /// # Errors
    /// [`TermsError::WindowReversed`] when the resulting sale would close before it opens.
    pub fn changed(&self, change: &ShowChange) -> Result<Self, TermsError> {
        Ok(Self {
            capacity: change.capacity.unwrap_or(self.capacity),
            max_per_user: change.max_per_user.unwrap_or(self.max_per_user),
            hold: change.hold.unwrap_or(self.hold),
            window: SalesWindow::new(
                change.sales_open_at.unwrap_or(self.window.open_at),
                change.sales_close_at.unwrap_or(self.window.close_at),
            )?,
        })
    }
}

/// Where a show's seats are. `available + held + sold` is the show's capacity, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SeatCounts {
    /// Seats that the next order can get.
    pub available: u32,
    /// Seats of reserved tickets.
    pub held: u32,
    /// Seats of confirmed tickets.
    pub sold: u32,
}

impl SeatCounts {
    /// The number of all seats, whatever they are used for.
    #[must_use]
    pub fn total(&self) -> u64 {
        u64::from(self.available) + u64::from(self.held) + u64::from(self.sold)
    }

    /// Whether no seat is left and none can come back by the end of a hold.
    #[must_use]
    pub const fn is_sold_out(&self) -> bool {
        self.available == 0 && self.held == 0
    }
}

/// A show as the ledger has it at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShowStanding {
    /// The show.
    pub show: Show,
    /// Where its seats are.
    pub seats: SeatCounts,
    /// The number of the show's latest change, see [`crate::journal`].
    pub seq: u64,
}

impl ShowStanding {
    /// The seats as they are announced.
    #[must_use]
    pub fn announcement(&self) -> ShowSeats {
        ShowSeats {
            show_id: self.show.id.clone(),
            seats: self.seats,
            seq: self.seq,
        }
    }
}

/// A show's seats after its change number `seq`, as it is announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShowSeats {
    /// The show.
    pub show_id: ShowId,
    /// Where its seats are.
    pub seats: SeatCounts,
    /// The number of the change that led here; an older announcement is stale.
    pub seq: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sale_includes_its_opening_and_excludes_its_closing() {
        let at = |micros| Timestamp::from_micros(micros).unwrap();
        let window = SalesWindow::new(Some(at(10)), Some(at(20))).unwrap();
        assert!(!window.contains(at(9)));
        assert!(window.contains(at(10)));
        assert!(window.contains(at(19)));
        assert!(!window.contains(at(20)));
        assert!(SalesWindow::default().contains(Timestamp::MAX));
        assert_eq!(
            SalesWindow::new(Some(at(10)), Some(at(10))),
            Err(TermsError::WindowReversed)
        );
    }

    #[test]
    fn labels_are_bounded_and_printable() {
        assert!(Title::new(&"ü".repeat(200)).is_ok());
        assert_eq!(Title::new(" "), Err(LabelError::Blank));
        assert_eq!(
            Title::new(&"x".repeat(201)),
            Err(LabelError::TooLong { length: 201 })
        );
        assert_eq!(Title::new("a\nb"), Err(LabelError::ControlCharacter));
    }
}
