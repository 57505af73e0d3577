//! Buyers who listen: each accepted order is subscribed to over WebSocket, and
//! what is told of it is remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use black_box::proof::ticket::State;
use black_box::target::Target;
use black_box::websocket::{self, Notice};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::orders::Orders;

/// Tickets of one connection.
const TICKETS: usize = 50;
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The latest state of each ticket that was told.
pub(crate) type Heard = Arc<Mutex<BTreeMap<Uuid, State>>>;

/// Connections at work.
pub(crate) struct Listeners {
    pub(crate) heard: Heard,
    over: CancellationToken,
    tasks: JoinSet<()>,
}

impl Listeners {
    /// Listens to every order that there is and will be, at the processes
    /// at `urls`: at the first until its connection ends, then at the next.
    pub(crate) async fn start(urls: &[&str], orders: Arc<Mutex<Orders>>) -> Self {
        let mut targets = Vec::new();
        for url in urls {
            targets.push(Target::of(url, None, None).await.unwrap());
        }
        let heard = Heard::default();
        let over = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(targets, orders, Arc::clone(&heard), over.clone()));
        Self { heard, over, tasks }
    }

    /// How many tickets are known to be decided.
    pub(crate) fn decided(&self) -> usize {
        let heard = self.heard.lock();
        let decided = heard.values().filter(|state| **state != State::Processing);
        decided.count()
    }

    /// Ends the connections.
    pub(crate) async fn stop(mut self) {
        self.over.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

/// Gives each new order to a connection.
async fn follow(
    targets: Vec<Target>,
    orders: Arc<Mutex<Orders>>,
    heard: Heard,
    over: CancellationToken,
) {
    let mut known = BTreeSet::new();
    let mut connections = JoinSet::new();
    let mut open: Option<Arc<Mutex<Vec<Uuid>>>> = None;
    while !over.is_cancelled() {
        let accepted: Vec<_> = orders.lock().accepted().map(|(_, id)| id).collect();
        for id in accepted.into_iter().filter(|id| known.insert(*id)) {
            let tickets = open.get_or_insert_with(|| {
                let tickets = Arc::default();
                let listening = listen(
                    targets.clone(),
                    Arc::clone(&tickets),
                    Arc::clone(&heard),
                    over.clone(),
                );
                connections.spawn(listening);
                tickets
            });
            let mut tickets_of_one = tickets.lock();
            tickets_of_one.push(id);
            if tickets_of_one.len() == TICKETS {
                drop(tickets_of_one);
                open = None;
            }
        }
        sleep(LOOK_AGAIN).await;
    }
    while let Some(ended) = connections.join_next().await {
        ended.unwrap();
    }
}

/// One buyer's connection, opened again when it ends.
async fn listen(
    targets: Vec<Target>,
    tickets: Arc<Mutex<Vec<Uuid>>>,
    heard: Heard,
    over: CancellationToken,
) {
    for target in targets.iter().cycle() {
        if over.is_cancelled() {
            return;
        }
        if let Ok((mut subscriptions, mut news)) = websocket::open(target, None).await {
            let mut subscribed = 0;
            let mut versions = BTreeMap::new();
            while !over.is_cancelled() {
                let new = tickets.lock()[subscribed..].to_vec();
                subscribed += new.len();
                if !new.is_empty() && subscriptions.subscribe(&new).await.is_err() {
                    break;
                }
                tokio::select! {
                    message = news.next() => match message {
                        Ok(text) => hear(&text, &mut versions, &heard),
                        Err(_) => break,
                    },
                    () = sleep(LOOK_AGAIN) => {}
                }
            }
        }
        sleep(LOOK_AGAIN).await;
    }
}

fn hear(text: &str, versions: &mut BTreeMap<Uuid, u64>, heard: &Heard) {
    let notice = Notice::read(text).unwrap();
    match notice.kind {
        "ticket" => {
            let ticket = notice.ticket.unwrap();
            let (id, version) = (ticket.ticket_id, ticket.ticket_version.unwrap());
            let before = versions.insert(id, version);
            assert!(
                before.is_none_or(|before| before < version),
                "{text} after {before:?}"
            );
            heard.lock().insert(id, ticket.state().unwrap());
        }
        "waiting_line" => {}
        // The store may be away for a while; the state comes when it is back.
        "error" => assert_eq!(notice.code, Some("store_unavailable"), "{text}"),
        // On a busy machine a client may read too late; it connects again.
        "closing" => assert!(
            ["shutting_down", "slow_reader", "no_heartbeat"].contains(&notice.code.unwrap()),
            "{text}"
        ),
        other => panic!("{other}: {text}"),
    }
}
