//! The report of the service's own audit.

use serde::{Deserialize, Serialize};

use crate::names::Names;

/// What the replay of every show found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AuditReport {
    /// The audit of each show.
    pub shows: Vec<AuditedShow>,
}

impl AuditReport {
    /// Of the shows that have these names, by their number.
    #[must_use]
    pub fn numbered(self, names: &Names) -> Vec<(u32, AuditedShow)> {
        let shows = self.shows.into_iter();
        shows
            .filter_map(|show| Some((names.show_number(&show.show_id)?, show)))
            .collect()
    }
}

/// What the replay of one show found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AuditedShow {
    /// The id of the show.
    pub show_id: String,
    /// Seats in all.
    pub capacity: u64,
    /// Seats that are still on sale.
    pub available: u64,
    /// Seats of reserved tickets.
    pub held: u64,
    /// Seats of confirmed tickets.
    pub sold: u64,
    /// Changes replayed.
    pub changes: u64,
    /// First verdicts.
    pub verdicts: AuditedVerdicts,
    /// Later orders decided before earlier ones of their class and process.
    pub inversions: u64,
    /// Broken promises, inversions included.
    pub violations: u64,
    /// The first violations, as text.
    pub examples: Vec<String>,
}

/// How often each verdict was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
pub struct AuditedVerdicts {
    /// Tickets that got seats.
    pub reserved: u64,
    /// Seats sold at once.
    pub confirmed: u64,
    /// Tickets that got no seats, by reason.
    pub rejected: AuditedRejections,
}

/// How often each reason was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
pub struct AuditedRejections {
    /// Too few seats were left.
    pub sold_out: u64,
    /// The user had too many.
    pub limit_exceeded: u64,
    /// Accepted outside of the sales window.
    pub sales_closed: u64,
    /// The user was gone.
    pub user_not_found: u64,
}

impl AuditedVerdicts {
    /// Orders that were decided.
    #[must_use]
    pub const fn total(&self) -> u64 {
        let rejected = &self.rejected;
        self.reserved
            + self.confirmed
            + rejected.sold_out
            + rejected.limit_exceeded
            + rejected.sales_closed
            + rejected.user_not_found
    }
}
