//! How many connections there are, and their common end.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::listener::{End, Listener};
use super::message::Closing;
use crate::problem::ApiError;

/// All open WebSockets and event streams of the process.
pub(crate) struct ConnectionRegistry {
    max: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    listeners: HashMap<u64, Arc<Listener>>,
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
        open.listeners.insert(number, Arc::clone(listener));
        Ok(number)
    }

    pub(crate) fn close(&self, number: u64) {
        self.open.lock().listeners.remove(&number);
    }

    pub(crate) fn count(&self) -> usize {
        self.open.lock().listeners.len()
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
    use super::*;
    use crate::live::listener::Next;
    use crate::live::message::Dialect;

    fn listener() -> Arc<Listener> {
        Arc::new(Listener::new(Arc::default(), Dialect::WebSocket, 1))
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
