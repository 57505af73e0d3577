//! A decided order.

use crate::named::named;
use crate::order::Order;
use crate::time::Timestamp;

named! {
    /// Why an order got no seats.
    RejectionReason {
        /// Fewer seats were available than the order wants.
        SoldOut = "sold_out",
        /// The user would have more seats than the show allows one user.
        LimitExceeded = "limit_exceeded",
        /// The order was accepted outside of the sales window.
        SalesClosed = "sales_closed",
        /// The ledger has no such user.
        UserNotFound = "user_not_found",
        /// The ledger has no such show.
        ShowNotFound = "show_not_found",
    }
}

/// What the rule said when it decided the order. It never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The seats are held until the given instant, exclusively.
    Reserved {
        /// The first instant at which the hold is over.
        hold_expires_at: Timestamp,
    },
    /// The seats are sold.
    Confirmed,
    /// There are no seats for this order.
    Rejected(RejectionReason),
}

named! {
    /// Where a decided ticket stands. Before its verdict it is `processing`, and not in the ledger.
    ///
    /// `reserved` becomes `confirmed`, `expired` or `cancelled`; `confirmed` becomes
    /// `cancelled`; the others are final.
    Status {
        /// The seats are held.
        Reserved = "reserved",
        /// The seats are sold.
        Confirmed = "confirmed",
        /// There were no seats.
        Rejected = "rejected",
        /// The hold ran out; the seats went back.
        Expired = "expired",
        /// The buyer gave the seats back.
        Cancelled = "cancelled",
    }
}

impl Status {
    /// Whether the ticket's seats count against its user's limit.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Reserved | Self::Confirmed)
    }

    /// Whether the ticket stays as it is for ever.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !self.is_live()
    }
}

/// An order with its verdict, as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// What was decided.
    pub order: Order,
    /// What the rule said.
    pub verdict: Verdict,
    /// When it said so, read under the show's lock.
    pub decided_at: Timestamp,
    /// The decision's number among all changes of the show; `None` if the show
    /// does not exist, because then there is nothing to number.
    pub decision_seq: Option<u64>,
    /// Where the ticket stands now.
    pub status: Status,
    /// 1 for the verdict, one more with every change of `status`; a listener
    /// drops what is older than what it has.
    pub version: u32,
}

impl Ticket {
    /// Why the order got no seats, if it got none.
    #[must_use]
    pub const fn rejection(&self) -> Option<RejectionReason> {
        match self.verdict {
            Verdict::Rejected(reason) => Some(reason),
            Verdict::Reserved { .. } | Verdict::Confirmed => None,
        }
    }

    /// The end of the hold, while the seats are held.
    #[must_use]
    pub fn hold_expires_at(&self) -> Option<Timestamp> {
        match self.verdict {
            Verdict::Reserved { hold_expires_at } if self.status == Status::Reserved => {
                Some(hold_expires_at)
            }
            _ => None,
        }
    }

    /// Whether the seats are held and the hold is over at `now`.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.hold_expires_at().is_some_and(|expires| now >= expires)
    }
}
