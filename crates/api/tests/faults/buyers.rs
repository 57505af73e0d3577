//! Buyers that order all the time, and remember all that they were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::ids::ShowId;
use domain::order::Lanes;
use parking_lot::Mutex;
use port_contracts::DEADLINE;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::deployment::eventually;
use crate::seed::Chance;

pub(crate) const LANES: u8 = 4;
const USERS: u64 = 60;
/// A user of the class high.
const HIGH: u64 = 5;

/// What is sold.
#[derive(Clone, Copy)]
pub(crate) struct Sale {
    /// Seats of each show.
    pub(crate) capacity: u32,
    /// Buyers at a time.
    pub(crate) buyers: usize,
    /// Time that a buyer takes between two orders.
    pub(crate) pause: Duration,
}

impl Default for Sale {
    fn default() -> Self {
        Self {
            capacity: 2_000,
            buyers: 24,
            pause: Duration::from_millis(15),
        }
    }
}

/// What all buyers were told.
#[derive(Default, Clone)]
pub(crate) struct Told {
    /// Ids of orders that were answered `202` or `200`, with the time of the answer.
    pub(crate) accepted: BTreeMap<String, Instant>,
    /// The shows of those.
    pub(crate) shows: BTreeMap<String, String>,
    /// Ids of orders of which nobody knows.
    pub(crate) unknown: BTreeSet<String>,
    /// Orders that were sent and got no answer at all, so not even an id.
    pub(crate) unanswered: u64,
    /// Orders that were refused and not queued.
    pub(crate) refused: u64,
    /// Tickets of which a change was promised, and the status that it leads to.
    pub(crate) changed: BTreeMap<String, &'static str>,
}

impl Told {
    /// Adds what others were told.
    pub(crate) fn extend(&mut self, other: Self) {
        self.accepted.extend(other.accepted);
        self.shows.extend(other.shows);
        self.unknown.extend(other.unknown);
        self.unanswered += other.unanswered;
        self.refused += other.refused;
        self.changed.extend(other.changed);
    }
}

/// Shows of a sale by lane, in each one without a hold and one with.
pub(crate) fn shows() -> Vec<String> {
    let lanes = Lanes::new(LANES).unwrap();
    let name = |lane: u8, kind: &str| {
        (0..)
            .map(|n| format!("{kind}-{n}"))
            .find(|name| lanes.of(&ShowId::new(name.as_str()).unwrap()).index() == lane)
            .unwrap()
    };
    (0..LANES)
        .flat_map(|lane| [name(lane, "sold"), name(lane, "held")])
        .collect()
}

