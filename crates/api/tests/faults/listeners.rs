//! Buyers who listen: each accepted order is subscribed to over WebSocket, and
//! what is told of it is remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use crate::buyers::Told;

/// Tickets of one connection.
const TICKETS: usize = 50;
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The latest status of each ticket that was told.
pub(crate) type Heard = Arc<Mutex<BTreeMap<String, Value>>>;

/// Connections at work.
pub(crate) struct Listeners {
    pub(crate) heard: Heard,
    over: CancellationToken,
    tasks: JoinSet<()>,
}

impl Listeners {
    /// Listens to every order that `told` has and will have, at the processes
    /// at `urls`: at the first until its connection ends, then at the next.
    pub(crate) fn start(urls: &[&str], told: Arc<Mutex<Told>>) -> Self {
        let urls: Vec<_> = urls
            .iter()
            .map(|url| format!("{}/ws", url.replacen("http", "ws", 1)))
            .collect();
        let heard = Heard::default();
        let over = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(urls, told, Arc::clone(&heard), over.clone()));
        Self { heard, over, tasks }
    }

    /// How many tickets are known to be decided.
    pub(crate) fn decided(&self) -> usize {
        let heard = self.heard.lock();
        let decided = heard.values().filter(|ticket| is_decided(ticket));
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

pub(crate) fn is_decided(ticket: &Value) -> bool {
    ticket["status"] != "processing"
}

/// Gives each new order to a connection.
async fn follow(urls: Vec<String>, told: Arc<Mutex<Told>>, heard: Heard, over: CancellationToken) {
    let mut known = BTreeSet::new();
    let mut connections = JoinSet::new();
    let mut open: Option<Arc<Mutex<Vec<String>>>> = None;
    while !over.is_cancelled() {
        let mut new: Vec<String> = Vec::new();
        for id in told.lock().accepted.keys() {
            if known.insert(id.clone()) {
                new.push(id.clone());
            }
        }
        for id in new {
            let tickets = open.get_or_insert_with(|| {
                let tickets = Arc::default();
                let listening = listen(
                    urls.clone(),
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
    urls: Vec<String>,
    tickets: Arc<Mutex<Vec<String>>>,
    heard: Heard,
    over: CancellationToken,
) {
    for url in urls.iter().cycle() {
        if over.is_cancelled() {
            return;
        }
        if let Ok((mut socket, _)) = connect_async(url).await {
            let mut subscribed = 0;
            let mut versions = BTreeMap::new();
            while !over.is_cancelled() {
                let new = tickets.lock()[subscribed..].to_vec();
                if !new.is_empty() {
                    subscribed += new.len();
                    let subscribe = json!({"type": "subscribe", "tickets": new});
                    if socket
                        .send(Message::text(subscribe.to_string()))
                        .await
                        .is_err()
                    {
                        break;
                    }
                }
                tokio::select! {
                    message = socket.next() => match message {
                        Some(Ok(Message::Text(text))) => hear(&text, &mut versions, &heard),
                        Some(Ok(_)) => {}
                        Some(Err(_)) | None => break,
                    },
                    () = sleep(LOOK_AGAIN) => {}
                }
            }
        }
        sleep(LOOK_AGAIN).await;
    }
}

fn hear(text: &str, versions: &mut BTreeMap<String, u64>, heard: &Heard) {
    let message: Value = serde_json::from_str(text).unwrap();
    match message["type"].as_str().unwrap() {
        "ticket" => {
            let ticket = &message["ticket"];
            let id = ticket["ticket_id"].as_str().unwrap().to_owned();
            let version = ticket["ticket_version"].as_u64().unwrap();
            let before = versions.insert(id.clone(), version);
            assert!(
                before.is_none_or(|before| before < version),
                "{text} after {before:?}"
            );
            heard.lock().insert(id, ticket.clone());
        }
        "waiting_line" => {}
        // The store may be away for a while; the state comes when it is back.
        "error" => assert_eq!(message["code"], "store_unavailable", "{text}"),
        // On a busy machine a client may read too late; it connects again.
        "closing" => assert!(
            ["shutting_down", "slow_reader", "no_heartbeat"]
                .contains(&message["code"].as_str().unwrap()),
            "{text}"
        ),
        other => panic!("{other}: {text}"),
    }
}
