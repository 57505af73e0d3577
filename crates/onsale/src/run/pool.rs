//! Keep-alive connections that take one request at a time. There are as many as
//! are needed, up to a limit; past it requests wait in the client, which shows as
//! lateness.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::Notify;

/// A connection's place in the pool.
pub(super) struct Slot<J> {
    job: Cell<Option<J>>,
    given: Notify,
}

impl<J> Default for Slot<J> {
    fn default() -> Self {
        Self {
            job: Cell::new(None),
            given: Notify::new(),
        }
    }
}

/// Hands jobs to connections.
pub(super) struct Pool<J> {
    idle: RefCell<Vec<Rc<Slot<J>>>>,
    waiting: RefCell<VecDeque<J>>,
    connections: Cell<usize>,
    limit: usize,
    /// Jobs that are waiting or being done.
    unfinished: Cell<usize>,
}

impl<J> Pool<J> {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            idle: RefCell::new(Vec::new()),
            waiting: RefCell::new(VecDeque::new()),
            connections: Cell::new(0),
            limit,
            unfinished: Cell::new(0),
        }
    }

    /// Connections there are.
    pub(super) const fn connections(&self) -> usize {
        self.connections.get()
    }

    /// Jobs that are waiting or being done.
    pub(super) const fn unfinished(&self) -> usize {
        self.unfinished.get()
    }

    /// Gives the job to the connection that was busy last, or keeps it until one
    /// has time. Returns true when one more connection is to be started.
    pub(super) fn give(&self, job: J) -> bool {
        self.unfinished.set(self.unfinished.get() + 1);
        if let Some(slot) = self.idle.borrow_mut().pop() {
            slot.job.set(Some(job));
            slot.given.notify_one();
            return false;
        }
        self.waiting.borrow_mut().push_back(job);
        self.connections.get() < self.limit
    }

    /// A connection was started.
    pub(super) fn join(&self) -> Rc<Slot<J>> {
        self.connections.set(self.connections.get() + 1);
        Rc::new(Slot::default())
    }

    /// Waits for the next job of a connection.
    pub(super) async fn take(&self, slot: &Rc<Slot<J>>) -> J {
        if let Some(job) = self.waiting.borrow_mut().pop_front() {
            return job;
        }
        self.idle.borrow_mut().push(Rc::clone(slot));
        loop {
            slot.given.notified().await;
            if let Some(job) = slot.job.take() {
                return job;
            }
        }
    }

    /// A job is done.
    pub(super) fn finish(&self) {
        self.unfinished.set(self.unfinished.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_goes_to_an_idle_connection_and_else_waits() {
        let pool = Pool::new(1);
        assert!(pool.give(1), "a connection is needed");
        let slot = pool.join();
        assert_eq!(pool.take(&slot).await, 1);
        assert!(!pool.give(2), "there must be no more than the limit");
        assert_eq!(pool.take(&slot).await, 2);
        pool.finish();
        pool.finish();
        let later = async {
            tokio::task::yield_now().await;
            assert!(!pool.give(3));
        };
        let (job, ()) = tokio::join!(pool.take(&slot), later);
        assert_eq!((job, pool.unfinished(), pool.connections()), (3, 1, 1));
    }
}
