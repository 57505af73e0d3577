//! Who listens at which of the connections that buyers share, each with as many
//! subscriptions as a connection may have.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::Notify;
use uuid::Uuid;

use crate::outcome::WatcherFigures;

/// `live.max_subscriptions` of the service's default configuration.
pub(super) const SUBSCRIPTIONS: usize = 100;

/// The shared connections, as what they are to do.
#[derive(Default)]
pub(super) struct Desks {
    desks: RefCell<Vec<Rc<Desk>>>,
    /// The desk that the next buyer is sent to.
    next: Cell<usize>,
    /// Buyers that found every connection full.
    waiting: RefCell<VecDeque<(usize, Uuid)>>,
    pub(super) figures: RefCell<WatcherFigures>,
}

/// What one connection is to do.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) to_subscribe: RefCell<Vec<(usize, Uuid)>>,
    used: Cell<usize>,
    pub(super) more: Notify,
}

impl Desks {
    /// One more connection.
    pub(super) fn open(&self) -> Rc<Desk> {
        let desk = Rc::new(Desk::default());
        self.desks.borrow_mut().push(Rc::clone(&desk));
        self.figures.borrow_mut().connections += 1;
        desk
    }

    /// Subscribes to a ticket.
    pub(super) fn follow(&self, order: usize, ticket: Uuid) {
        let desks = self.desks.borrow();
        let from = self.next.get();
        let free = (0..desks.len())
            .map(|step| (from + step) % desks.len())
            .find(|at| desks[*at].used.get() < SUBSCRIPTIONS);
        match free {
            Some(at) => {
                self.next.set(at + 1);
                desks[at].take(order, ticket);
            }
            None => {
                self.waiting.borrow_mut().push_back((order, ticket));
                self.figures.borrow_mut().waited_for_subscription += 1;
            }
        }
    }

    /// Buyers who still expect to hear something.
    pub(super) fn awaited(&self) -> usize {
        let desks = self.desks.borrow();
        let used: usize = desks.iter().map(|desk| desk.used.get()).sum();
        used + self.waiting.borrow().len()
    }

    /// A subscription of this one is free again, and the next in line has it. False if
    /// nobody waits.
    pub(super) fn free(&self, desk: &Desk) -> bool {
        desk.used.set(desk.used.get().saturating_sub(1));
        let next = self.waiting.borrow_mut().pop_front();
        if let Some((order, ticket)) = next {
            desk.take(order, ticket);
        }
        next.is_some()
    }

    /// Counts a message.
    pub(super) fn count(&self, message: &str) {
        let messages = &mut self.figures.borrow_mut().messages;
        if let Some(count) = messages.get_mut(message) {
            *count += 1;
        } else {
            messages.insert(message.to_owned(), 1);
        }
    }
}

impl Desk {
    fn take(&self, order: usize, ticket: Uuid) {
        self.used.set(self.used.get() + 1);
        self.to_subscribe.borrow_mut().push((order, ticket));
        self.more.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buyers_go_to_connections_in_turn_and_wait_when_all_are_full() {
        let desks = Desks::default();
        let [_first, _second] = [desks.open(), desks.open()];
        for order in 0..2 * SUBSCRIPTIONS {
            desks.follow(order, Uuid::from_u128(order as u128));
        }
        let used: Vec<_> = desks
            .desks
            .borrow()
            .iter()
            .map(|desk| desk.used.get())
            .collect();
        assert_eq!(used, [SUBSCRIPTIONS, SUBSCRIPTIONS]);
        desks.follow(900, Uuid::nil());
        assert_eq!(desks.figures.borrow().waited_for_subscription, 1);
        assert_eq!(desks.awaited(), 2 * SUBSCRIPTIONS + 1);
    }
}
