//! Buyers who read their verdict over `GET /ws`: connections that many of them
//! share. One that breaks is opened again and subscribes again, as a browser would.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use black_box::body::TicketAnswer;
use black_box::websocket::{self, News, Notice, Subscriptions};
use futures_util::future::try_join_all;
use tokio::time::sleep;
use uuid::Uuid;

use super::clients::Clients;
use super::desks::{Desk, SUBSCRIPTIONS};

const NO_WEBSOCKET: &str = "without WebSockets, set readers.websocket = 0; where tokens are asked for, \
                            give --token-key or ONSALE_AGENT_TOKEN";
const REOPEN_PAUSE: Duration = Duration::from_millis(250);

/// Opens the connections, which end with the local set.
pub(super) async fn open(clients: &Rc<Clients>, number: usize) -> anyhow::Result<()> {
    let opening = (0..number).map(|_| websocket::open(&clients.target, clients.tokens.agent()));
    let opened = try_join_all(opening).await;
    for socket in opened.context(NO_WEBSOCKET)? {
        let subscriber = Subscriber {
            clients: Rc::clone(clients),
            desk: clients.desks.open(),
            open: HashMap::new(),
            left: Vec::new(),
        };
        let _ends_with_the_set = tokio::task::spawn_local(subscriber.serve(socket));
    }
    Ok(())
}

/// One connection with its subscriptions.
struct Subscriber {
    clients: Rc<Clients>,
    desk: Rc<Desk>,
    /// Order and latest version by ticket.
    open: HashMap<Uuid, (usize, Option<u64>)>,
    /// Tickets to be left before others are subscribed to.
    left: Vec<Uuid>,
}

impl Subscriber {
    async fn serve(mut self, mut socket: (Subscriptions, News)) {
        loop {
            // However it ended: a browser opens it again and subscribes again.
            let _ended = self.talk(&mut socket).await;
            self.clients.desks.figures.borrow_mut().reopened += 1;
            socket = loop {
                sleep(REOPEN_PAUSE).await;
                let Clients { target, tokens, .. } = &*self.clients;
                if let Ok(socket) = websocket::open(target, tokens.agent()).await {
                    break socket;
                }
            };
            self.left.clear();
            let again = self
                .open
                .drain()
                .map(|(ticket, (order, _))| (order, ticket));
            self.desk.to_subscribe.borrow_mut().extend(again);
            self.desk.more.notify_one();
        }
    }

    /// Until the connection ends.
    async fn talk(
        &mut self,
        (subscriptions, news): &mut (Subscriptions, News),
    ) -> anyhow::Result<()> {
        let desk = Rc::clone(&self.desk);
        loop {
            tokio::select! {
                message = news.next() => self.hears(message?.as_str()),
                () = desk.more.notified() => {
                    if !self.left.is_empty() {
                        let left = std::mem::take(&mut self.left);
                        subscriptions.unsubscribe(&left).await?;
                    }
                    let new = std::mem::take(&mut *desk.to_subscribe.borrow_mut());
                    if !new.is_empty() {
                        self.remember(&new);
                        let tickets: Vec<Uuid> = new.iter().map(|(_, ticket)| *ticket).collect();
                        subscriptions.subscribe(&tickets).await?;
                    }
                }
            }
        }
    }

    fn remember(&mut self, new: &[(usize, Uuid)]) {
        for (order, ticket) in new {
            if self.open.insert(*ticket, (*order, None)).is_some() {
                // An id that was given twice, which the proof tells: the first is not followed.
                self.clients.desks.free(&self.desk);
            }
            self.clients.remember(*order, |told| told.subscribed = true);
        }
        let mut figures = self.clients.desks.figures.borrow_mut();
        figures.subscriptions += new.len() as u64;
    }

    fn hears(&mut self, text: &str) {
        let desks = &self.clients.desks;
        let Ok(notice) = Notice::read(text) else {
            desks.count("not understood");
            return;
        };
        desks.count(notice.code.unwrap_or(notice.kind));
        if let (Some("ticket_not_found"), Some(id)) = (notice.code, notice.ticket_id)
            && let Some((order, _)) = self.open.get(&id).copied()
        {
            let what = "WebSocket: an accepted ticket was never issued";
            self.clients.contradicts(order, what);
            self.leave(id);
        }
        if let Some(ticket) = notice.ticket {
            self.hears_of(&ticket);
        }
    }

    fn hears_of(&mut self, ticket: &TicketAnswer<'_>) {
        // One that was left may still be told of.
        let Some((order, latest)) = self.open.get_mut(&ticket.ticket_id) else {
            return;
        };
        let order = *order;
        let is_older = latest.is_some() && ticket.ticket_version <= *latest;
        *latest = ticket.ticket_version;
        let clients = &self.clients;
        if is_older {
            let what = "WebSocket: a version that is not above the one before";
            clients.contradicts(order, what);
        }
        let Some(state) = ticket.state() else {
            clients.contradicts(order, "WebSocket: a status that does not exist");
            return;
        };
        clients.remember(order, |told| told.notified.add(state));
        clients.hears(order, state, clients.now());
        if state.is_settled() {
            self.leave(ticket.ticket_id);
        }
    }

    /// Nothing more is expected of a ticket: its place is for another one.
    fn leave(&mut self, ticket: Uuid) {
        if self.open.remove(&ticket).is_none() {
            return;
        }
        self.left.push(ticket);
        let is_taken = self.clients.desks.free(&self.desk);
        // Left together with others, before anything else is subscribed to.
        if !is_taken && self.left.len() >= SUBSCRIPTIONS / 4 {
            self.desk.more.notify_one();
        }
    }
}
