use domain::ports::TicketEventsError;
use domain::use_cases::Decided;
use parking_lot::Mutex;
use runtime::{LogThrottle, Outage};
use tracing::{error, info};

/// What is logged of decisions, for all lanes together.
pub struct DecisionLog {
    announcements: Mutex<Outage>,
    conflicts: Mutex<LogThrottle>,
    dead: Mutex<LogThrottle>,
}

impl Default for DecisionLog {
    fn default() -> Self {
        Self {
            announcements: Mutex::new(Outage::of("events")),
            conflicts: Mutex::default(),
            dead: Mutex::default(),
        }
    }
}

impl DecisionLog {
    pub(crate) fn note(&self, announced: &Result<(), TicketEventsError>) {
        let mut announcements = self.announcements.lock();
        match announced {
            Ok(()) => announcements.record_success(),
            Err(error) => announcements.record_failure(error),
        }
    }

    pub(crate) fn note_all(&self, decided: &Decided) {
        self.note(&decided.announced);
        if let Some(conflicting) = self.conflicts.lock().add(decided.conflicts) {
            info!(
                orders.conflicting = conflicting,
                "dropped orders whose idempotency key was used with another body"
            );
        }
        if let Some(dead) = self.dead.lock().add(decided.dead) {
            error!(
                orders.dead = dead,
                "moved undecidable orders to the dead letters"
            );
        }
    }
}
