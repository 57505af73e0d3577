//! What the store has committed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use domain::ids::{ShowId, UserId};
use domain::journal::JournalEntry;
use domain::order::Order;
use domain::receipt::TicketId;
use domain::rule::{BatchShow, BatchState, ShowLedger, ShowSaved, open_show};
use domain::show::{SeatCounts, Show, ShowStanding};
use domain::ticket::{Status, Ticket};
use domain::time::Timestamp;
use domain::user::User;
use tokio::time::Instant;

use super::claims::Claims;
use crate::course::Course;
use crate::mistake::Mistake;
use crate::plan::Plan;

/// Everything in it.
pub(crate) struct Tables {
    pub(crate) users: BTreeMap<UserId, User>,
    pub(crate) shows: BTreeMap<ShowId, ShowRow>,
    pub(crate) tickets: BTreeMap<TicketId, TicketRow>,
    pub(super) claims: Claims,
    pub(crate) is_down_until: Instant,
    pub(crate) poison_is_cured: bool,
}

pub(crate) struct ShowRow {
    pub(crate) show: Show,
    pub(crate) seats: SeatCounts,
    pub(crate) seq: u64,
    pub(super) lock: Arc<tokio::sync::Mutex<()>>,
    pub(super) history: Vec<(u64, Step)>,
    /// The highest number of a claim that decided something of it.
    pub(super) latest_claim: u64,
    /// The latest time of a change.
    pub(super) latest: Timestamp,
    /// The true time when the latest state without any seat ended.
    pub(super) was_sold_out_until: Option<Timestamp>,
    /// The seats after each commit.
    pub(crate) committed: BTreeMap<u64, SeatCounts>,
}

pub(super) enum Step {
    Decided(TicketId),
    Changed(JournalEntry),
}

pub(crate) struct TicketRow {
    pub(crate) ticket: Ticket,
    /// By version, from 1.
    pub(crate) statuses: Vec<Status>,
}

impl ShowRow {
    /// Whether no seat is left and none can come back by the end of a hold.
    pub(super) const fn is_sold_out(&self) -> bool {
        self.seats.available == 0 && self.seats.held == 0
    }

    /// Whether there was a moment without any seat since then.
    pub(crate) fn was_sold_out_since(&self, then: Timestamp) -> bool {
        self.is_sold_out() || self.was_sold_out_until.is_some_and(|until| until >= then)
    }

    pub(super) fn ledger(&self) -> ShowLedger {
        let terms = self.show.terms.clone();
        ShowLedger::restore(self.show.id.clone(), terms, self.seats, self.seq).unwrap()
    }

    pub(super) fn standing(&self) -> ShowStanding {
        ShowStanding {
            show: self.show.clone(),
            seats: self.seats,
            seq: self.seq,
        }
    }
}

impl Tables {
    pub(crate) fn new(plan: &Plan, start: Timestamp) -> Self {
        let users = plan.users.iter().cloned();
        let open = |show: &Show| {
            let ShowSaved {
                show,
                ledger,
                entry,
            } = open_show(show.clone(), start);
            let opened = entry.map(|entry| (entry.seq, Step::Changed(entry)));
            ShowRow {
                show,
                seats: ledger.seats(),
                seq: ledger.seq(),
                lock: Arc::default(),
                history: opened.into_iter().collect(),
                latest_claim: 0,
                latest: start,
                was_sold_out_until: None,
                committed: BTreeMap::from([(ledger.seq(), ledger.seats())]),
            }
        };
        Self {
            users: users.map(|user| (user.id.clone(), user)).collect(),
            shows: plan
                .shows
                .iter()
                .map(|show| (show.id.clone(), open(show)))
                .collect(),
            tickets: BTreeMap::new(),
            claims: Claims::default(),
            is_down_until: Instant::now(),
            poison_is_cured: false,
        }
    }

    pub(super) fn ticket(&self, id: TicketId) -> Option<&Ticket> {
        self.tickets.get(&id).map(|row| &row.ticket)
    }

    fn tickets_of<'a>(&'a self, show: &'a ShowId) -> impl Iterator<Item = &'a Ticket> {
        let tickets = self.tickets.values().map(|row| &row.ticket);
        tickets.filter(move |ticket| ticket.order.show_id == *show)
    }

    pub(super) fn due_holds(&self, show: &ShowId, now: Timestamp) -> Vec<Ticket> {
        let due = self.tickets_of(show).filter(|ticket| ticket.is_due(now));
        let mut due: Vec<_> = due.cloned().collect();
        due.sort_by_key(|ticket| (ticket.hold_expires_at(), ticket.order.ticket_id));
        due
    }

    fn live_seats(&self, show: &ShowId, user: &UserId) -> u32 {
        self.tickets_of(show)
            .filter(|ticket| ticket.order.user_id == *user && ticket.status.is_live())
            .map(|ticket| ticket.order.quantity.seats())
            .sum()
    }

    pub(super) fn load_batch(
        &self,
        course: &Course,
        orders: &[Order],
        now: Timestamp,
    ) -> BatchState {
        let mut state = BatchState::default();
        for order in orders {
            if let Some(ticket) = self.ticket(order.ticket_id)
                && !course.has(Mistake::NoReplayCheck)
            {
                state.known.insert(order.ticket_id, ticket.clone());
            }
            let id = &order.show_id;
            let Some(row) = self.shows.get(id) else {
                continue;
            };
            let show = state.shows.entry(id.clone()).or_insert_with(|| BatchShow {
                ledger: row.ledger(),
                live_seats: HashMap::new(),
                due_holds: if course.has(Mistake::DecidesWithoutReleasing) {
                    Vec::new()
                } else {
                    self.due_holds(id, now)
                },
            });
            let user = &order.user_id;
            if self.users.contains_key(user) {
                let seats = self.live_seats(id, user);
                show.live_seats.insert(user.clone(), seats);
            }
        }
        state
    }

    pub(crate) fn has_holds(&self) -> bool {
        let mut tickets = self.tickets.values();
        tickets.any(|row| row.ticket.status == Status::Reserved)
    }
}
