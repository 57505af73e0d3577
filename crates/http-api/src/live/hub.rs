//! Passes what this process hears to its listeners.

use accepting::EventSink;
use domain::event::Event;

use super::listener::Audience;
use super::shared::Live;

impl EventSink for Live {
    fn take(&self, event: &Event) {
        match event {
            Event::Ticket(ticket) => self.tickets.tell(ticket, Audience::All),
            Event::Show(seats) => self.shows.tell(seats, Audience::All),
            // The waiting line has heard it, and is told at its own pace.
            Event::Accepted(_) | Event::Settled(_) => {}
        }
    }

    fn note_gap(&self) {
        self.missed.notify_one();
    }
}
