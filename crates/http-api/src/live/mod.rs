//! Live updates for buyers: tickets, shows and the waiting line over WebSocket
//! and Server-Sent Events.
//!
//! [`hub`] is given what is announced, [`telling`] reads what the store says; both
//! put it into the buffers ([`listener`]) of those who are registered for it
//! ([`ticket_registry`], [`show_registry`]). [`websocket`] and [`event_stream`]
//! are the two kinds of connections, which send what is in their buffer.

mod connection;
mod connection_registry;
pub(crate) mod event_stream;
mod hub;
mod incoming;
mod listener;
mod message;
mod request;
mod shared;
mod show_registry;
mod telling;
#[cfg(test)]
mod tests;
mod ticket_registry;
mod ticket_request;
mod waiting_line;
mod watches;
pub(crate) mod websocket;

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

pub use self::shared::{Live, LiveSettings};
pub(crate) use self::ticket_request::TicketRequest;

impl Live {
    /// What has to run, with its names, until the process stops. None of it returns.
    #[must_use]
    pub fn tasks(self: &Arc<Self>) -> [(&'static str, BoxFuture<'static, ()>); 4] {
        let [reader, line, pacer, ender] = [(); 4].map(|()| Arc::clone(self));
        [
            ("state reader", async move { reader.heal().await }.boxed()),
            (
                "waiting line",
                async move { line.tell_lines().await }.boxed(),
            ),
            (
                "show pacer",
                async move { pacer.shows.keep_pace().await }.boxed(),
            ),
            (
                "ends of tokens",
                async move { ender.end_expired().await }.boxed(),
            ),
        ]
    }
}
