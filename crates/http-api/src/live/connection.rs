//! One client's connection: what it is subscribed to, until it is dropped.

use std::collections::HashSet;
use std::sync::Arc;

use domain::ids::ShowId;
use domain::principal::Principal;
use domain::receipt::TicketId;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use limits::Exceeded;

use super::connection_registry::Refused;
use super::listener::Listener;
use super::message::{Content, Dialect, Failure, write};
use super::shared::Live;
use super::ticket_request::TicketRequest;
use crate::client_limits::StreamClient;

/// Counts against `live.max_connections`; dropping it ends its subscriptions.
pub(crate) struct Connection {
    live: Arc<Live>,
    client: StreamClient,
    listener: Arc<Listener>,
    number: u64,
    /// What was subscribed to, with ids that were refused since.
    tickets: HashSet<TicketId>,
    shows: HashSet<ShowId>,
}

impl Connection {
    pub(crate) fn open(
        live: &Arc<Live>,
        principal: &Arc<Principal>,
        client: StreamClient,
        dialect: Dialect,
    ) -> Result<Self, Refused> {
        let buffer = live.settings.outgoing_buffer;
        let listener = Arc::new(Listener::new(Arc::clone(principal), dialect, buffer));
        let number = live.connections.open(&listener)?;
        Ok(Self {
            live: Arc::clone(live),
            client,
            listener,
            number,
            tickets: HashSet::new(),
            shows: HashSet::new(),
        })
    }

    pub(crate) const fn live(&self) -> &Arc<Live> {
        &self.live
    }

    pub(crate) const fn listener(&self) -> &Arc<Listener> {
        &self.listener
    }

    /// Listens to one ticket from the state after `told` on; the state is the
    /// caller's to tell.
    pub(crate) fn watch(&mut self, ticket: TicketRequest, told: Option<u32>) {
        self.tickets.insert(ticket.id);
        let TicketRequest { id, hint } = ticket;
        self.live.tickets.watch(id, &self.listener, told, hint);
    }

    /// Listens first and reads after, so that nothing falls in between. The
    /// reading is the caller's to await: the connection goes on meanwhile.
    pub(crate) async fn subscribe(
        &mut self,
        tickets: Vec<TicketRequest>,
        shows: Vec<ShowId>,
    ) -> BoxFuture<'static, ()> {
        let mut tickets_left_out = HashSet::new();
        let mut shows_left_out = HashSet::new();
        let mut new_tickets = Vec::new();
        let mut new_shows = Vec::new();
        let mut room = self.room(tickets.len() + shows.len());
        let mut refused = None;
        for TicketRequest { id, hint } in tickets {
            let is_known = self.tickets.contains(&id);
            if !is_known && room == 0 {
                tickets_left_out.insert(id);
                continue;
            }
            if let Err(exceeded) = self.admit(id).await {
                let (_, left_out) = refused.get_or_insert((exceeded, 0));
                *left_out += 1;
                continue;
            }
            if !is_known {
                self.tickets.insert(id);
                room -= 1;
            }
            if self.live.tickets.watch(id, &self.listener, None, hint) {
                new_tickets.push(id);
            }
        }
        for id in shows {
            let is_known = self.shows.contains(&id);
            if !is_known && room == 0 {
                shows_left_out.insert(id);
                continue;
            }
            if !is_known {
                self.shows.insert(id.clone());
                room -= 1;
            }
            if self.live.shows.watch(&id, &self.listener) {
                new_shows.push(id);
            }
        }
        let left_out = tickets_left_out.len() + shows_left_out.len();
        if left_out > 0 {
            let max = self.live.settings.max_subscriptions;
            self.fail(&Failure::TooManySubscriptions { max, left_out });
        }
        if let Some((exceeded, left_out)) = refused {
            self.fail(&Failure::RateLimited { exceeded, left_out });
        }
        let live = Arc::clone(&self.live);
        let listener = Arc::clone(&self.listener);
        async move { live.tell_state(&listener, &new_tickets, &new_shows).await }.boxed()
    }

    /// Whether the client may ask for the ticket, if it does not hear of it already.
    async fn admit(&self, id: TicketId) -> Result<(), Exceeded> {
        if self.live.tickets.is_watched(id, &self.listener) {
            return Ok(());
        }
        let open = || self.live.office.open_for(self.listener.principal(), id);
        self.client.admit_id(open).await
    }

    pub(crate) fn unsubscribe(&mut self, tickets: &[TicketId], shows: &[ShowId]) {
        for id in tickets {
            if self.tickets.remove(id) {
                self.live.tickets.unwatch(*id, &self.listener);
            }
        }
        for id in shows {
            if self.shows.remove(id) {
                self.live.shows.unwatch(id, &self.listener);
            }
        }
    }

    /// Tells the client what it does not get.
    pub(crate) fn fail(&self, failure: &Failure) {
        let dialect = self.listener.dialect();
        self.listener
            .send(write(Content::Failure(failure), dialect));
    }

    /// How many subscriptions more it may have. Those that were refused since are given up if
    /// `wanted` would not fit otherwise.
    fn room(&mut self, wanted: usize) -> usize {
        let max = self.live.settings.max_subscriptions;
        if self.tickets.len() + self.shows.len() + wanted > max {
            let Self { live, listener, .. } = self;
            self.tickets
                .retain(|id| live.tickets.is_watched(*id, listener));
            self.shows.retain(|id| live.shows.is_watched(id, listener));
        }
        max.saturating_sub(self.tickets.len() + self.shows.len())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        for id in &self.tickets {
            self.live.tickets.unwatch(*id, &self.listener);
        }
        for id in &self.shows {
            self.live.shows.unwatch(id, &self.listener);
        }
        self.live.connections.close(self.number);
    }
}
