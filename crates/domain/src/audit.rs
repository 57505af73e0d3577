//! Replays a show's history and checks every step of it against the ledger's
//! promises. The checks are written anew, not by calling [`crate::rule`], so
//! that a mistake there shows here.

mod rejected;

use std::collections::HashMap;

use self::rejected::RejectedTickets;
use crate::ids::{ShowId, UserId};
use crate::journal::{Change, HistoryEntry, JournalEntry, SeatsFrom};
use crate::ports::{LedgerError, TicketLedger};
use crate::receipt::{ProcessId, TicketId};
use crate::show::{SeatCounts, ShowStanding, Terms};
use crate::ticket::{RejectionReason, Status, Ticket, Verdict};
use crate::time::Timestamp;
use crate::user::PriorityClass;

/// Steps read from the ledger at a time.
const PAGE: usize = 10_000;

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A change has not the next number.
    #[error("change {found} follows where {expected} was expected")]
    SeqGap {
        /// The next number.
        expected: u64,
        /// The number that was there.
        found: u64,
    },
    /// A step of the history cannot be read, so nothing is known of it.
    #[error("change {seq} cannot be read: {why}")]
    Unreadable {
        /// The change's number.
        seq: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The history does not start with the terms of sale.
    #[error("change {seq}: the show had no terms of sale yet")]
    NoTerms {
        /// The change's number.
        seq: u64,
    },
    /// A change took more seats from a counter than it had: oversold.
    #[error("change {seq}: {wanted} seats were taken from {counter}, which had {had}")]
    Overdrawn {
        /// The change's number.
        seq: u64,
        /// The counter's name.
        counter: &'static str,
        /// Seats taken.
        wanted: u32,
        /// Seats there were.
        had: u32,
    },
    /// The capacity fell below the seats that buyers had.
    #[error("change {seq}: the capacity fell below the held and sold seats")]
    CapacityBelowCommitted {
        /// The change's number.
        seq: u64,
    },
    /// An order was refused seats that there were: undersold.
    #[error("ticket {ticket}: rejected as sold_out while {available} seats were available")]
    WronglySoldOut {
        /// The ticket.
        ticket: TicketId,
        /// Seats there were at that moment.
        available: u32,
    },
    /// A user got more seats than the show allowed.
    #[error("ticket {ticket}: its user got {live} seats, of at most {max}")]
    LimitBroken {
        /// The ticket.
        ticket: TicketId,
        /// The user's seats with this ticket.
        live: u32,
        /// The limit of that moment.
        max: u32,
    },
    /// A user was refused although within the limit.
    #[error("ticket {ticket}: rejected as limit_exceeded, but {live} seats are within {max}")]
    WronglyLimited {
        /// The ticket.
        ticket: TicketId,
        /// The user's seats with this ticket.
        live: u32,
        /// The limit of that moment.
        max: u32,
    },
    /// The sales window was not applied to the order's time.
    #[error("ticket {ticket}: the sales window was not applied to its requested_at")]
    WindowIgnored {
        /// The ticket.
        ticket: TicketId,
    },
    /// An order got a confirmed ticket where the terms ask for a hold, or the
    /// other way round, or the hold has the wrong length.
    #[error("ticket {ticket}: its hold does not follow the terms of sale")]
    WrongHold {
        /// The ticket.
        ticket: TicketId,
    },
    /// A ticket has a rejection that its own existence contradicts.
    #[error("ticket {ticket}: rejected as {}, but has a place in the show's history", reason.as_str())]
    ImpossibleReason {
        /// The ticket.
        ticket: TicketId,
        /// The reason.
        reason: RejectionReason,
    },
    /// One ticket was decided twice.
    #[error("ticket {ticket}: decided twice")]
    DecidedTwice {
        /// The ticket.
        ticket: TicketId,
    },
    /// A ticket changed in a way that the state machine does not have.
    #[error("ticket {ticket}: change {seq} does not follow from its status {status}")]
    ImpossibleChange {
        /// The ticket.
        ticket: TicketId,
        /// The change's number.
        seq: u64,
        /// What the ticket was at that moment, or `unknown`.
        status: &'static str,
    },
    /// A hold was confirmed or cancelled after its end, or expired before it.
    #[error("ticket {ticket}: change {seq} is on the wrong side of the end of its hold")]
    HoldBoundary {
        /// The ticket.
        ticket: TicketId,
        /// The change's number.
        seq: u64,
    },
    /// A later order was decided before an earlier one.
    #[error(
        "ticket {ticket}: decided after an order that process {} accepted later, in class {}",
        process.get(), class.as_str()
    )]
    Inversion {
        /// The ticket that was overtaken.
        ticket: TicketId,
        /// Its class.
        class: PriorityClass,
        /// The accepting process.
        process: ProcessId,
    },
    /// The stored counters are not what the history leads to.
    #[error("the stored seats are {stored:?}, the history leads to {replayed:?}")]
    CountersDiffer {
        /// What the ledger says.
        stored: SeatCounts,
        /// What the replay says.
        replayed: SeatCounts,
    },
    /// The stored terms are not what the history leads to.
    #[error("the stored terms of sale are not those of the history")]
    TermsDiffer,
    /// A stored ticket's status is not what its history leads to.
    #[error("ticket {ticket}: stored as {stored}, its history leads to {replayed}")]
    StatusDiffers {
        /// The ticket.
        ticket: TicketId,
        /// What the ledger says.
        stored: &'static str,
        /// What the replay says.
        replayed: &'static str,
    },
}

