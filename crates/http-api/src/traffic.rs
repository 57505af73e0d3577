use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Requests that have no answer yet, and whether new orders are still taken.
///
/// A request is counted before it looks at `stopping`, and the stop looks at
/// the count after it set `stopping`: with one order of all four steps in all
/// threads, no order slips in between. Hence the sequential consistency.
#[derive(Default)]
pub struct Traffic {
    leaving: AtomicBool,
    stopping: AtomicBool,
    in_flight: AtomicUsize,
}

impl Traffic {
    /// From now on readiness says that the process stops; all is served as before.
    pub fn leave_service(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Whether the process stops, or is about to.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed) || self.is_stopping()
    }

    /// From now on orders are refused and connections closed after their next answer.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    pub(crate) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}
