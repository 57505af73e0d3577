//! The newest states that this process has told or heard of, for as long as a cache may say
//! something older.

use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::ids::ShowId;
use domain::receipt::TicketId;
use domain::show::{SeatCounts, ShowSeats, ShowStanding};
use domain::ticket::{Status, Ticket};
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::Mutex;

/// Tickets, and shows, that are remembered at a time.
const MAX: u64 = 100_000;

/// Of a ticket in its first version nothing can be older, so that is not remembered.
pub(crate) struct Newest {
    tickets: Cache<TicketId, Arc<Ticket>>,
    shows: Cache<ShowId, KnownShow>,
    lossy_until: LossyUntil,
}

/// Something was forgotten too early, which matters until then.
type LossyUntil = Arc<Mutex<Option<Instant>>>;

/// What is known of a show.
#[derive(Debug, Clone, Copy, Default)]
struct KnownShow {
    /// Its newest seats, and their number.
    seats: SeatCounts,
    seq: u64,
    /// The highest number of those standings that were read as a whole: no announcement has the
    /// terms, so they may be as old as that.
    read: u64,
    /// The number that the next answer has at least, because a ticket tells of that change.
    at_least: u64,
}

impl Newest {
    /// Remembers what it is given for so long.
    pub(crate) fn new(time: Duration) -> Self {
        Self::of(MAX, time)
    }

    fn of(max: u64, time: Duration) -> Self {
        let lossy_until = LossyUntil::default();
        Self {
            tickets: remembering(max, time, &lossy_until),
            shows: remembering(max, time, &lossy_until),
            lossy_until,
        }
    }

    /// Whether a cache must not be believed, because there is too much to remember.
    pub(crate) fn is_lossy(&self) -> bool {
        let until = *self.lossy_until.lock();
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Takes note of a ticket, and returns the newest that is known of it.
    pub(crate) fn ticket(&self, ticket: Ticket) -> Ticket {
        let id = ticket.order.ticket_id;
        if ticket.version == 1 {
            let known = self.tickets.get(&id);
            return known.map_or(ticket, Arc::unwrap_or_clone);
        }
        let newest = self.tickets.entry(id).and_upsert_with(|known| match known {
            Some(known) if known.value().version > ticket.version => known.into_value(),
            _ => Arc::new(ticket),
        });
        Arc::unwrap_or_clone(newest.into_value())
    }

    /// The next answer about the ticket's show has to have the change that the store told of
    /// with this ticket.
    pub(crate) fn see_in_show(&self, ticket: &Ticket) {
        let id = &ticket.order.show_id;
        let known = self.shows.get(id).unwrap_or_default();
        let is_news = || !self.tickets.contains_key(&ticket.order.ticket_id);
        let at_least = match ticket.status {
            // Its number is not told: the next one that is not known here yet.
            Status::Expired if known.seq > 0 && is_news() => known.seq.saturating_add(1),
            _ => ticket.decision_seq.unwrap_or_default(),
        };
        if at_least > known.seq {
            self.learn(id, |known| known.at_least = known.at_least.max(at_least));
        }
    }

    /// Takes note of a show's seats.
    pub(crate) fn seats(&self, seats: &ShowSeats) {
        self.learn(&seats.show_id, |known| known.note(seats.seats, seats.seq));
    }

    /// Takes note of a show as it was read.
    pub(crate) fn standing(&self, standing: &ShowStanding) {
        self.learn(&standing.show.id, |known| {
            known.read = known.read.max(standing.seq);
            // If the number was a guess, it is answered now.
            known.at_least = known.at_least.min(standing.seq);
            known.note(standing.seats, standing.seq);
        });
    }

    /// The standing with the newest seats; `None` if more than its seats is too old.
    pub(crate) fn completed(&self, mut standing: ShowStanding) -> Option<ShowStanding> {
        let known = self.shows.get(&standing.show.id).unwrap_or_default();
        if standing.seq < known.read {
            return None;
        }
        if standing.seq < known.seq {
            standing.seats = known.seats;
            standing.seq = known.seq;
        }
        let capacity = u64::from(standing.show.terms.capacity.seats());
        let is_current = standing.seq >= known.at_least && standing.seats.total() == capacity;
        is_current.then_some(standing)
    }

    fn learn(&self, id: &ShowId, what: impl FnOnce(&mut KnownShow)) {
        self.shows.entry_by_ref(id).and_upsert_with(|known| {
            let mut known = known.map(moka::Entry::into_value).unwrap_or_default();
            what(&mut known);
            known
        });
    }
}

impl KnownShow {
    fn note(&mut self, seats: SeatCounts, seq: u64) {
        if seq > self.seq {
            (self.seats, self.seq) = (seats, seq);
        }
    }
}

fn remembering<K, V>(max: u64, time: Duration, lossy_until: &LossyUntil) -> Cache<K, V>
where
    K: Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    let lossy_until = Arc::clone(lossy_until);
    Cache::builder()
        .max_capacity(max)
        .time_to_live(time)
        .eviction_policy(EvictionPolicy::lru())
        .eviction_listener(move |_, _, cause| {
            if cause == RemovalCause::Size {
                *lossy_until.lock() = Some(Instant::now() + time);
            }
        })
        .build()
}

#[cfg(test)]
mod tests {
    use domain::ticket::Verdict;
    use port_contracts::fixtures::{OrderSource, start};

    use super::*;

    #[test]
    fn no_cache_is_believed_when_there_is_more_to_remember_than_room() {
        let newest = Newest::of(10, Duration::from_secs(600));
        let source = OrderSource::new(1);
        for number in 1..=100 {
            let ticket = Ticket {
                order: source.order("a", "1"),
                verdict: Verdict::Confirmed,
                decided_at: start(),
                decision_seq: Some(1),
                status: Status::Confirmed,
                version: 2,
            };
            newest.ticket(ticket);
            newest.tickets.run_pending_tasks();
            assert_eq!(newest.is_lossy(), number > 10, "{number}");
        }
    }
}
