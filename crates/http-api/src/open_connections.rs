//! How many client connections there are, and the answer to those past the limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::http::StatusCode;
use limits::{Exceeded, Place};

use crate::request_counts::RouteCounts;

/// How many clients may be connected at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// The most connections whose requests are served.
    pub served: usize,
    /// Those, and some to whom is only said that they are not (ADR 13).
    pub accepted: usize,
}

impl ConnectionLimits {
    /// A sixteenth, 4 to 256 of them, is not served.
    #[must_use]
    pub fn of(accepted: usize) -> Self {
        Self {
            served: accepted.saturating_sub((accepted / 16).clamp(4, 256)),
            accepted,
        }
    }
}

/// All client connections of the process.
///
/// Past those that are served a connection is *surplus*: it is accepted all the same, so that
/// its client hears `503` instead of nothing, and closed after that answer. Past those that are
/// accepted, connections wait in the system's queue, until surplus ones are closed.
#[derive(Debug)]
pub(crate) struct OpenConnections {
    open: AtomicUsize,
    limits: ConnectionLimits,
    unread: Arc<RouteCounts>,
}

/// The service has as many clients as its limit of open files lets it serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{max} clients are connected; the limit of open files lets this process serve no more")]
pub(crate) struct TooManyConnections {
    max: usize,
}

/// Why nothing but liveness is answered over a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The process has too many clients.
    InAll(TooManyConnections),
    /// This one has too many connections.
    ByAddress(Exceeded),
}

impl OpenConnections {
    /// What cannot be read as a request is counted as `unread`.
    pub(crate) const fn new(limits: ConnectionLimits, unread: Arc<RouteCounts>) -> Self {
        Self {
            open: AtomicUsize::new(0),
            limits,
            unread,
        }
    }

    /// Counts a connection until the result is dropped; its place among those of its client, if
    /// that is limited, is given up then, too.
    pub(crate) fn enter(self: &Arc<Self>, place: Option<Place>) -> OpenConnection {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        OpenConnection {
            is_surplus: before >= self.limits.served,
            all: Arc::clone(self),
            place,
        }
    }
}

/// One client connection.
#[derive(Debug)]
pub(crate) struct OpenConnection {
    all: Arc<OpenConnections>,
    is_surplus: bool,
    place: Option<Place>,
}

impl OpenConnection {
    /// Counts what came over it and cannot be read as a request.
    pub(crate) fn note_unread(&self, status: StatusCode) {
        self.all.unread.note_unread(status);
    }

    /// Why nothing but liveness is answered over it.
    pub(crate) fn refused(&self) -> Option<Refused> {
        if self.is_surplus {
            let max = self.all.limits.served;
            return Some(Refused::InAll(TooManyConnections { max }));
        }
        let exceeded = self.place.as_ref()?.permitted().err();
        exceeded.map(Refused::ByAddress)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.all.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request_counts::RequestCounts;

    #[test]
    fn the_last_few_are_surplus_until_others_are_closed() {
        let all = Arc::new(OpenConnections::new(
            ConnectionLimits::of(32),
            RequestCounts::new().of_no_route(),
        ));
        let mut served: Vec<_> = (0..28).map(|_| all.enter(None)).collect();
        assert!(served.iter().all(|one| one.refused().is_none()));
        let surplus = all.enter(None);
        let refused = Refused::InAll(TooManyConnections { max: 28 });
        assert_eq!(surplus.refused(), Some(refused));
        served.pop();
        // Surplus ones count until they are closed, too.
        assert!(all.enter(None).refused().is_some());
        drop(surplus);
        assert!(all.enter(None).refused().is_none());
    }
}
