//! Orders of a benchmark, proven as those of a scenario are: figures of a run that lost
//! or invented an order mean nothing.

use anyhow::{bail, ensure};
use black_box::deployment::Deployment;
use black_box::proof::audit::{AuditReport, AuditedVerdicts};
use black_box::proof::evidence::{Evidence, Read};
use black_box::proof::history::History;
use black_box::proof::order::{Intent, PlannedOrder, Reader};
use black_box::proof::reconcile::reconcile;
use black_box::proof::ticket::StoredTicket;
use black_box::proof::told::{Answer, ChangeAnswer, Told};

use super::orders::{Accepted, names};

/// Orders that were accepted, and what their clients were told.
pub(super) struct Sold {
    plan: Vec<PlannedOrder>,
    pub(super) told: Vec<Told>,
}

impl Sold {
    pub(super) fn of(accepted: &[Accepted]) -> Self {
        let planned = accepted.iter().map(|order| PlannedOrder {
            at_micros: 0,
            user: order.user,
            show: order.show,
            quantity: 1,
            think_ms: 0,
            reader: Reader::Absent,
            intent: Intent::Lapse,
            keyed: false,
            repeated: false,
        });
        let told = accepted.iter().map(|order| Told {
            ticket: Some(order.ticket),
            answer: Answer::Accepted,
            sends: 1,
            ..Told::default()
        });
        Self {
            plan: planned.collect(),
            told: told.collect(),
        }
    }

    /// The buyers of the first `count` orders have confirmed their holds.
    pub(super) fn with_confirmed(mut self, count: usize) -> Self {
        let orders = self.plan.iter_mut().zip(&mut self.told);
        for (planned, told) in orders.take(count) {
            planned.intent = Intent::Confirm;
            told.change = ChangeAnswer::Done;
        }
        self
    }

    /// Compares with every ticket and change of the store, and with its audit, whose
    /// verdicts it counts.
    pub(super) async fn audit(
        &self,
        deployment: &Deployment,
        shows: u32,
    ) -> anyhow::Result<Expected> {
        let names = names();
        let tickets = deployment.database.stored_tickets(&names).await?;
        let journal = deployment.database.journal(&names).await?;
        let history = History::replay(&tickets, &journal);
        let audit = deployment.program.audit().await?;
        self.compare(&tickets, Some(&history), audit, shows)
    }

    /// The same, with these verdicts and no others.
    pub(super) async fn prove(
        &self,
        deployment: &Deployment,
        shows: u32,
        expected: &Expected,
    ) -> anyhow::Result<()> {
        expected.compare(&self.audit(deployment, shows).await?)
    }

    /// Compares with the audit alone, of one show.
    pub(super) fn prove_counts(
        &self,
        audit: AuditReport,
        expected: &Expected,
    ) -> anyhow::Result<()> {
        expected.compare(&self.compare(&[], None, audit, 1)?)
    }

    fn compare(
        &self,
        stored: &[StoredTicket],
        history: Option<&History>,
        audit: AuditReport,
        shows: u32,
    ) -> anyhow::Result<Expected> {
        let audited = audit.numbered(&names());
        let found = reconcile(&Evidence {
            plan: &self.plan,
            told: &self.told,
            contradictions: (0, &[]),
            stored,
            read: history.map_or(Read::None, |_| Read::All),
            history,
            audited: &audited,
            shows: &(0..shows).collect::<Vec<_>>(),
            // Holds go on when a benchmark is over.
            hold_seconds: 0,
            started_at: 0,
        });
        if found.total() > 0 {
            let words = found.examples();
            let words = words.map(|(kind, example)| format!("{}: {example}", kind.name()));
            bail!("{}", words.collect::<Vec<_>>().join("\n"));
        }
        let sum = |of: fn(&AuditedVerdicts) -> u64| {
            let counts = audited.iter().map(|(_, show)| of(&show.verdicts));
            counts.sum::<u64>()
        };
        Ok(Expected {
            reserved: sum(|verdicts| verdicts.reserved),
            confirmed: sum(|verdicts| verdicts.confirmed),
            sold_out: sum(|verdicts| verdicts.rejected.sold_out),
            limit_exceeded: sum(|verdicts| verdicts.rejected.limit_exceeded),
        })
    }
}

impl Expected {
    /// All of them sold at once.
    pub(super) fn confirmed(orders: u64) -> Self {
        Self {
            confirmed: orders,
            ..Self::default()
        }
    }

    fn compare(&self, counted: &Self) -> anyhow::Result<()> {
        ensure!(
            self == counted,
            "clients expect {self:?}, the audit counts {counted:?}"
        );
        Ok(())
    }
}

/// First verdicts, as clients can tell them beforehand, or as the audit counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Expected {
    pub(super) reserved: u64,
    pub(super) confirmed: u64,
    pub(super) sold_out: u64,
    pub(super) limit_exceeded: u64,
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn audit(changes: u64) -> AuditReport {
        let show = json!({"show_id": "onsale-s0", "capacity": 9, "available": 7, "held": 0,
            "sold": 2, "changes": changes, "inversions": 0, "violations": 0, "examples": [],
            "verdicts": {"reserved": 0, "confirmed": 2, "rejected":
                {"sold_out": 0, "limit_exceeded": 0, "sales_closed": 0, "user_not_found": 0}}});
        serde_json::from_value(json!({"shows": [show]})).unwrap()
    }

    #[test]
    fn accepted_orders_and_verdicts_must_be_as_many_and_as_expected() {
        let accepted = [1, 2, 3].map(|number| Accepted {
            user: 0,
            show: 0,
            ticket: Uuid::from_u128(number),
        });
        let sold = |count: usize| Sold::of(&accepted[..count]);
        let confirmed = Expected::confirmed(2);
        sold(2).prove_counts(audit(3), &confirmed).unwrap();
        let lost = sold(3).prove_counts(audit(3), &confirmed).unwrap_err();
        assert!(lost.to_string().starts_with("lost: "), "{lost}");
        let otherwise = sold(2).prove_counts(audit(3), &Expected::default());
        assert!(
            otherwise
                .unwrap_err()
                .to_string()
                .contains("clients expect")
        );
        sold(2).prove_counts(audit(4), &confirmed).unwrap_err();
        let twice = Sold::of(&[accepted[0], accepted[0]]);
        let twice = twice.prove_counts(audit(3), &confirmed).unwrap_err();
        assert!(twice.to_string().contains("were given one id"), "{twice}");
    }
}
