//! Buyers that order all the time, and remember all that they were told.

use std::sync::Arc;
use std::time::Duration;

use black_box::proof::order::Intent;
use black_box::proof::told::{Answer, ChangeAnswer};
use domain::ids::ShowId;
use domain::order::Lanes;
use parking_lot::Mutex;
use port_contracts::DEADLINE;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::backend::TOKEN;
use crate::contract::send;
use crate::deployment::eventually;
use crate::orders::{Orders, holds, names};
use crate::seed::Chance;

pub(crate) const LANES: u8 = 4;
/// Of shows that hold.
pub(crate) const HOLD_SECONDS: u32 = 2;
/// Who orders.
const USERS: u32 = 60;
/// Another one, of tests that order by themselves.
pub(crate) const ONE_MORE: u32 = USERS;
/// A user of the class high.
const HIGH: u32 = 5;

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

/// Shows of a sale by lane, in each one without a hold and one with.
pub(crate) fn shows() -> Vec<u32> {
    let lanes = Lanes::new(LANES).unwrap();
    let is_of = |show: u32, lane: u8| {
        let id = ShowId::new(&names().show(show)).unwrap();
        lanes.of(&id).index() == lane
    };
    let first = |lane: u8, holding: bool| {
        let mut shows = (0..).filter(|show| holds(*show) == holding);
        shows.find(|show| is_of(*show, lane)).unwrap()
    };
    (0..LANES)
        .flat_map(|lane| [first(lane, false), first(lane, true)])
        .collect()
}

/// Puts the shows on sale and adds the users.
pub(crate) async fn set_up(url: &str, sale: Sale) {
    let client = Client::new();
    let post = async |path: &str, body: Value| {
        let request = client.post(format!("{url}{path}")).bearer_auth(TOKEN);
        let request = request.json(&body);
        let answer = send(request).await.unwrap();
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
    };
    for show in shows() {
        let (id, hold_seconds) = (
            names().show(show),
            if holds(show) { HOLD_SECONDS } else { 0 },
        );
        let body = json!({"id": id, "title": id, "capacity": sale.capacity,
            "max_per_user": 400, "hold_seconds": hold_seconds});
        post("/shows", body).await;
    }
    for user in 0..=ONE_MORE {
        let priority = if user % HIGH == 0 { "high" } else { "standard" };
        let id = names().user(user);
        let body = json!({"id": id, "name": id, "priority": priority});
        post("/users", body).await;
    }
}

/// Buyers at work.
pub(crate) struct Buyers {
    pub(crate) orders: Arc<Mutex<Orders>>,
    over: CancellationToken,
    tasks: JoinSet<()>,
}

impl Buyers {
    /// Sends them to the processes at `urls`, which share the orders.
    pub(crate) fn start(urls: &[&str], sale: Sale, chance: &mut Chance) -> Self {
        let orders: Arc<Mutex<Orders>> = Arc::default();
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
                orders: Arc::clone(&orders),
            };
            tasks.spawn(buyer.buy_until(over.clone()));
        }
        Self {
            orders,
            over,
            tasks,
        }
    }

    pub(crate) fn accepted(&self) -> usize {
        self.orders.lock().count(Answer::Accepted)
    }

    /// Waits until so many orders are accepted: a busy machine takes fewer in a time.
    pub(crate) async fn wait_for_accepted(&self, orders: usize) {
        eventually("enough orders are accepted", async || {
            self.accepted() > orders
        })
        .await;
    }

    /// Ends them and returns what they were told.
    pub(crate) async fn stop(mut self) -> Orders {
        self.over.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.orders.lock().clone()
    }
}

struct Buyer {
    urls: Vec<String>,
    shows: Vec<u32>,
    pause: Duration,
    client: Client,
    chance: Chance,
    orders: Arc<Mutex<Orders>>,
}

/// What became of a request.
enum Outcome {
    Said(u16, Value),
    /// The connection broke, or nothing came in time.
    Nothing,
}