/// Puts the shows on sale and adds the users.
pub(crate) async fn set_up(url: &str, sale: Sale) {
    let client = Client::new();
    let post = async |path: &str, body: Value| {
        let request = client.post(format!("{url}{path}")).json(&body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
    };
    for show in shows() {
        let hold_seconds = if show.starts_with("held") { 2 } else { 0 };
        let body = json!({"id": show, "title": show, "capacity": sale.capacity,
            "max_per_user": 400, "hold_seconds": hold_seconds});
        post("/shows", body).await;
    }
    for user in 0..USERS {
        let priority = if user % HIGH == 0 { "high" } else { "standard" };
        let id = format!("user-{user}");
        let body = json!({"id": id, "name": id, "priority": priority});
        post("/users", body).await;
    }
}

/// Buyers at work.
pub(crate) struct Buyers {
    pub(crate) told: Arc<Mutex<Told>>,
    over: CancellationToken,
    tasks: JoinSet<()>,
}

impl Buyers {
    /// Sends them to the processes at `urls`, which share the orders.
    pub(crate) fn start(urls: &[&str], sale: Sale, chance: &mut Chance) -> Self {
        let told = Arc::new(Mutex::new(Told::default()));
        let over = CancellationToken::new();
        let client = Client::builder().timeout(DEADLINE).build().unwrap();
        let mut tasks = JoinSet::new();
        for _ in 0..sale.buyers {
            let buyer = Buyer {
                urls: urls.iter().map(|url| (*url).to_owned()).collect(),
                shows: shows(),
                pause: sale.pause,
                client: client.clone(),
                chance: chance.another(),
                told: Arc::clone(&told),
            };
            tasks.spawn(buyer.buy_until(over.clone()));
        }
        Self { told, over, tasks }
    }

    pub(crate) fn accepted(&self) -> usize {
        self.told.lock().accepted.len()
    }

    /// Waits until so many orders are accepted: a busy machine takes fewer in a time.
    pub(crate) async fn have_accepted(&self, orders: usize) {
        eventually("enough orders are accepted", async || {
            self.accepted() > orders
        })
        .await;
    }

    /// Ends them and returns what they were told.
    pub(crate) async fn stop(mut self) -> Told {
        self.over.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.told.lock().clone()
    }
}

struct Buyer {
    urls: Vec<String>,
    shows: Vec<String>,
    pause: Duration,
    client: Client,
    chance: Chance,
    told: Arc<Mutex<Told>>,
}

/// What became of a request.
enum Answer {
    Said(u16, Value),
    /// The connection broke, or nothing came in time.
    Nothing,
}

impl Buyer {
    async fn buy_until(mut self, over: CancellationToken) {
        while !over.is_cancelled() {
            let show = self.chance.pick(&self.shows).clone();
            let user = format!("user-{}", self.chance.below(USERS));
            let quantity = 1 + self.chance.below(2);
            let body = json!({"show_id": show, "user_id": user, "quantity": quantity});
            let key = if self.chance.one_in(4) {
                Some(self.chance.below(u64::MAX).to_string())
            } else {
                None
            };
            let id = self.order(&body, key.as_deref()).await;
            if let Some(id) = id
                && show.starts_with("held")
                && self.chance.one_in(2)
            {
                self.change(&id, &over).await;
            }
            sleep(self.pause).await;
        }
    }

    fn url(&mut self) -> String {
        self.chance.pick(&self.urls).clone()
    }

    async fn answer(&self, request: RequestBuilder) -> Answer {
        let Ok(response) = request.send().await else {
            return Answer::Nothing;
        };
        let status = response.status().as_u16();
        match response.json().await {
            Ok(body) => Answer::Said(status, body),
            Err(_) => Answer::Nothing,
        }
    }

    /// The id of an order that was taken. With a key it is repeated until it is.
    async fn order(&mut self, body: &Value, key: Option<&str>) -> Option<String> {
        let mut named: Option<String> = None;
        loop {
            let url = self.url();
            let mut request = self.client.post(format!("{url}/tickets")).json(body);
            if let Some(key) = key {
                request = request.header("Idempotency-Key", key);
            }
            let answer = self.answer(request).await;
            if matches!(answer, Answer::Nothing) && key.is_none() {
                self.told.lock().unanswered += 1;
            }
            if let Some(id) = self.remember(body, answer, &mut named) {
                return Some(id);
            }
            key?;
            sleep(self.chance.millis(20, 120)).await;
        }
    }

    /// The id, if the order was taken.
    fn remember(&self, body: &Value, answer: Answer, named: &mut Option<String>) -> Option<String> {
        let Answer::Said(status, answer) = answer else {
            return None;
        };
        let told = &mut *self.told.lock();
        let id = || answer["ticket_id"].as_str().unwrap().to_owned();
        match (status, answer["code"].as_str()) {
            (202 | 200, _) => {
                let id = id();
                if let Some(named) = named {
                    assert_eq!(*named, id, "one key has two tickets");
                }
                told.unknown.remove(&id);
                told.accepted.insert(id.clone(), Instant::now());
                let show = body["show_id"].as_str().unwrap().to_owned();
                told.shows.insert(id.clone(), show);
                return Some(id);
            }
            (503, Some("outcome_unknown")) => {
                told.unknown.insert(id());
                *named = Some(id());
            }
            (409, Some("sold_out"))
            | (503, Some("queue_unavailable" | "store_unavailable" | "clock_off")) => {
                assert_eq!(answer.get("ticket_id"), None);
                told.refused += 1;
            }
            _ => panic!("{status} {answer}"),
        }
        None
    }

    /// Confirms or cancels the hold, if there is one before the buyer loses patience.
    async fn change(&mut self, id: &str, over: &CancellationToken) {
        let (verb, status) = *self
            .chance
            .pick(&[("confirm", "confirmed"), ("cancel", "cancelled")]);
        for _ in 0..10 {
            if over.is_cancelled() {
                return;
            }
            let url = self.url();
            let request = self.client.post(format!("{url}/tickets/{id}/{verb}"));
            match self.answer(request).await {
                Answer::Said(200, ticket) => {
                    assert_eq!(ticket["status"], status);
                    self.told.lock().changed.insert(id.to_owned(), status);
                    return;
                }
                Answer::Said(409, problem) if problem["code"] != "not_decided" => {
                    let code = problem["code"].as_str().unwrap();
                    assert!(
                        ["hold_expired", "not_reserved", "ticket_rejected"].contains(&code),
                        "{problem}"
                    );
                    return;
                }
                Answer::Said(409 | 503, _) | Answer::Nothing => {}
                Answer::Said(status, body) => panic!("{verb}: {status} {body}"),
            }
            sleep(self.chance.millis(20, 120)).await;
        }
    }
}
