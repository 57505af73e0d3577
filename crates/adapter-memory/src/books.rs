//! What the ledger has committed. It only loads and saves; what changes and
//! how is said by [`domain::rule`].

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use domain::author::Author;
use domain::ids::{ShowId, UserId};
use domain::journal::{Change, HistoryEntry, JournalEntry};
use domain::order::Order;
use domain::ports::TermsSet;
use domain::receipt::TicketId;
use domain::rule::{
    BatchShow, BatchState, Changes, ShowLedger, ShowSaved, TicketChange, TicketsState,
};
use domain::show::{Show, ShowStanding};
use domain::ticket::Ticket;
use domain::time::Timestamp;

#[derive(Default)]
pub(crate) struct Books {
    shows: BTreeMap<ShowId, ShowBook>,
    tickets: HashMap<TicketId, Ticket>,
    /// By `requested_at`, then id.
    of_user: HashMap<UserId, Vec<(Timestamp, TicketId)>>,
}

/// One show.
pub(crate) struct ShowBook {
    /// Title and terms, as look-ups share them.
    pub(crate) show: Arc<Show>,
    pub(crate) ledger: ShowLedger,
    /// Reserved and confirmed seats of those who have any.
    live_seats: HashMap<UserId, u32>,
    /// Reserved tickets by the end of their hold.
    holds: BTreeSet<(Timestamp, TicketId)>,
    /// The change with the number n is at n - 1.
    history: Vec<Step>,
    /// All terms that it had, in sequence.
    pub(crate) terms: Vec<TermsSet>,
}

enum Step {
    Decided(TicketId),
    /// Boxed, because it is several times as large as the common step.
    Changed(Box<JournalEntry>),
}

impl ShowBook {
    pub(crate) fn standing(&self) -> ShowStanding {
        ShowStanding {
            show: Show::clone(&self.show),
            seats: self.ledger.seats(),
            seq: self.ledger.seq(),
        }
    }

    /// Tickets whose hold is over at `now`, the longest first.
    pub(crate) fn due_holds(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, TicketId)> {
        self.holds
            .iter()
            .copied()
            .take_while(move |(expires, _)| *expires <= now)
    }

    /// Follows a ticket from what it was before (`None`: undecided) to what it is now.
    fn follow(&mut self, before: Option<&Ticket>, ticket: &Ticket) {
        let id = ticket.order.ticket_id;
        if let Some(expires) = before.and_then(Ticket::hold_expires_at) {
            self.holds.remove(&(expires, id));
        }
        if let Some(expires) = ticket.hold_expires_at() {
            self.holds.insert((expires, id));
        }
    }
}

impl Books {
    pub(crate) fn show(&self, id: &ShowId) -> Option<&ShowBook> {
        self.shows.get(id)
    }

    pub(crate) fn shows_after(&self, after: Bound<&ShowId>) -> impl Iterator<Item = &ShowBook> {
        self.shows
            .range::<ShowId, _>((after, Bound::Unbounded))
            .map(|(_, book)| book)
    }

    pub(crate) fn ticket(&self, id: TicketId) -> Option<&Ticket> {
        self.tickets.get(&id)
    }

    /// A user's tickets before `before`, the latest first.
    pub(crate) fn tickets_of(
        &self,
        user: &UserId,
        before: Option<(Timestamp, TicketId)>,
    ) -> impl Iterator<Item = &Ticket> {
        let all = self.of_user.get(user).map_or(&[][..], Vec::as_slice);
        let end = before.map_or(all.len(), |before| {
            all.partition_point(|place| *place < before)
        });
        all[..end]
            .iter()
            .rev()
            .filter_map(|(_, id)| self.tickets.get(id))
    }

    /// The changes of a show with numbers greater than `after_seq`, in sequence.
    pub(crate) fn history(
        &self,
        show: &ShowId,
        after_seq: u64,
    ) -> impl Iterator<Item = HistoryEntry> {
        let after = usize::try_from(after_seq).unwrap_or(usize::MAX);
        self.shows
            .get(show)
            .and_then(|book| book.history.get(after..))
            .unwrap_or_default()
            .iter()
            .filter_map(|step| match step {
                Step::Decided(id) => self.tickets.get(id).cloned().map(HistoryEntry::Decided),
                Step::Changed(entry) => Some(HistoryEntry::Changed(JournalEntry::clone(entry))),
            })
    }

    /// All that the rule needs to decide `orders`.
    pub(crate) fn load_batch(
        &self,
        orders: &[Order],
        user_exists: impl Fn(&UserId) -> bool,
        now: Timestamp,
    ) -> BatchState {
        let mut state = BatchState::default();
        for order in orders {
            if let Some(ticket) = self.tickets.get(&order.ticket_id) {
                state.known.insert(order.ticket_id, ticket.clone());
            }
            let Some(book) = self.shows.get(&order.show_id) else {
                continue;
            };
            let show = state
                .shows
                .entry(order.show_id.clone())
                .or_insert_with(|| BatchShow {
                    ledger: book.ledger.clone(),
                    live_seats: HashMap::new(),
                    due_holds: book
                        .due_holds(now)
                        .filter_map(|(_, id)| self.tickets.get(&id).cloned())
                        .collect(),
                });
            if user_exists(&order.user_id) {
                let live = book.live_seats.get(&order.user_id);
                show.live_seats
                    .insert(order.user_id.clone(), live.copied().unwrap_or_default());
            }
        }
        state
    }

