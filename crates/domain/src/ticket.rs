//! A decided order.

use crate::order::Order;
use crate::time::Timestamp;

/// Why an order got no seats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RejectionReason {
    /// Fewer seats were available than the order wants.
    SoldOut,
    /// The user would have more seats than the show allows one user.
    LimitExceeded,
    /// The order was accepted outside of the sales window.
    SalesClosed,
    /// The ledger has no such user.
    UserNotFound,
    /// The ledger has no such show.
    ShowNotFound,
}

impl RejectionReason {
    /// All reasons, for reports that list each of them.
    pub const ALL: [Self; 5] = [
        Self::SoldOut,
        Self::LimitExceeded,
        Self::SalesClosed,
        Self::UserNotFound,
        Self::ShowNotFound,
    ];

    /// The reason's name in JSON and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SoldOut => "sold_out",
            Self::LimitExceeded => "limit_exceeded",
            Self::SalesClosed => "sales_closed",
            Self::UserNotFound => "user_not_found",
            Self::ShowNotFound => "show_not_found",
        }
    }

    /// The reason of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
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

/// Where a decided ticket stands. Before its verdict it is `processing`, and not in the ledger.
///
/// `reserved` becomes `confirmed`, `expired` or `cancelled`; `confirmed` becomes
/// `cancelled`; the others are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// The seats are held.
    Reserved,
    /// The seats are sold.
    Confirmed,
    /// There were no seats.
    Rejected,
    /// The hold ran out; the seats went back.
    Expired,
    /// The buyer gave the seats back.
    Cancelled,
}

impl Status {
    /// Every status of a decided ticket.
    pub const ALL: [Self; 5] = [
        Self::Reserved,
        Self::Confirmed,
        Self::Rejected,
        Self::Expired,
        Self::Cancelled,
    ];

    /// The status's name in JSON and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Confirmed => "confirmed",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Whether the ticket's seats count against its user's limit.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Reserved | Self::Confirmed)
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
