//! `tickets audit`: what the replay of all shows found, on the wire and for people.

use std::fmt;

use domain::audit::{ShowAudit, VerdictCounts};
use domain::ports::UnreadableShow;
use domain::ticket::RejectionReason;
use domain::use_cases::AuditedShows;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the replay of every show found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditReport {
    /// The audit of each show, sorted by id.
    pub shows: Vec<AuditedShow>,
    /// All broken promises.
    pub violations: u64,
}

/// What the replay of one show found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditedShow {
    /// The id of the show.
    pub show_id: String,
    /// Seats in all.
    pub capacity: u32,
    /// Seats that are still on sale.
    pub available: u32,
    /// Seats of reserved tickets.
    pub held: u32,
    /// Seats of confirmed tickets.
    pub sold: u32,
    /// Changes replayed.
    pub changes: u64,
    /// First verdicts, not what became of them.
    pub verdicts: AuditedVerdicts,
    /// Later orders decided before earlier ones of their class and process.
    pub inversions: u64,
    /// Broken promises, inversions included.
    pub violations: u64,
    /// The first violations, as text.
    pub examples: Vec<String>,
}

/// How often each verdict was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditedVerdicts {
    /// Tickets that got seats.
    pub reserved: u64,
    /// Seats sold at once.
    pub confirmed: u64,
    /// Tickets that got no seats, by reason.
    pub rejected: AuditedRejections,
}

/// How often each reason was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditedRejections {
    /// Too few seats were left.
    pub sold_out: u64,
    /// Rejections because the user already had the most seats that are allowed.
    pub limit_exceeded: u64,
    /// Accepted outside of the sales window.
    pub sales_closed: u64,
    /// Rejections because the user no longer existed.
    pub user_not_found: u64,
}

impl From<AuditedShows> for AuditReport {
    fn from(audited: AuditedShows) -> Self {
        let audits = audited.audits.into_iter().map(AuditedShow::from);
        let unreadable = audited.unreadable.into_iter().map(AuditedShow::from);
        let mut shows: Vec<_> = audits.chain(unreadable).collect();
        shows.sort_by(|one, other| one.show_id.cmp(&other.show_id));
        Self {
            violations: shows.iter().map(|show| show.violations).sum(),
            shows,
        }
    }
}

impl From<ShowAudit> for AuditedShow {
    fn from(audit: ShowAudit) -> Self {
        Self {
            show_id: audit.show_id.to_string(),
            capacity: audit.capacity,
            available: audit.seats.available,
            held: audit.seats.held,
            sold: audit.seats.sold,
            changes: audit.changes,
            verdicts: audit.verdicts.into(),
            inversions: audit.inversions,
            violations: audit.violations,
            examples: audit.examples.iter().map(ToString::to_string).collect(),
        }
    }
}

/// A show that cannot be read is a violation: an oversale could hide in it.
impl From<UnreadableShow> for AuditedShow {
    fn from(show: UnreadableShow) -> Self {
        Self {
            show_id: show.id,
            capacity: 0,
            available: 0,
            held: 0,
            sold: 0,
            changes: 0,
            verdicts: VerdictCounts::default().into(),
            inversions: 0,
            violations: 1,
            examples: vec![format!("nothing of it was audited: {}", show.why)],
        }
    }
}

impl From<VerdictCounts> for AuditedVerdicts {
    fn from(counts: VerdictCounts) -> Self {
        let rejected = |reason| counts.rejected_for(reason);
        Self {
            reserved: counts.reserved,
            confirmed: counts.confirmed,
            rejected: AuditedRejections {
                sold_out: rejected(RejectionReason::SoldOut),
                limit_exceeded: rejected(RejectionReason::LimitExceeded),
                sales_closed: rejected(RejectionReason::SalesClosed),
                user_not_found: rejected(RejectionReason::UserNotFound),
            },
        }
    }
}

/// A table, and below it what was found.
impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<24} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>10} {:>10}",
            "show",
            "capacity",
            "available",
            "held",
            "sold",
            "changes",
            "decided",
            "sold out",
            "limited",
            "inversions",
            "violations",
        )?;
        for show in &self.shows {
            let AuditedVerdicts {
                reserved,
                confirmed,
                rejected,
            } = show.verdicts;
            let decided = reserved
                + confirmed
                + rejected.sold_out
                + rejected.limit_exceeded
                + rejected.sales_closed
                + rejected.user_not_found;
            writeln!(
                f,
                "{:<24} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>10} {:>10}",
                show.show_id,
                show.capacity,
                show.available,
                show.held,
                show.sold,
                show.changes,
                decided,
                rejected.sold_out,
                rejected.limit_exceeded,
                show.inversions,
                show.violations,
            )?;
        }
        for show in &self.shows {
            for example in &show.examples {
                writeln!(f, "show {}: {example}", show.show_id)?;
            }
        }
        write!(
            f,
            "{} shows, {} violations",
            self.shows.len(),
            self.violations
        )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use adapter_memory::MemoryStore;
    use async_trait::async_trait;
    use domain::author::Author;
    use domain::ids::ShowId;
    use domain::ports::{CreateShowError, ShowRepository, ShowRepositoryError, TermsSet};
    use domain::show::{Show, ShowStanding};
    use domain::use_cases::audit_shows;
    use port_contracts::{ManualClock, fixtures};

    use super::*;

    /// A store with a row that is no show.
    struct Damaged(MemoryStore);

    #[async_trait]
    impl ShowRepository for Damaged {
        async fn find(&self, id: &ShowId) -> Result<Option<Arc<Show>>, ShowRepositoryError> {
            ShowRepository::find(&self.0, id).await
        }

        async fn standings(
            &self,
            ids: &[ShowId],
        ) -> Result<Vec<ShowStanding>, ShowRepositoryError> {
            self.0.standings(ids).await
        }

        async fn list(
            &self,
            after: Option<&ShowId>,
            limit: usize,
        ) -> Result<Vec<ShowStanding>, ShowRepositoryError> {
            ShowRepository::list(&self.0, after, limit).await
        }

        async fn unreadable(&self) -> Result<Vec<UnreadableShow>, ShowRepositoryError> {
            Ok(vec![UnreadableShow {
                id: "b".to_owned(),
                why: "max_per_user is 0".to_owned(),
            }])
        }

        async fn terms_history(
            &self,
            id: &ShowId,
            after_seq: u64,
            limit: usize,
        ) -> Result<Vec<TermsSet>, ShowRepositoryError> {
            self.0.terms_history(id, after_seq, limit).await
        }

        async fn create(
            &self,
            show: &Show,
            by: Option<&Author>,
        ) -> Result<ShowStanding, CreateShowError> {
            ShowRepository::create(&self.0, show, by).await
        }
    }

    #[tokio::test]
    async fn a_show_that_cannot_be_read_is_a_violation() {
        let clock = Arc::new(ManualClock::new(fixtures::start()));
        let store = Damaged(MemoryStore::new(clock));
        for show in ["a", "c"] {
            store.create(&fixtures::show(show, 5), None).await.unwrap();
        }
        let report = AuditReport::from(audit_shows(&store, &store.0).await.unwrap());
        let shows: Vec<_> = report
            .shows
            .iter()
            .map(|show| (show.show_id.as_str(), show.violations))
            .collect();
        assert_eq!(shows, [("a", 0), ("b", 1), ("c", 0)]);
        let table = report.to_string();
        assert!(
            table.contains("show b: ") && table.contains("max_per_user is 0"),
            "{table}"
        );
        assert!(table.ends_with("3 shows, 1 violations"), "{table}");
    }
}
