//! Who listens to which tickets, and what each has been told of them.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use domain::principal::Principal;
use domain::receipt::TicketId;
use domain::ticket::{Status, Ticket};
use domain::time::Timestamp;
use domain::use_cases::LineHint;
use parking_lot::Mutex;

use super::listener::{Audience, End, Listener};
use super::message::{Closing, Content, Dialect, Failure, Message, write};
use super::watches::{self, Watches};
use crate::json::ticket::{TicketBody, WaitingLineBody};
use crate::spans::Tracing;

/// Version of a ticket that has no verdict yet.
const PROCESSING: u32 = 0;

/// Every subscription to a ticket. What a listener is told is chosen and put
/// into its buffer under one lock, so that no older state follows a newer one.
#[derive(Default)]
pub(crate) struct TicketRegistry {
    watches: Mutex<HashMap<TicketId, Watches<Watch>>>,
    /// Makes the spans of verdicts that are told.
    tracing: Option<Arc<dyn Tracing>>,
}

/// One listener's subscription to one ticket. There are very many of them.
struct Watch {
    listener: Arc<Listener>,
    /// The version of the state that it was told last.
    told: Option<u32>,
    /// Whether that state is the last one.
    is_final: bool,
    /// A hash of the waiting line as it was told last.
    line: u64,
    /// What the client said about a ticket whose id does not tell it.
    hint: Option<Box<LineHint>>,
}

impl Watch {
    fn is_waiting(&self) -> bool {
        self.told == Some(PROCESSING)
    }
}

impl watches::Watch for Watch {
    fn listener(&self) -> &Arc<Listener> {
        &self.listener
    }
}

impl TicketRegistry {
    /// Without a subscription so far.
    pub(crate) fn new(tracing: Option<Arc<dyn Tracing>>) -> Self {
        Self {
            watches: Mutex::default(),
            tracing,
        }
    }

    /// From now on the listener is told every state with a higher version than
    /// `told`. A second subscription to the same ticket only brings its hint
    /// and returns false.
    pub(crate) fn watch(
        &self,
        id: TicketId,
        listener: &Arc<Listener>,
        told: Option<u32>,
        hint: Option<Box<LineHint>>,
    ) -> bool {
        let mut watches = self.watches.lock();
        match watches.entry(id).or_default().entry(listener) {
            Ok(watch) => {
                watch.hint = hint.or_else(|| watch.hint.take());
                false
            }
            Err(vacant) => {
                vacant.insert(Watch {
                    listener: Arc::clone(listener),
                    told,
                    is_final: false,
                    line: 0,
                    hint,
                });
                true
            }
        }
    }

    pub(crate) fn unwatch(&self, id: TicketId, listener: &Listener) {
        let mut watches = self.watches.lock();
        if let Some(of_ticket) = watches.get_mut(&id) {
            of_ticket.remove(listener);
            if of_ticket.is_empty() {
                watches.remove(&id);
            }
        }
    }

    pub(crate) fn is_watched(&self, id: TicketId, listener: &Listener) -> bool {
        let watches = self.watches.lock();
        let of_ticket = watches.get(&id);
        of_ticket.is_some_and(|of_ticket| of_ticket.contains(listener))
    }

    /// The listener claims to know a state that does not exist; what it knows is worth nothing.
    pub(crate) fn distrust(&self, id: TicketId, listener: &Listener) {
        self.each(id, Audience::One(listener), |watch| watch.told = None);
    }

    /// Tells a decided ticket's state. Called for every ticket that is decided
    /// anywhere, so it costs one look-up where nobody listens.
    pub(crate) fn tell(&self, ticket: &Ticket, audience: Audience<'_>) {
        let is_final = is_final(ticket.status);
        let id = ticket.order.ticket_id;
        let may_see = |watch: &Watch| watch.listener.principal().may_see(&ticket.order.user_id);
        let mut is_refused = false;
        let mut message = None;
        self.each(id, audience, |watch| {
            if !may_see(watch) {
                is_refused = true;
                return;
            }
            if watch.told.is_some_and(|told| told >= ticket.version) {
                return;
            }
            watch.told = Some(ticket.version);
            watch.is_final = is_final;
            let message = message.get_or_insert_with(|| {
                let body = TicketBody::decided(ticket).in_version(ticket.version);
                Message::new(Content::Ticket(body))
            });
            let dialect = watch.listener.dialect();
            let delivered = self.tracing.as_deref().zip(ticket.order.trace.as_deref());
            let delivered = delivered
                .map(|(tracing, context)| tracing.begin_delivery(*context, dialect.protocol()));
            watch
                .listener
                .send_traced(message.written(dialect), delivered);
            if is_final && watch.listener.dialect() == Dialect::EventStream {
                watch.listener.end(End::Complete);
            }
        });
        if is_refused {
            self.refuse_those(id, |watch| {
                audience.includes(&watch.listener) && !may_see(watch)
            });
        }
    }

    /// Tells that a ticket has no verdict yet, to those who know nothing of it and `may_wait`;
    /// the others are not subscribed any more. `line` is where the line is, by what a listener
    /// said of the ticket.
    pub(crate) fn tell_processing(
        &self,
        id: TicketId,
        requested_at: Option<Timestamp>,
        audience: Audience<'_>,
        may_wait: impl Fn(&Principal) -> bool,
        line: impl Fn(&LineHint) -> Option<WaitingLineBody>,
    ) {
        let mut is_refused = false;
        self.each(id, audience, |watch| {
            if watch.told.is_some() {
                return;
            }
            if !may_wait(watch.listener.principal()) {
                is_refused = true;
                return;
            }
            watch.told = Some(PROCESSING);
            let waiting_line = line(watch.hint.as_deref().unwrap_or(&LineHint::default()));
            watch.line = fingerprint(waiting_line.as_ref());
            let body =
                TicketBody::processing(id, requested_at, waiting_line).in_version(PROCESSING);
            let content = Content::Ticket(body);
            watch
                .listener
                .send(write(content, watch.listener.dialect()));
        });
        if is_refused {
            self.refuse(id, audience);
        }
    }

