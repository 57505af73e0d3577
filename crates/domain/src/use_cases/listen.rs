//! What a box office hears from all processes and tells them, so that it can
//! refuse for sold-out shows and tell where the waiting lines are.

use super::box_office::BoxOffice;
use crate::event::Event;
use crate::order::Lane;
use crate::ports::{EventFeed, ShowRepositoryError, TicketEventsError};
use crate::user::PriorityClass;
use crate::waiting_line::Waiting;

impl BoxOffice {
    /// A feed of everything that is announced from now on, for [`Self::hear`].
    ///
    /// # Errors
    /// [`TicketEventsError`].
    pub async fn subscribe(&self) -> Result<Box<dyn EventFeed>, TicketEventsError> {
        self.parts.events.subscribe().await
    }

    /// Takes note of an event. Called for every one that is announced, so it is
    /// cheap: nothing waits, and nothing is copied but a show's id the first time.
    ///
    /// True says that a show has sold out and its gate closes with the next
    /// [`Self::verify_gates`], which is to be called soon then.
    pub fn hear(&self, event: &Event) -> bool {
        if let Some(state) = &self.parts.state {
            state.hear(event);
        }
        match event {
            Event::Ticket(ticket) => {
                let lane = self.parts.lanes.of(&ticket.order.show_id);
                self.parts
                    .line
                    .hear_decided(lane, &ticket.order, self.parts.clock.now());
                false
            }
            Event::Show(seats) => self.parts.gate.hear(seats),
            Event::Accepted(orders) => {
                self.parts
                    .line
                    .hear_accepted(orders, self.parts.clock.now());
                false
            }
            Event::Settled(orders) => {
                self.parts.line.hear_settled(orders, self.parts.clock.now());
                false
            }
        }
    }

    /// To be called after a gap in the events, and when they are heard again:
    /// nobody is told that a line stalls because it was not listened to.
    pub fn note_missed_events(&self) {
        self.parts.line.note_missed_events(self.parts.clock.now());
    }

    /// Reads the shows that are sold out, so that the gate stays closed for
    /// those that still are. To be called several times in
    /// [`crate::gate::VERIFIED_FOR`]; what is not verified opens.
    ///
    /// # Errors
    /// [`ShowRepositoryError`]; the gates open if that lasts.
    pub async fn verify_gates(&self) -> Result<(), ShowRepositoryError> {
        let closed = self.parts.gate.closed();
        if closed.is_empty() {
            return Ok(());
        }
        // Before the reading: what is read is at least as new.
        let as_of = self.parts.clock.now();
        for standing in self.parts.shows.standings(&closed).await? {
            self.parts.gate.verify(&standing.announcement(), as_of);
        }
        Ok(())
    }

    /// How many shows' gates are closed, or close when they are verified.
    #[must_use]
    pub fn closed_gates(&self) -> usize {
        self.parts.gate.count_closed()
    }

    /// The orders of a line that wait for a verdict, as far as this process has heard.
    #[must_use]
    pub fn waiting(&self, lane: Lane, class: PriorityClass) -> Waiting {
        self.parts.line.waiting(lane, class, self.parts.clock.now())
    }

    /// Tells every process how many orders this one accepted, if that changed.
    /// To be called every [`crate::waiting_line::ANNOUNCED_EVERY`].
    ///
    /// # Errors
    /// [`TicketEventsError`]; the next call announces the same again.
    pub async fn announce_accepted(&self) -> Result<(), TicketEventsError> {
        let now = self.parts.clock.now();
        let accepted = self.parts.tally.to_announce(now);
        if accepted.is_empty() {
            return Ok(());
        }
        let events = accepted.iter().copied().map(Event::Accepted).collect();
        self.parts.events.announce(events).await?;
        self.parts.tally.note_announced(&accepted, now);
        Ok(())
    }
}