impl Buyer {
    async fn buy_until(mut self, over: CancellationToken) {
        while !over.is_cancelled() {
            let show = *self.chance.pick(&self.shows);
            let user = u32::try_from(self.chance.below(u64::from(USERS))).unwrap();
            let quantity = 1 + u32::try_from(self.chance.below(2)).unwrap();
            let key = if self.chance.one_in(4) {
                Some(self.chance.below(u64::MAX).to_string())
            } else {
                None
            };
            let order = self.orders.lock().send(user, show, quantity);
            let body = json!({"show_id": names().show(show), "user_id": names().user(user),
                "quantity": quantity});
            let id = self.order(order, &body, key.as_deref()).await;
            if let Some(id) = id
                && holds(show)
                && self.chance.one_in(2)
            {
                self.change(order, id, &over).await;
            }
            sleep(self.pause).await;
        }
    }

    fn url(&mut self) -> String {
        self.chance.pick(&self.urls).clone()
    }

    async fn answer(&self, request: RequestBuilder) -> Outcome {
        let Ok(response) = send(request).await else {
            return Outcome::Nothing;
        };
        let status = response.status().as_u16();
        match response.json().await {
            Ok(body) => Outcome::Said(status, body),
            Err(_) => Outcome::Nothing,
        }
    }

    /// The id of an order that was taken. With a key it is repeated until it is.
    async fn order(&mut self, order: usize, body: &Value, key: Option<&str>) -> Option<Uuid> {
        loop {
            let url = self.url();
            let mut request = self.client.post(format!("{url}/tickets")).json(body);
            if let Some(key) = key {
                request = request.header("Idempotency-Key", key);
            }
            let outcome = self.answer(request).await;
            if let Some(id) = self.remember(order, &outcome) {
                return Some(id);
            }
            key?;
            sleep(self.chance.millis(20, 120)).await;
        }
    }

    /// The id, if the order was taken.
    fn remember(&self, order: usize, outcome: &Outcome) -> Option<Uuid> {
        let orders = &mut *self.orders.lock();
        let Outcome::Said(status, answer) = outcome else {
            orders.answer(order, Answer::Unanswered, None);
            return None;
        };
        let id = || {
            let id = answer["ticket_id"].as_str().unwrap();
            Some(id.parse::<Uuid>().unwrap())
        };
        match (status, answer["code"].as_str()) {
            (202 | 200, _) => {
                orders.answer(order, Answer::Accepted, id());
                return id();
            }
            (503, Some("outcome_unknown")) => orders.answer(order, Answer::OutcomeUnknown, id()),
            (409, Some("sold_out")) => orders.answer(order, Answer::SoldOutByGate, None),
            (503, Some("queue_unavailable" | "store_unavailable" | "clock_off")) => {
                assert_eq!(answer.get("ticket_id"), None);
                orders.answer(order, Answer::Refused, None);
            }
            _ => panic!("{status} {answer}"),
        }
        None
    }

    /// Confirms or cancels the hold, if there is one before the buyer loses patience.
    async fn change(&mut self, order: usize, id: Uuid, over: &CancellationToken) {
        let (verb, status, intent) = *self.chance.pick(&[
            ("confirm", "confirmed", Intent::Confirm),
            ("cancel", "cancelled", Intent::Cancel),
        ]);
        for _ in 0..10 {
            if over.is_cancelled() {
                return;
            }
            let url = self.url();
            let request = self.client.post(format!("{url}/tickets/{id}/{verb}"));
            match self.answer(request).await {
                Outcome::Said(200, ticket) => {
                    assert_eq!(ticket["status"], status);
                    self.changes(order, intent, ChangeAnswer::Done);
                    return;
                }
                Outcome::Said(409, problem) if problem["code"] != "not_decided" => {
                    match problem["code"].as_str().unwrap() {
                        "hold_expired" => {
                            self.changes(order, intent, ChangeAnswer::HoldExpired);
                        }
                        // What was asked for before may have happened, or not.
                        "not_reserved" | "ticket_rejected" => {}
                        _ => panic!("{problem}"),
                    }
                    return;
                }
                Outcome::Said(409, _) => {}
                Outcome::Said(503, _) | Outcome::Nothing => {
                    self.changes(order, intent, ChangeAnswer::Unknown);
                }
                Outcome::Said(status, body) => panic!("{verb}: {status} {body}"),
            }
            sleep(self.chance.millis(20, 120)).await;
        }
    }

    fn changes(&self, order: usize, intent: Intent, change: ChangeAnswer) {
        let orders = &mut *self.orders.lock();
        orders.plan[order].intent = intent;
        orders.told[order].change = change;
    }
}
