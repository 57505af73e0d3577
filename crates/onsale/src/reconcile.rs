//! What clients were told, beside what the service says it did. Only clients
//! know of an order that was accepted and then lost.

use std::collections::HashSet;

use uuid::Uuid;

use crate::sale::AuditedShow;

/// What the clients of a run know.
#[derive(Debug, Default)]
pub struct Told {
    /// Ids of orders that were answered `202`.
    pub accepted: Vec<Uuid>,
    /// Verdicts that were read back or can be told beforehand.
    pub reserved: u64,
    /// As above.
    pub confirmed: u64,
    /// As above.
    pub sold_out: u64,
    /// As above.
    pub limit_exceeded: u64,
    /// Tickets that were confirmed or cancelled later.
    pub changed: u64,
    /// Tickets that read as none of these.
    pub unexpected: u64,
}

/// Every difference, in words; empty when all is well.
#[must_use]
pub fn differences(told: &Told, audited: &AuditedShow, seats: u64) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, clients: u64, service: u64| {
        if clients != service {
            found.push(format!(
                "{what}: {clients} by the clients, {service} by the audit"
            ));
        }
    };
    let verdicts = audited.verdicts;
    let accepted = told.accepted.len() as u64;
    compare(
        "orders accepted and decided, and later changes",
        accepted + told.changed,
        audited.changes - 1,
    );
    compare("reserved", told.reserved, verdicts.reserved);
    compare("confirmed", told.confirmed, verdicts.confirmed);
    compare("sold out", told.sold_out, verdicts.rejected.sold_out);
    compare(
        "limit exceeded",
        told.limit_exceeded,
        verdicts.rejected.limit_exceeded,
    );
    let distinct = distinct(&told.accepted).len() as u64;
    if distinct != accepted {
        found.push(format!("{} ids were given twice", accepted - distinct));
    }
    if told.unexpected > 0 {
        found.push(format!("{} tickets have no such verdict", told.unexpected));
    }
    let expected = seats.min(accepted);
    if audited.sold > expected {
        found.push(format!("oversold: {} of {expected} seats", audited.sold));
    }
    if audited.sold < expected && told.limit_exceeded < accepted - expected {
        found.push(format!("undersold: {} of {expected} seats", audited.sold));
    }
    found
}

/// Accepted orders that have no verdict, and verdicts that no client was told
/// to expect, in words; empty when each has the other.
#[must_use]
pub fn unaccounted(accepted: &[Uuid], decided: &HashSet<Uuid>) -> Vec<String> {
    let accepted = distinct(accepted);
    let lost = accepted.difference(decided).count();
    let unknown = decided.difference(&accepted).count();
    let mut found = Vec::new();
    if lost > 0 {
        found.push(format!("{lost} accepted orders were never decided"));
    }
    if unknown > 0 {
        found.push(format!("{unknown} decided orders were never accepted"));
    }
    found
}

fn distinct(ids: &[Uuid]) -> HashSet<Uuid> {
    ids.iter().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sale::AuditedVerdicts;

    fn told() -> Told {
        Told {
            accepted: (0..5).map(Uuid::from_u128).collect(),
            confirmed: 2,
            sold_out: 2,
            limit_exceeded: 1,
            ..Told::default()
        }
    }

    fn audited() -> AuditedShow {
        serde_json::from_value(serde_json::json!({
            "show_id": "onsale", "sold": 2, "changes": 6,
            "verdicts": {"reserved": 0, "confirmed": 2, "rejected": {"sold_out": 2, "limit_exceeded": 1}}
        }))
        .unwrap()
    }

    #[test]
    fn agreement_has_no_differences() {
        assert_eq!(differences(&told(), &audited(), 2), Vec::<String>::new());
    }

    #[test]
    fn a_lost_order_is_found() {
        let mut told = told();
        told.accepted.push(Uuid::from_u128(9));
        assert_eq!(differences(&told, &audited(), 2).len(), 1);
    }

    #[test]
    fn an_id_given_twice_is_found() {
        let mut told = told();
        told.accepted[0] = told.accepted[1];
        let found = differences(&told, &audited(), 2);
        assert_eq!(found, ["1 ids were given twice"]);
    }

    #[test]
    fn too_many_and_too_few_seats_are_found() {
        let over = differences(&told(), &audited(), 1);
        assert_eq!(over, ["oversold: 2 of 1 seats"]);
        let under = differences(&told(), &audited(), 3);
        assert_eq!(under, ["undersold: 2 of 3 seats"]);
    }

    #[test]
    fn a_verdict_that_was_told_otherwise_is_found() {
        let mut audited = audited();
        audited.verdicts = AuditedVerdicts {
            confirmed: 3,
            ..audited.verdicts
        };
        assert_eq!(differences(&told(), &audited, 2).len(), 1);
        let mut told = told();
        told.unexpected = 1;
        assert_eq!(differences(&told, &self::audited(), 2).len(), 1);
    }
    #[test]
    fn a_change_that_nobody_asked_for_is_found() {
        let mut audited = audited();
        audited.changes += 1;
        assert_eq!(differences(&told(), &audited, 2).len(), 1);
        let mut told = told();
        told.changed = 1;
        assert_eq!(differences(&told, &audited, 2), Vec::<String>::new());
    }

    #[test]
    fn orders_without_a_verdict_and_the_reverse_are_found() {
        let ids = [1, 2, 3].map(Uuid::from_u128);
        assert!(unaccounted(&ids, &HashSet::from(ids)).is_empty());
        let found = unaccounted(&ids[..2], &HashSet::from([ids[2], ids[0]]));
        assert_eq!(
            found,
            [
                "1 accepted orders were never decided",
                "1 decided orders were never accepted"
            ]
        );
    }
}
