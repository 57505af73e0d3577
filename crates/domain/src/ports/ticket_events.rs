//! Outcomes to every process.

use std::sync::Arc;

use async_trait::async_trait;

use super::Cause;
use crate::event::Event;

/// The events may not have been announced; announcing again is safe.
#[derive(Debug, thiserror::Error)]
pub enum TicketEventsError {
    /// The carrier did not answer.
    #[error("ticket events are unavailable")]
    Unavailable(#[source] Cause),
}

/// Why a feed has no next event.
#[derive(Debug, thiserror::Error)]
pub enum EventFeedError {
    /// The listener was too slow, or the connection broke: events were missed.
    /// The feed goes on with newer ones; what was missed is to be read again.
    #[error("events were missed")]
    Gap,
    /// The feed is over. Subscribe again, then read again.
    #[error("the feed has ended")]
    Closed(#[source] Option<Cause>),
}

/// Carries events to every subscriber of every process.
///
/// ```
/// use domain::ports::{TicketEvents, TicketEventsError};
///
/// async fn listen(events: &dyn TicketEvents) -> Result<(), TicketEventsError> {
///     let mut feed = events.subscribe().await?;
///     while let Ok(heard) = feed.next().await {
///         println!("{heard:?}");
///     }
///     Ok(())
/// }
/// ```
#[async_trait]
pub trait TicketEvents: Send + Sync {
    /// Announces the events in the given sequence. Returns when the carrier
    /// has them; never waits for a slow listener.
    ///
    /// # Errors
    /// [`TicketEventsError`]; announce again.
    async fn announce(&self, events: Vec<Event>) -> Result<(), TicketEventsError>;

    /// A feed of everything that is announced from the moment this returns.
    ///
    /// # Errors
    /// [`TicketEventsError`].
    async fn subscribe(&self) -> Result<Box<dyn EventFeed>, TicketEventsError>;
}

/// One subscriber's feed.
#[async_trait]
pub trait EventFeed: Send {
    /// Waits for the next announcement. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`EventFeedError`].
    async fn next(&mut self) -> Result<Arc<[Event]>, EventFeedError>;
}
