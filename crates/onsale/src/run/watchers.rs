//! Buyers who read their verdict over `GET /ws`: connections that many of them
//! share, each with as many subscriptions as a connection may have. One that
//! breaks is opened again and subscribes again, as a browser would.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::future::try_join_all;
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};
use uuid::Uuid;

use super::buyers::Buyers;
use super::target::Target;
use crate::proof::ticket::State;

/// `live.max_subscriptions` of the service's default configuration.
const SUBSCRIPTIONS: usize = 100;
const OPEN_DEADLINE: Duration = Duration::from_secs(10);
const REOPEN_PAUSE: Duration = Duration::from_millis(250);

type Socket = WebSocketStream<TcpStream>;

/// The shared connections.
pub(super) struct Watchers {
    wanted: usize,
    desks: RefCell<Vec<Rc<Desk>>>,
    /// The desk that the next buyer is sent to.
    next: Cell<usize>,
    /// Buyers that found every connection full.
    waiting: RefCell<VecDeque<(usize, Uuid)>>,
    figures: RefCell<WatcherFigures>,
}

/// What happened on WebSocket connections.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WatcherFigures {
    /// Connections at the start.
    pub connections: usize,
    /// Times that one was opened again.
    pub reopened: u64,
    /// Tickets subscribed to.
    pub subscriptions: u64,
    /// Buyers who had to wait for a subscription, because every connection had
    /// all that it may have.
    pub waited_for_subscription: u64,
    /// Messages, by type, and by code of errors and closings.
    pub messages: BTreeMap<String, u64>,
}

/// What one connection is to do.
#[derive(Default)]
struct Desk {
    to_subscribe: RefCell<Vec<(usize, Uuid)>>,
    used: Cell<usize>,
    more: Notify,
}

impl Watchers {
    pub(super) fn new(wanted: usize) -> Self {
        Self {
            wanted,
            desks: RefCell::default(),
            next: Cell::new(0),
            waiting: RefCell::default(),
            figures: RefCell::default(),
        }
    }

    /// Opens the connections, which end with the local set.
    pub(super) async fn open(&self, buyers: &Rc<Buyers>) -> anyhow::Result<()> {
        let opening = (0..self.wanted).map(|_| open(&buyers.target));
        for socket in try_join_all(opening).await? {
            let desk = Rc::new(Desk::default());
            self.desks.borrow_mut().push(Rc::clone(&desk));
            let subscriber = Subscriber {
                buyers: Rc::clone(buyers),
                desk,
                open: HashMap::new(),
                left: Vec::new(),
            };
            let _ends_with_the_set = tokio::task::spawn_local(subscriber.serve(socket));
        }
        self.figures.borrow_mut().connections = self.wanted;
        Ok(())
    }

    /// Subscribes to a ticket.
    pub(super) fn follow(&self, order: usize, ticket: Uuid) {
        let desks = self.desks.borrow();
        let from = self.next.get();
        let free = (0..desks.len())
            .map(|step| (from + step) % desks.len())
            .find(|at| desks[*at].used.get() < SUBSCRIPTIONS);
        match free {
            Some(at) => {
                self.next.set(at + 1);
                desks[at].take(order, ticket);
            }
            None => {
                self.waiting.borrow_mut().push_back((order, ticket));
                self.figures.borrow_mut().waited_for_subscription += 1;
            }
        }
    }

    /// Buyers who still expect to hear something.
    pub(super) fn awaited(&self) -> usize {
        let desks = self.desks.borrow();
        let used: usize = desks.iter().map(|desk| desk.used.get()).sum();
        used + self.waiting.borrow().len()
    }

    pub(super) fn figures(&self) -> WatcherFigures {
        self.figures.borrow().clone()
    }

    fn count(&self, message: &str) {
        let messages = &mut self.figures.borrow_mut().messages;
        if let Some(count) = messages.get_mut(message) {
            *count += 1;
        } else {
            messages.insert(message.to_owned(), 1);
        }
    }
}

impl Desk {
    fn take(&self, order: usize, ticket: Uuid) {
        self.used.set(self.used.get() + 1);
        self.to_subscribe.borrow_mut().push((order, ticket));
        self.more.notify_one();
    }
}

async fn open(target: &Target) -> anyhow::Result<Socket> {
    let url = format!("ws://{}/ws", target.host);
    let opening = async {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        anyhow::Ok(client_async(url.as_str(), stream).await?.0)
    };
    match timeout(OPEN_DEADLINE, opening).await {
        Ok(Ok(socket)) => Ok(socket),
        Ok(Err(error)) => Err(error.context(format!(
            "{url} takes no WebSocket; without one, set readers.websocket = 0"
        ))),
        Err(_) => bail!("{url} does not answer"),
    }
}

#[derive(Deserialize)]
struct Told<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    ticket: Option<ToldTicket<'a>>,
    code: Option<&'a str>,
    ticket_id: Option<Uuid>,
}

#[derive(Deserialize)]
struct ToldTicket<'a> {
    ticket_id: Uuid,
    status: &'a str,
    reason: Option<&'a str>,
    ticket_version: u64,
}

/// One connection with its subscriptions.
struct Subscriber {
    buyers: Rc<Buyers>,
    desk: Rc<Desk>,
    /// Order and latest version by ticket.
    open: HashMap<Uuid, (usize, Option<u64>)>,
    /// Tickets to be left before others are subscribed to.
    left: Vec<Uuid>,
}

