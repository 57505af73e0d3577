//! Orders of buyers, and what each was told: what a proof stands on.

use black_box::database::now_micros;
use black_box::names::Names;
use black_box::proof::order::{Intent, PlannedOrder, Reader};
use black_box::proof::told::{Answer, NEVER, Told};
use uuid::Uuid;

/// What shows and users of these tests are called.
pub(crate) fn names() -> Names {
    Names::of("sale", "user-")
}

/// Shows of an even number sell at once, the others hold.
pub(crate) const fn holds(show: u32) -> bool {
    !show.is_multiple_of(2)
}

/// Instants are µs since 1970.
#[derive(Default, Clone)]
pub(crate) struct Orders {
    pub(crate) plan: Vec<PlannedOrder>,
    pub(crate) told: Vec<Told>,
}

impl Orders {
    /// Adds one that is sent now; returns its number.
    pub(crate) fn send(&mut self, user: u32, show: u32, quantity: u32) -> usize {
        self.plan.push(PlannedOrder {
            at_micros: 0,
            user,
            show,
            quantity,
            think_ms: 0,
            reader: Reader::Absent,
            intent: Intent::Lapse,
            keyed: false,
            repeated: false,
        });
        self.told.push(Told {
            sent: now(),
            sends: 1,
            answer: Answer::Refused,
            ..Told::default()
        });
        self.told.len() - 1
    }

    /// An order was answered, for the first time or finally.
    pub(crate) fn answer(&mut self, order: usize, answer: Answer, ticket: Option<Uuid>) {
        let told = &mut self.told[order];
        if let (Some(before), Some(ticket)) = (told.ticket, ticket) {
            assert_eq!(before, ticket, "one key has two tickets");
        }
        told.ticket = told.ticket.or(ticket);
        told.answer = answer;
        told.uncertain |= matches!(answer, Answer::Unanswered | Answer::OutcomeUnknown);
        if told.answered == NEVER && matches!(answer, Answer::Accepted | Answer::SoldOutByGate) {
            told.answered = now();
        }
    }

    /// Adds an order of one seat that a test has placed by itself.
    pub(crate) fn add_accepted(&mut self, user: u32, show: u32, ticket: Uuid) {
        let order = self.send(user, show, 1);
        self.answer(order, Answer::Accepted, Some(ticket));
    }

    /// Adds those of others.
    pub(crate) fn extend(&mut self, others: Self) {
        self.plan.extend(others.plan);
        self.told.extend(others.told);
    }

    /// Orders whose latest answer is this one.
    pub(crate) fn count(&self, answer: Answer) -> usize {
        let told = self.told.iter();
        told.filter(|told| told.answer == answer).count()
    }

    /// Tickets of orders that were accepted, and their shows.
    pub(crate) fn accepted(&self) -> impl Iterator<Item = (u32, Uuid)> {
        let orders = self.plan.iter().zip(&self.told);
        let accepted = orders.filter(|(_, told)| told.answer == Answer::Accepted);
        accepted.filter_map(|(planned, told)| Some((planned.show, told.ticket?)))
    }
}

/// µs since 1970.
pub(crate) fn now() -> u64 {
    u64::try_from(now_micros().unwrap()).unwrap()
}