/// How often each verdict was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VerdictCounts {
    /// Tickets that got seats.
    pub reserved: u64,
    /// Seats sold at once.
    pub confirmed: u64,
    /// Rejected, by reason, in the sequence of [`RejectionReason::ALL`].
    pub rejected: [u64; RejectionReason::ALL.len()],
}

impl VerdictCounts {
    /// How often an order was rejected for `reason`.
    #[must_use]
    pub fn rejected_for(&self, reason: RejectionReason) -> u64 {
        self.rejected[reason.index()]
    }

    /// How many verdicts there are, of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.reserved + self.confirmed + self.rejected.iter().sum::<u64>()
    }
}

/// What the replay of one show found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShowAudit {
    /// The id of the show.
    pub show_id: ShowId,
    /// The capacity at the end.
    pub capacity: u32,
    /// The seats at the end, as stored.
    pub seats: SeatCounts,
    /// The number of changes replayed.
    pub changes: u64,
    /// The verdicts among them.
    pub verdicts: VerdictCounts,
    /// Later orders decided before earlier ones.
    pub inversions: u64,
    /// All broken promises, inversions included.
    pub violations: u64,
    /// The first violations.
    pub examples: Vec<Violation>,
}

/// Examples kept per show.
const MAX_EXAMPLES: usize = 20;

/// Replays one show up to the state that `standing` was read in; what happens
/// meanwhile does not disturb it.
///
/// # Errors
/// [`LedgerError`] when the ledger did not answer.
pub async fn audit_show(
    ledger: &dyn TicketLedger,
    standing: &ShowStanding,
) -> Result<ShowAudit, LedgerError> {
    let mut replay = Replay::of(standing.seq);
    read(ledger, standing, |entry| replay.step(entry)).await?;
    if replay.rejected.has_suspects() {
        let count = |entry| {
            if let HistoryEntry::Decided(ticket) = entry {
                replay.rejected.count(ticket.order.ticket_id);
            }
        };
        read(ledger, standing, count).await?;
    }
    Ok(replay.finish(standing))
}