    /// Tells where the line is, to those who wait and were told something else before.
    pub(crate) fn tell_line(
        &self,
        id: TicketId,
        line: impl Fn(&LineHint) -> Option<WaitingLineBody>,
    ) {
        self.each(id, Audience::All, |watch| {
            if !watch.is_waiting() {
                return;
            }
            let Some(line) = line(watch.hint.as_deref().unwrap_or(&LineHint::default())) else {
                return;
            };
            let fingerprint = fingerprint(Some(&line));
            if watch.line != fingerprint {
                watch.line = fingerprint;
                let content = Content::WaitingLine(id, &line);
                watch
                    .listener
                    .send(write(content, watch.listener.dialect()));
            }
        });
    }

    /// There is no such ticket: those who know nothing of it are told so and are not subscribed
    /// any more.
    pub(crate) fn refuse(&self, id: TicketId, audience: Audience<'_>) {
        self.refuse_those(id, |watch| {
            watch.told.is_none() && audience.includes(&watch.listener)
        });
    }

    fn refuse_those(&self, id: TicketId, is_refused: impl Fn(&Watch) -> bool) {
        let mut refused = Vec::new();
        {
            let mut watches = self.watches.lock();
            let Some(of_ticket) = watches.get_mut(&id) else {
                return;
            };
            of_ticket.retain(|watch| {
                let is_refused = is_refused(watch);
                if is_refused {
                    refused.push(Arc::clone(&watch.listener));
                }
                !is_refused
            });
            if of_ticket.is_empty() {
                watches.remove(&id);
            }
        }
        for listener in refused {
            match listener.dialect() {
                Dialect::WebSocket => {
                    let failure = Failure::TicketNotFound(id);
                    let content = Content::Failure(&failure);
                    listener.send(write(content, Dialect::WebSocket));
                }
                Dialect::EventStream => listener.end(End::Closing(Closing::TicketNotFound)),
            }
        }
    }

    /// Tickets whose state may have changed unheard.
    pub(crate) fn unsettled(&self) -> Vec<TicketId> {
        self.ids(|watch| !watch.is_final)
    }

    /// Tickets with a listener that waits for the verdict.
    pub(crate) fn waiting(&self) -> Vec<TicketId> {
        self.ids(Watch::is_waiting)
    }

    fn ids(&self, wanted: impl Fn(&Watch) -> bool) -> Vec<TicketId> {
        let watches = self.watches.lock();
        watches
            .iter()
            .filter(|(_, of_ticket)| of_ticket.iter().any(&wanted))
            .map(|(id, _)| *id)
            .collect()
    }

    fn each(&self, id: TicketId, audience: Audience<'_>, mut visit: impl FnMut(&mut Watch)) {
        let mut watches = self.watches.lock();
        let Some(of_ticket) = watches.get_mut(&id) else {
            return;
        };
        match audience {
            Audience::All => of_ticket.iter_mut().for_each(visit),
            Audience::One(listener) => {
                if let Some(watch) = of_ticket.get_mut(listener) {
                    visit(watch);
                }
            }
        }
    }
}

/// Whether a ticket of that status never changes again.
pub(crate) const fn is_final(status: Status) -> bool {
    matches!(
        status,
        Status::Rejected | Status::Expired | Status::Cancelled
    )
}

/// Never 0, so that it differs from that of a line that was never told.
fn fingerprint(line: Option<&WaitingLineBody>) -> u64 {
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    hasher.finish() | 1
}

#[cfg(test)]
mod tests {
    use domain::waiting_line::LinePlace;

    use super::*;
    use crate::live::listener::Next;

    const ID: &str = "0199a2b4-7d3e-8001-8a5f-3c0d9e412b77";

    #[tokio::test]
    async fn the_line_is_told_when_it_has_moved() {
        let registry = TicketRegistry::default();
        let listener = Arc::new(Listener::new(
            Arc::new(Principal::agent()),
            Dialect::WebSocket,
            9,
        ));
        let id = ID.parse().unwrap();
        registry.watch(id, &listener, None, None);
        let line = |orders: u64| {
            move |_: &LineHint| {
                let place = LinePlace {
                    orders_ahead: Some(orders),
                    ..LinePlace::default()
                };
                Some(WaitingLineBody::from(place))
            }
        };
        // Who does not know the ticket's state yet learns the line with it.
        registry.tell_line(id, line(4));
        registry.tell_processing(id, None, Audience::All, |_| true, line(3));
        for orders in [3, 2, 2, 1] {
            registry.tell_line(id, line(orders));
        }
        listener.end(End::Complete);
        let mut told = Vec::new();
        while let Next::Message(text) = listener.next().await {
            let message: serde_json::Value = serde_json::from_str(&text).unwrap();
            let line = message.pointer("/ticket/waiting_line");
            let line = line.unwrap_or(&message["waiting_line"]);
            told.push(line["estimated_orders_ahead"].as_u64().unwrap());
        }
        assert_eq!(told, [3, 2, 1]);
    }
}
