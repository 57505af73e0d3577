//! How long a client may take.

use std::time::Duration;

/// How long a client may keep the service waiting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// From a request's first byte to its last.
    pub(crate) request: Duration,
    /// From the moment that the system takes nothing more of an answer until it has taken all.
    pub(crate) answer: Duration,
    /// Between two requests. Over HTTP/1.1 the HTTP server sees to it.
    pub(crate) keep_alive: Duration,
}