/// Reads the history up to the state that `standing` was read in.
async fn read(
    ledger: &dyn TicketLedger,
    standing: &ShowStanding,
    mut each: impl FnMut(HistoryEntry),
) -> Result<(), LedgerError> {
    let mut after = 0;
    while after < standing.seq {
        let page = ledger.history(&standing.show.id, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq();
        for entry in page {
            if entry.seq() <= standing.seq {
                each(entry);
            }
        }
    }
    Ok(())
}

/// A ticket that got seats: as many as the show has, and those that came back.
struct ReplayedTicket {
    user: UserId,
    seats: u32,
    /// `None` for one without a hold.
    hold_expires_at: Option<Timestamp>,
    status: Status,
    version: u32,
    stored_status: Status,
    stored_version: u32,
}

struct Replay {
    terms: Option<Terms>,
    seats: SeatCounts,
    seq: u64,
    live: HashMap<UserId, u32>,
    tickets: HashMap<TicketId, ReplayedTicket>,
    /// There may be hundreds for each seat, so they are not kept.
    rejected: RejectedTickets,
    latest: HashMap<(PriorityClass, ProcessId), Timestamp>,
    verdicts: VerdictCounts,
    inversions: u64,
    violations: u64,
    examples: Vec<Violation>,
}

impl Replay {
    fn of(changes: u64) -> Self {
        Self {
            terms: None,
            seats: SeatCounts::default(),
            seq: 0,
            live: HashMap::new(),
            tickets: HashMap::new(),
            rejected: RejectedTickets::among(changes),
            latest: HashMap::new(),
            verdicts: VerdictCounts::default(),
            inversions: 0,
            violations: 0,
            examples: Vec::new(),
        }
    }

    fn report(&mut self, violation: Violation) {
        self.violations += 1;
        if matches!(violation, Violation::Inversion { .. }) {
            self.inversions += 1;
        }
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.push(violation);
        }
    }

    fn step(&mut self, entry: HistoryEntry) {
        let found = entry.seq();
        let expected = self.seq + 1;
        if found != expected {
            self.report(Violation::SeqGap { expected, found });
        }
        self.seq = found;
        match entry {
            HistoryEntry::Decided(ticket) => self.decision(ticket),
            HistoryEntry::Changed(entry) => self.change(entry),
            HistoryEntry::Unreadable { seq, why } => {
                self.report(Violation::Unreadable { seq, why });
            }
        }
    }

    fn decision(&mut self, ticket: Ticket) {
        let Some(terms) = self.terms.clone() else {
            self.report(Violation::NoTerms { seq: self.seq });
            return;
        };
        self.check_sequence(&ticket);
        let live = self
            .live
            .get(&ticket.order.user_id)
            .copied()
            .unwrap_or_default()
            .saturating_add(ticket.order.quantity.seats());
        match ticket.verdict {
            Verdict::Rejected(reason) => self.rejected(&ticket, reason, &terms, live),
            Verdict::Reserved { .. } | Verdict::Confirmed => self.seated(ticket, &terms, live),
        }
    }

    /// `live` are the seats that the user would have with it.
    fn rejected(&mut self, ticket: &Ticket, reason: RejectionReason, terms: &Terms, live: u32) {
        let id = ticket.order.ticket_id;
        let max = terms.max_per_user.get();
        self.remember_rejected(ticket);
        self.verdicts.rejected[reason.index()] += 1;
        match reason {
            RejectionReason::SoldOut if ticket.order.quantity.seats() <= self.seats.available => {
                let available = self.seats.available;
                self.report(Violation::WronglySoldOut {
                    ticket: id,
                    available,
                });
            }
            RejectionReason::LimitExceeded if live <= max => {
                self.report(Violation::WronglyLimited {
                    ticket: id,
                    live,
                    max,
                });
            }
            RejectionReason::SalesClosed if terms.window.contains(ticket.order.requested_at) => {
                self.report(Violation::WindowIgnored { ticket: id });
            }
            RejectionReason::ShowNotFound => {
                self.report(Violation::ImpossibleReason { ticket: id, reason });
            }
            RejectionReason::SoldOut
            | RejectionReason::LimitExceeded
            | RejectionReason::SalesClosed
            | RejectionReason::UserNotFound => {}
        }
    }

    /// `live` are the seats that the user has with it.
    fn seated(&mut self, ticket: Ticket, terms: &Terms, live: u32) {
        let id = ticket.order.ticket_id;
        let seats = ticket.order.quantity.seats();
        let max = terms.max_per_user.get();
        if !terms.window.contains(ticket.order.requested_at) {
            self.report(Violation::WindowIgnored { ticket: id });
        }
        if live > max {
            self.report(Violation::LimitBroken {
                ticket: id,
                live,
                max,
            });
        }
        let hold = terms.hold.seconds();
        let mut hold_expires_at = None;
        self.take("available", seats);
        if let Verdict::Reserved {
            hold_expires_at: expires,
        } = ticket.verdict
        {
            self.verdicts.reserved += 1;
            hold_expires_at = Some(expires);
            self.seats.held += seats;
            if hold == 0 || expires != ticket.decided_at.plus_seconds(hold) {
                self.report(Violation::WrongHold { ticket: id });
            }
        } else {
            self.verdicts.confirmed += 1;
            self.seats.sold += seats;
            if hold != 0 {
                self.report(Violation::WrongHold { ticket: id });
            }
        }
        self.live.insert(ticket.order.user_id.clone(), live);
        self.remember_seated(ticket, hold_expires_at);
    }

    fn remember_seated(&mut self, ticket: Ticket, hold_expires_at: Option<Timestamp>) {
        let id = ticket.order.ticket_id;
        let replayed = ReplayedTicket {
            user: ticket.order.user_id,
            seats: ticket.order.quantity.seats(),
            hold_expires_at,
            status: if hold_expires_at.is_some() {
                Status::Reserved
            } else {
                Status::Confirmed
            },
            version: 1,
            stored_status: ticket.status,
            stored_version: ticket.version,
        };
        if self.rejected.may_have(id) {
            self.rejected.suspect(id);
        }
        if self.tickets.insert(id, replayed).is_some() && !self.rejected.is_suspect(id) {
            self.report(Violation::DecidedTwice { ticket: id });
        }
    }

    /// Nothing follows a rejection, so what is stored can be compared at once.
    fn remember_rejected(&mut self, ticket: &Ticket) {
        let id = ticket.order.ticket_id;
        if (ticket.status, ticket.version) != (Status::Rejected, 1) {
            self.report(Violation::StatusDiffers {
                ticket: id,
                stored: ticket.status.as_str(),
                replayed: Status::Rejected.as_str(),
            });
        }
        if self.tickets.contains_key(&id) && !self.rejected.is_suspect(id) {
            self.report(Violation::DecidedTwice { ticket: id });
        } else {
            self.rejected.insert(id);
        }
    }

    /// Within a class and accepting process, decisions follow `requested_at`.
    fn check_sequence(&mut self, ticket: &Ticket) {
        let order = &ticket.order;
        if order.redriven {
            return;
        }
        let line = (order.class, order.accepted_by);
        match self.latest.get(&line) {
            Some(latest) if order.requested_at <= *latest => {
                self.report(Violation::Inversion {
                    ticket: order.ticket_id,
                    class: order.class,
                    process: order.accepted_by,
                });
            }
            _ => {
                self.latest.insert(line, order.requested_at);
            }
        }
    }

    fn change(&mut self, entry: JournalEntry) {
        let seq = entry.seq;
        let (ticket, from, to) = match entry.change {
            Change::TermsSet(terms) => {
                let committed = u64::from(self.seats.held) + u64::from(self.seats.sold);
                let capacity = u64::from(terms.capacity.seats());
                match u32::try_from(capacity.saturating_sub(committed)) {
                    Ok(available) if capacity >= committed => self.seats.available = available,
                    _ => self.report(Violation::CapacityBelowCommitted { seq }),
                }
                self.terms = Some(terms);
                return;
            }
            Change::Confirmed(ticket) => (ticket, Status::Reserved, Status::Confirmed),
            Change::Cancelled(ticket, SeatsFrom::Held) => {
                (ticket, Status::Reserved, Status::Cancelled)
            }
            Change::Cancelled(ticket, SeatsFrom::Sold) => {
                (ticket, Status::Confirmed, Status::Cancelled)
            }
            Change::Expired(ticket) => (ticket, Status::Reserved, Status::Expired),
        };
        let status = self.tickets.get(&ticket).map(|known| known.status);
        let Some(known) = self
            .tickets
            .get_mut(&ticket)
            .filter(|_| status == Some(from))
        else {
            self.report(Violation::ImpossibleChange {
                ticket,
                seq,
                status: match status {
                    Some(status) => status.as_str(),
                    None if self.rejected.may_have(ticket) => Status::Rejected.as_str(),
                    None => "unknown",
                },
            });
            return;
        };
        known.status = to;
        known.version += 1;
        let (user, seats) = (known.user.clone(), known.seats);
        let is_over = known
            .hold_expires_at
            .is_some_and(|expires| entry.at >= expires);
        if from == Status::Reserved && is_over != (to == Status::Expired) {
            self.report(Violation::HoldBoundary { ticket, seq });
        }
        self.take(
            if from == Status::Reserved {
                "held"
            } else {
                "sold"
            },
            seats,
        );
        if to == Status::Confirmed {
            self.seats.sold += seats;
        } else {
            self.seats.available += seats;
            if let Some(live) = self.live.get_mut(&user) {
                *live = live.saturating_sub(seats);
            }
        }
    }

    fn take(&mut self, counter: &'static str, wanted: u32) {
        let seats = match counter {
            "available" => &mut self.seats.available,
            "held" => &mut self.seats.held,
            _ => &mut self.seats.sold,
        };
        let had = *seats;
        *seats = had.saturating_sub(wanted);
        if wanted > had {
            self.report(Violation::Overdrawn {
                seq: self.seq,
                counter,
                wanted,
                had,
            });
        }
    }

    fn finish(mut self, standing: &ShowStanding) -> ShowAudit {
        if self.seq != standing.seq {
            self.report(Violation::SeqGap {
                expected: standing.seq,
                found: self.seq,
            });
        }
        if self.seats != standing.seats {
            self.report(Violation::CountersDiffer {
                stored: standing.seats,
                replayed: self.seats,
            });
        }
        if self.terms.as_ref() != Some(&standing.show.terms) {
            self.report(Violation::TermsDiffer);
        }
        let rejected = std::mem::replace(&mut self.rejected, RejectedTickets::among(0));
        for ticket in rejected.decided_again() {
            self.report(Violation::DecidedTwice { ticket });
        }
        for (id, ticket) in std::mem::take(&mut self.tickets) {
            // A ticket that changed after the replay's end has a higher version.
            let stale = ticket.stored_version < ticket.version;
            let differs =
                ticket.stored_version == ticket.version && ticket.stored_status != ticket.status;
            if stale || differs {
                self.report(Violation::StatusDiffers {
                    ticket: id,
                    stored: ticket.stored_status.as_str(),
                    replayed: ticket.status.as_str(),
                });
            }
        }
        ShowAudit {
            show_id: standing.show.id.clone(),
            capacity: standing.show.terms.capacity.seats(),
            seats: standing.seats,
            changes: self.seq,
            verdicts: self.verdicts,
            inversions: self.inversions,
            violations: self.violations,
            examples: self.examples,
        }
    }
}