impl Subscriber {
    async fn serve(mut self, mut socket: Socket) {
        loop {
            // However it ended: a browser opens it again and subscribes again.
            let _ended = self.talk(&mut socket).await;
            let watchers = &self.buyers.watchers;
            watchers.figures.borrow_mut().reopened += 1;
            socket = loop {
                sleep(REOPEN_PAUSE).await;
                if let Ok(socket) = open(&self.buyers.target).await {
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
    async fn talk(&mut self, socket: &mut Socket) -> anyhow::Result<()> {
        let desk = Rc::clone(&self.desk);
        loop {
            tokio::select! {
                message = socket.next() => {
                    match message.context("closed")?? {
                        Message::Text(text) => self.hears(text.as_str()),
                        Message::Close(_) => return Ok(()),
                        _ => {}
                    }
                }
                () = desk.more.notified() => {
                    if !self.left.is_empty() {
                        let left = std::mem::take(&mut self.left);
                        let message = subscription("unsubscribe", left.iter());
                        socket.send(Message::text(message)).await?;
                    }
                    let new = std::mem::take(&mut *desk.to_subscribe.borrow_mut());
                    if !new.is_empty() {
                        let message = subscription("subscribe", new.iter().map(|(_, id)| id));
                        self.remember(&new);
                        socket.send(Message::text(message)).await?;
                    }
                }
            }
        }
    }

    fn remember(&mut self, new: &[(usize, Uuid)]) {
        for (order, ticket) in new {
            self.open.insert(*ticket, (*order, None));
            self.buyers.remember(*order, |told| told.subscribed = true);
        }
        let mut figures = self.buyers.watchers.figures.borrow_mut();
        figures.subscriptions += new.len() as u64;
    }

    fn hears(&mut self, text: &str) {
        let watchers = &self.buyers.watchers;
        let Ok(told) = serde_json::from_str::<Told<'_>>(text) else {
            watchers.count("not understood");
            return;
        };
        match told.code {
            Some(code) => watchers.count(code),
            None => watchers.count(told.kind),
        }
        if let (Some("ticket_not_found"), Some(id)) = (told.code, told.ticket_id)
            && let Some((order, _)) = self.open.get(&id).copied()
        {
            let buyers = Rc::clone(&self.buyers);
            buyers.contradicts(order, "WebSocket: an accepted ticket was never issued");
            self.leave(id);
        }
        if let Some(ticket) = told.ticket {
            self.hears_of(&ticket);
        }
    }

    fn hears_of(&mut self, ticket: &ToldTicket<'_>) {
        // One that was left may still be told of.
        let Some((order, latest)) = self.open.get_mut(&ticket.ticket_id) else {
            return;
        };
        let order = *order;
        let is_older = latest.is_some_and(|latest| ticket.ticket_version <= latest);
        *latest = Some(ticket.ticket_version);
        if is_older {
            self.buyers.contradicts(
                order,
                "WebSocket: a version that is not above the one before",
            );
        }
        let Some(state) = State::read(ticket.status, ticket.reason) else {
            self.buyers
                .contradicts(order, "WebSocket: a status that does not exist");
            return;
        };
        self.buyers.remember(order, |told| told.notified.add(state));
        self.buyers.hears(order, state, self.buyers.now());
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
        let next = self.buyers.watchers.waiting.borrow_mut().pop_front();
        self.desk.used.set(self.desk.used.get().saturating_sub(1));
        match next {
            Some((order, ticket)) => self.desk.take(order, ticket),
            // Left together with others, before anything else is subscribed to.
            None if self.left.len() >= SUBSCRIPTIONS / 4 => self.desk.more.notify_one(),
            None => {}
        }
    }
}

fn subscription<'a>(kind: &str, tickets: impl Iterator<Item = &'a Uuid>) -> String {
    let ids: Vec<_> = tickets.map(|id| format!("\"{id}\"")).collect();
    format!(r#"{{"type":"{kind}","tickets":[{}]}}"#, ids.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_names_its_tickets() {
        let ids = [Uuid::from_u128(1), Uuid::from_u128(2)];
        assert_eq!(
            subscription("subscribe", ids.iter()),
            r#"{"type":"subscribe","tickets":["00000000-0000-0000-0000-000000000001","00000000-0000-0000-0000-000000000002"]}"#
        );
    }

    #[test]
    fn messages_are_read_by_what_matters() {
        let text = r#"{"version":1,"type":"ticket","ticket":{"ticket_id":
            "0199a2b4-7d3e-8001-8a5f-3c0d9e412b77","show_id":"x","status":"rejected",
            "reason":"sold_out","ticket_version":1,"waiting_line":{"stalled":false}}}"#;
        let told: Told<'_> = serde_json::from_str(text).unwrap();
        let ticket = told.ticket.unwrap();
        assert_eq!((told.kind, ticket.ticket_version), ("ticket", 1));
        assert_eq!(
            State::read(ticket.status, ticket.reason),
            Some(State::SoldOut)
        );
        let error = r#"{"version":1,"type":"error","code":"store_unavailable","detail":"x"}"#;
        let told: Told<'_> = serde_json::from_str(error).unwrap();
        assert_eq!(told.code, Some("store_unavailable"));
    }

    #[test]
    fn buyers_go_to_connections_in_turn_and_wait_when_all_are_full() {
        let watchers = Watchers::new(2);
        *watchers.desks.borrow_mut() = vec![Rc::default(), Rc::default()];
        for order in 0..2 * SUBSCRIPTIONS {
            watchers.follow(order, Uuid::from_u128(order as u128));
        }
        let used: Vec<_> = watchers
            .desks
            .borrow()
            .iter()
            .map(|desk| desk.used.get())
            .collect();
        assert_eq!(used, [SUBSCRIPTIONS, SUBSCRIPTIONS]);
        watchers.follow(900, Uuid::nil());
        assert_eq!(watchers.figures().waited_for_subscription, 1);
        assert_eq!(watchers.awaited(), 2 * SUBSCRIPTIONS + 1);
    }
}
