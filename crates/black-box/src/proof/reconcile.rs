//! Finds every difference between what clients were told and what happened.

mod shows;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use uuid::Uuid;

use super::evidence::{Evidence, Read};
use super::findings::{Findings, Kind, MAX_EXAMPLES};
use super::order::{Intent, Reader};
use super::ticket::{State, StoredTicket};
use super::told::{Answer, ChangeAnswer, NEVER, Told};

/// Finds every difference between what clients heard and what the store has.
#[must_use]
pub fn reconcile(evidence: &Evidence<'_>) -> Findings {
    let mut proof = Proof {
        evidence,
        found: Findings::default(),
        by_id: evidence
            .stored
            .iter()
            .map(|ticket| (ticket.id, ticket))
            .collect(),
    };
    let (count, words) = evidence.contradictions;
    for word in words.iter().take(MAX_EXAMPLES) {
        proof.found.add(Kind::Contradictions, || word.clone());
    }
    let rest = count.saturating_sub(words.len().min(MAX_EXAMPLES) as u64);
    proof
        .found
        .add_many(Kind::Contradictions, rest, || "and more answers".to_owned());
    proof.match_orders_and_tickets();
    for (order, told) in evidence.told.iter().enumerate() {
        proof.check_order(order, told);
    }
    let mut found = proof.found;
    shows::check(&mut found, evidence);
    if let Some(history) = evidence.history {
        shows::check_history(&mut found, evidence, history);
    }
    found
}

struct Proof<'a> {
    evidence: &'a Evidence<'a>,
    found: Findings,
    by_id: HashMap<Uuid, &'a StoredTicket>,
}

impl Proof<'_> {
    /// Every ticket is that of one order, and every order has at most one.
    fn match_orders_and_tickets(&mut self) {
        let Evidence {
            plan, told, stored, ..
        } = self.evidence;
        let mut named: HashMap<Uuid, usize> = HashMap::with_capacity(told.len());
        for (order, told) in told.iter().enumerate() {
            let Some(id) = told.ticket else { continue };
            if let Some(other) = named.insert(id, order) {
                self.found.add(Kind::Duplicated, || {
                    format!("orders {other} and {order} were given one id, {id}")
                });
            }
        }
        if stored.len() != self.by_id.len() {
            let more = (stored.len() - self.by_id.len()) as u64;
            self.found.add_many(Kind::Duplicated, more, || {
                "ids that are stored twice".to_owned()
            });
        }
        // Orders of which no client knows whether they exist, by what they ask for.
        let mut doubtful: HashMap<(u32, u32, u32), u64> = HashMap::new();
        for (order, told) in plan.iter().zip(told.iter()) {
            if told.uncertain && told.ticket.is_none() {
                let wanted = (order.user, order.show, order.quantity);
                *doubtful.entry(wanted).or_default() += 1;
            }
        }
        for ticket in stored
            .iter()
            .filter(|ticket| !named.contains_key(&ticket.id))
        {
            let wanted = (ticket.user, ticket.show, ticket.quantity);
            match doubtful.get_mut(&wanted) {
                Some(left) if *left > 0 => *left -= 1,
                _ => self.found.add(Kind::Duplicated, || {
                    format!("ticket {} was decided, and no client placed it", ticket.id)
                }),
            }
        }
    }

    fn check_order(&mut self, order: usize, told: &Told) {
        let planned = &self.evidence.plan[order];
        let Some(id) = told.ticket else {
            return;
        };
        let Some(ticket) = self.by_id.get(&id).copied() else {
            if told.answer == Answer::Accepted && self.evidence.read != Read::None {
                self.found.add(Kind::Lost, || {
                    format!("order {order}: ticket {id} has no verdict")
                });
            }
            return;
        };
        let mut contradicts = |what: String| {
            self.found.add(Kind::Contradictions, || {
                format!("order {order}, ticket {id}: {what}")
            });
        };
        let wanted = (planned.user, planned.show, planned.quantity);
        if (ticket.user, ticket.show, ticket.quantity) != wanted {
            contradicts("the ticket is that of another order".to_owned());
        }
        for state in told.states.iter() {
            if !ticket.may_have_been(state) {
                contradicts(format!(
                    "the client heard {state:?}, the store says {:?}, then {:?}",
                    ticket.verdict, ticket.state
                ));
            }
        }
        if let Some(what) = contradicting_change(planned.intent, told.change, ticket) {
            contradicts(what);
        }
        let is_missed = match planned.reader {
            Reader::WebSocket => told.subscribed && !told.notified.has(ticket.state),
            Reader::Poll => told.answer == Answer::Accepted && told.heard == NEVER,
            Reader::Absent => false,
        };
        if is_missed {
            self.found.add(Kind::NotNotified, || {
                format!(
                    "order {order}: its reader never heard that {id} is {:?}",
                    ticket.state
                )
            });
        }
    }
}

/// What is wrong between what a buyer asked of a hold, what it was told, and
/// what the store says.
fn contradicting_change(
    intent: Intent,
    change: ChangeAnswer,
    ticket: &StoredTicket,
) -> Option<String> {
    let wanted = match intent {
        Intent::Confirm => State::Confirmed,
        Intent::Cancel => State::Cancelled,
        Intent::Lapse => State::Expired,
    };
    let was_held = ticket.verdict == State::Reserved;
    let state = ticket.state;
    let is_right = match change {
        // Nobody but the buyer of the ticket changes it.
        ChangeAnswer::NotAsked => {
            !was_held || !matches!(state, State::Confirmed | State::Cancelled)
        }
        ChangeAnswer::Unknown => {
            !was_held || [wanted, State::Reserved, State::Expired].contains(&state)
        }
        ChangeAnswer::Done => state == wanted,
        ChangeAnswer::HoldExpired => was_held && matches!(state, State::Expired | State::Reserved),
        // A ticket that was heard of as reserved can only be refused for its end.
        ChangeAnswer::Refused => false,
    };
    (!is_right).then(|| format!("{intent:?} was answered {change:?}, and the ticket is {state:?}"))
}