    /// Those of the tickets that are there, and their shows.
    pub(crate) fn load_tickets(&self, ids: impl Iterator<Item = TicketId>) -> TicketsState {
        let mut state = TicketsState::default();
        for ticket in ids.filter_map(|id| self.tickets.get(&id)) {
            let show = &ticket.order.show_id;
            if !state.shows.contains_key(show)
                && let Some(book) = self.shows.get(show)
            {
                state.shows.insert(show.clone(), book.ledger.clone());
            }
            state.tickets.insert(ticket.order.ticket_id, ticket.clone());
        }
        state
    }

    /// Saves all that the rule said.
    pub(crate) fn save(&mut self, changes: &Changes<'_>) {
        for change in changes.changed {
            self.change_ticket(change);
        }
        for ticket in &changes.decided {
            self.add_ticket((*ticket).clone());
        }
        for ((show, user), seats) in changes.live_seats() {
            self.add_live_seats(show, user, seats);
        }
        for ledger in &changes.shows {
            self.set_ledger((*ledger).clone());
        }
    }

    /// Saves a show that was put on sale or changed.
    pub(crate) fn save_show(&mut self, saved: ShowSaved, by: Option<&Author>) {
        let ShowSaved {
            show,
            ledger,
            entry,
        } = saved;
        let id = show.id.clone();
        let show = Arc::new(show);
        let book = match self.shows.entry(id) {
            Entry::Occupied(place) => {
                let book = place.into_mut();
                (book.show, book.ledger) = (show, ledger);
                book
            }
            Entry::Vacant(place) => place.insert(ShowBook {
                show,
                ledger,
                live_seats: HashMap::new(),
                holds: BTreeSet::new(),
                history: Vec::new(),
                terms: Vec::new(),
            }),
        };
        let Some(entry) = entry else { return };
        if let Change::TermsSet(terms) = &entry.change {
            book.terms.push(TermsSet {
                seq: entry.seq,
                at: entry.at,
                terms: terms.clone(),
                by: by.cloned(),
            });
        }
        book.history.push(Step::Changed(Box::new(entry)));
    }

    /// Gives an author another name. Returns whether there was one.
    pub(crate) fn rename_author(&mut self, from: &Author, to: &Author) -> bool {
        let terms = self.shows.values_mut().flat_map(|book| &mut book.terms);
        let authors = terms.filter_map(|terms| terms.by.as_mut());
        let mut renamed = false;
        for author in authors.filter(|author| *author == from) {
            *author = to.clone();
            renamed = true;
        }
        renamed
    }

    /// Saves a first verdict.
    fn add_ticket(&mut self, mut ticket: Ticket) {
        ticket.order.trace = None;
        let id = ticket.order.ticket_id;
        if let Some(seq) = ticket.decision_seq
            && let Some(book) = self.shows.get_mut(&ticket.order.show_id)
        {
            book.follow(None, &ticket);
            book.history.push(Step::Decided(id));
            debug_assert_eq!(book.history.len() as u64, seq);
        }
        let of_user = self
            .of_user
            .entry(ticket.order.user_id.clone())
            .or_default();
        let place = (ticket.order.requested_at, id);
        // Nearly always at the end, because orders are decided as they come.
        of_user.insert(of_user.partition_point(|other| *other < place), place);
        self.tickets.insert(id, ticket);
    }

    /// Puts another user in place of this one. Returns the number of tickets.
    pub(crate) fn change_holder(&mut self, user: &UserId, to: &UserId) -> u64 {
        let places = self.of_user.remove(user).unwrap_or_default();
        let mut count = 0;
        for (_, id) in &places {
            if let Some(ticket) = self.tickets.get_mut(id) {
                ticket.order.user_id = to.clone();
                count += 1;
            }
        }
        for book in self.shows.values_mut() {
            if let Some(seats) = book.live_seats.remove(user) {
                *book.live_seats.entry(to.clone()).or_default() += seats;
            }
        }
        let of_other = self.of_user.entry(to.clone()).or_default();
        of_other.extend(places);
        of_other.sort_unstable();
        count
    }

    /// Saves a change of a decided ticket with its step of the history.
    fn change_ticket(&mut self, change: &TicketChange) {
        let TicketChange {
            before,
            after,
            entry,
        } = change;
        self.tickets.insert(after.order.ticket_id, after.clone());
        if let Some(book) = self.shows.get_mut(&entry.show_id) {
            book.follow(Some(before), after);
            book.history.push(Step::Changed(Box::new(entry.clone())));
        }
    }

    /// Adds to the live seats of a user, or takes away.
    fn add_live_seats(&mut self, show: &ShowId, user: &UserId, seats: i64) {
        if let Some(book) = self.shows.get_mut(show) {
            let live = book.live_seats.entry(user.clone()).or_default();
            *live = u32::try_from(i64::from(*live) + seats).unwrap_or_default();
            if *live == 0 {
                book.live_seats.remove(user);
            }
        }
    }

    /// Saves a show's new counters.
    fn set_ledger(&mut self, ledger: ShowLedger) {
        if let Some(book) = self.shows.get_mut(ledger.show_id()) {
            debug_assert_eq!(book.history.len() as u64, ledger.seq());
            book.ledger = ledger;
        }
    }
}
