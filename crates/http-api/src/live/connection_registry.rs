//! How many connections there are, and their common end.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use domain::time::Timestamp;
use parking_lot::Mutex;

use super::listener::{End, Listener};
use super::message::{Closing, Dialect};
use crate::problem::ApiError;

/// All open WebSockets and event streams of the process.
pub(crate) struct ConnectionRegistry {
    max: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    listeners: HashMap<u64, Arc<Listener>>,
    /// When their tokens are over, with their numbers.
    ends: BTreeSet<(Timestamp, u64)>,
    opened: u64,
    is_closing: bool,
}

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There are as many as may be.
    Exhausted {
        /// `live.max_connections`.
        max: usize,
    },
    /// The process stops.
    ShuttingDown,
}

impl ConnectionRegistry {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            open: Mutex::default(),
        }
    }

    /// Counts the connection until its number is given to [`Self::close`].
    pub(crate) fn open(&self, listener: &Arc<Listener>) -> Result<u64, Refused> {
        let mut open = self.open.lock();
        if open.is_closing {
            return Err(Refused::ShuttingDown);
        }
        if open.listeners.len() >= self.max {
            return Err(Refused::Exhausted { max: self.max });
        }
        open.opened += 1;
        let number = open.opened;
        let until = listener.principal().until;
        open.ends.extend(until.map(|until| (until, number)));
        open.listeners.insert(number, Arc::clone(listener));
        Ok(number)
    }

    pub(crate) fn close(&self, number: u64) {
        let mut open = self.open.lock();
        let listener = open.listeners.remove(&number);
        if let Some(until) = listener.and_then(|listener| listener.principal().until) {
            open.ends.remove(&(until, number));
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.open.lock().listeners.len()
    }

    /// WebSockets, and event streams.
    pub(crate) fn count_by_kind(&self) -> (usize, usize) {
        let open = self.open.lock();
        let dialects = open.listeners.values().map(|listener| listener.dialect());
        let websockets = dialects.filter(|it| *it == Dialect::WebSocket).count();
        (websockets, open.listeners.len() - websockets)
    }

    /// Ends those whose token is over.
    pub(crate) fn end_expired(&self, now: Timestamp) {
        let mut over = Vec::new();
        let mut open = self.open.lock();
        while let Some((until, number)) = open.ends.first().copied()
            && until <= now
        {
            open.ends.pop_first();
            over.extend(open.listeners.get(&number).cloned());
        }
        drop(open);
        for listener in over {
            listener.end(End::Closing(Closing::TokenExpired));
        }
    }

    /// Refuses new connections from now on, and ends the open ones.
    pub(crate) fn shut_down(&self) {
        let listeners: Vec<_> = {
            let mut open = self.open.lock();
            open.is_closing = true;
            open.listeners.values().cloned().collect()
        };
        for listener in listeners {
            listener.end(End::Closing(Closing::ShuttingDown));
        }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Exhausted { max } => Self::LiveConnectionsExhausted { max },
            Refused::ShuttingDown => Self::ShuttingDown,
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::principal::Principal;
    use port_contracts::fixtures;

    use super::*;
    use crate::live::listener::Next;

    fn listener() -> Arc<Listener> {
        Arc::new(Listener::new(Arc::default(), Dialect::WebSocket, 1))
    }

    #[tokio::test]
    async fn a_connection_ends_with_its_token() {
        let at = |seconds| fixtures::start().plus_seconds(seconds);
        let connections = ConnectionRegistry::new(9);
        let open = |until| {
            let principal = Principal {
                until,
                ..Principal::default()
            };
            let listener = Listener::new(Arc::new(principal), Dialect::WebSocket, 1);
            let listener = Arc::new(listener);
            (connections.open(&listener).unwrap(), listener)
        };
        let [(_, first), (_, second)] = [1, 2].map(|seconds| open(Some(at(seconds))));
        let (_, endless) = open(None);
        let (gone, _) = open(Some(at(1)));
        connections.close(gone);
        connections.end_expired(at(1));
        let end = Next::End(End::Closing(Closing::TokenExpired));
        assert_eq!(first.next().await, end);
        for open in [&second, &endless] {
            open.send("x".into());
            assert_eq!(open.next().await, Next::Message("x".into()));
        }
        connections.end_expired(at(9));
        assert_eq!(second.next().await, end);
        assert!(connections.open.lock().ends.is_empty());
    }

    #[tokio::test]
    async fn the_limit_counts_open_connections_and_the_end_is_for_all() {
        let connections = ConnectionRegistry::new(1);
        let first = connections.open(&listener()).unwrap();
        let refused = connections.open(&listener());
        assert_eq!(refused, Err(Refused::Exhausted { max: 1 }));
        connections.close(first);
        let second = listener();
        connections.open(&second).unwrap();
        connections.shut_down();
        let end = Next::End(End::Closing(Closing::ShuttingDown));
        assert_eq!(second.next().await, end);
        let refused = connections.open(&listener());
        assert_eq!(refused, Err(Refused::ShuttingDown));
    }
}
