//! A sale that is watched: the longest time without a verdict, for each lane, and without a
//! `202`, for each api process, by orders that are placed all the time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use black_box::proof::order::Intent;
use black_box::proof::told::{Answer, ChangeAnswer};
use parking_lot::Mutex;
use port_contracts::promised;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::buyers::{Buyers, ONE_MORE, Sale, set_up, shows};
use crate::contract::send;
use crate::deployment::{Deployment, Process, eventually, ticket};
use crate::orders::{Orders, holds, names};
use crate::proof::prove;
use crate::seed::Chance;

/// Guarantee 9 of docs/ARCHITECTURE.md.
pub(crate) const AVAILABLE_AGAIN: Duration = Duration::from_secs(10);
/// What measuring adds: a probe is placed, then looked at.
const PROBE: Duration = Duration::from_millis(500);

/// When something happened last, and how long it did not happen at most.
#[derive(Debug, Clone, Copy)]
struct Silence {
    latest: Instant,
    longest: Duration,
}

impl Silence {
    fn broken(&mut self) {
        self.longest = self.longest.max(self.latest.elapsed());
        self.latest = Instant::now();
    }
}

/// Places orders all the time, of each lane and at each api process.
struct Probes {
    silences: Arc<Mutex<BTreeMap<String, Silence>>>,
    orders: Arc<Mutex<Orders>>,
    over: CancellationToken,
    tasks: JoinSet<()>,
}

impl Probes {
    fn start(urls: &[String]) -> Self {
        let mut probes = Self {
            silences: Arc::default(),
            orders: Arc::default(),
            over: CancellationToken::new(),
            tasks: JoinSet::new(),
        };
        // Shows without holds stand one per lane.
        let lanes = shows().into_iter().filter(|show| !holds(*show));
        for (lane, show) in lanes.enumerate() {
            let (probe, urls) = (probes.probe(format!("verdict, lane {lane}")), urls.to_vec());
            probes.tasks.spawn(probe.decide(urls, show));
        }
        for (number, url) in urls.iter().enumerate() {
            let probe = probes.probe(format!("202, process {number}"));
            probes.tasks.spawn(probe.accept(url.clone()));
        }
        probes
    }

    fn probe(&self, what: String) -> Probe {
        let began = Silence {
            latest: Instant::now(),
            longest: Duration::ZERO,
        };
        self.silences.lock().insert(what.clone(), began);
        Probe {
            what,
            silences: Arc::clone(&self.silences),
            orders: Arc::clone(&self.orders),
            over: self.over.clone(),
            client: Client::builder()
                .timeout(Duration::from_secs(5))
                .build()
                .unwrap(),
        }
    }

    /// What was silent for how long at most, and what became of the orders.
    async fn stop(mut self) -> (BTreeMap<String, Duration>, Orders) {
        self.over.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        let silences = self.silences.lock();
        let longest = silences.iter().map(|(what, silence)| {
            let longest = silence.longest.max(silence.latest.elapsed());
            (what.clone(), longest)
        });
        (longest.collect(), self.orders.lock().clone())
    }
}

struct Probe {
    what: String,
    silences: Arc<Mutex<BTreeMap<String, Silence>>>,
    orders: Arc<Mutex<Orders>>,
    over: CancellationToken,
    client: Client,
}

impl Probe {
    fn heard(&self) {
        if let Some(silence) = self.silences.lock().get_mut(&self.what) {
            silence.broken();
        }
    }

    async fn place(&self, url: &str, show: u32) -> Option<Uuid> {
        let body = json!({"show_id": names().show(show), "user_id": names().user(ONE_MORE)});
        let request = self.client.post(format!("{url}/tickets")).json(&body);
        let order = self.orders.lock().send(ONE_MORE, show, 1);
        let answered = async {
            let answer = send(request).await.ok()?;
            let status = answer.status();
            Some((status, answer.json::<Value>().await.ok()?))
        };
        let answered = answered.await;
        let orders = &mut *self.orders.lock();
        let Some((status, ticket)) = answered else {
            orders.answer(order, Answer::Unanswered, None);
            return None;
        };
        let id: Uuid = ticket["ticket_id"].as_str()?.parse().unwrap();
        if status == 202 {
            orders.answer(order, Answer::Accepted, Some(id));
            Some(id)
        } else {
            orders.answer(order, Answer::OutcomeUnknown, Some(id));
            None
        }
    }

    async fn is_decided(&self, url: &str, id: Uuid) -> bool {
        let answer = send(self.client.get(format!("{url}/tickets/{id}"))).await;
        let Ok(answer) = answer else {
            return false;
        };
        let ticket: Value = answer.json().await.unwrap_or_default();
        ticket["status"].is_string() && ticket["status"] != "processing"
    }

    /// One order after the other at whichever process takes it; an order that is not
    /// decided soon has another one placed beside it.
    async fn decide(self, urls: Vec<String>, show: u32) {
        let mut open: Vec<Uuid> = Vec::new();
        let mut placed = Instant::now();
        while !self.over.is_cancelled() {
            if open.is_empty() || placed.elapsed() > Duration::from_secs(1) {
                for url in &urls {
                    if let Some(id) = self.place(url, show).await {
                        open.push(id);
                        break;
                    }
                }
                placed = Instant::now();
            }
            let mut still = Vec::new();
            for id in open {
                if self.is_decided(&urls[0], id).await || self.is_decided(&urls[1], id).await {
                    self.heard();
                } else {
                    still.push(id);
                }
            }
            open = still;
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn accept(self, url: String) {
        let shows = shows();
        for show in shows.iter().cycle() {
            if self.over.is_cancelled() {
                return;
            }
            if self.place(&url, *show).await.is_some() {
                self.heard();
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Two api processes, three workers, buyers and probes.
pub(crate) struct Stage {
    buyers: Buyers,
    probes: Probes,
    // Gone before the deployment, whose queues they would declare again.
    apis: Vec<Process>,
    workers: Vec<Process>,
    pub(crate) deployment: Deployment,
}

impl Stage {
    pub(crate) async fn start(deployment: Deployment, chance: &mut Chance) -> Self {
        let (mut apis, mut workers) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            apis.push(deployment.start_ready("api").await);
        }
        for _ in 0..3 {
            workers.push(deployment.start_ready("worker").await);
        }
        let sale = Sale {
            capacity: 100_000,
            buyers: 12,
            pause: Duration::from_millis(30),
        };
        set_up(&apis[0].url, sale).await;
        let urls: Vec<_> = apis.iter().map(|api| api.url.clone()).collect();
        let references: Vec<_> = urls.iter().map(String::as_str).collect();
        let buyers = Buyers::start(&references, sale, chance);
        let stage = Self {
            probes: Probes::start(&urls),
            deployment,
            apis,
            workers,
            buyers,
        };
        // Each worker has its share.
        eventually("lanes are shared", async || {
            stage
                .workers
                .iter()
                .all(|worker| !worker.lanes().is_empty())
        })
        .await;
        stage.wait_for_accepted(200).await;
        stage
    }

    /// Waits until buyers got so many orders accepted.
    pub(crate) async fn wait_for_accepted(&self, orders: usize) {
        self.buyers.wait_for_accepted(orders).await;
    }

    /// Waits until readiness of each process has this status.
    pub(crate) async fn wait_until_everybody_says(&self, status: u16) {
        for process in self.apis.iter().chain(&self.workers) {
            eventually(
                "everybody says whether it is ready",
                async || matches!(process.readiness().await, Some((told, _)) if told == status),
            )
            .await;
        }
    }

    /// Buyers and probes end; what the store has is at this URL now.
    pub(crate) async fn go_home(self, store: &str) -> Ended {
        let (silences, probed) = self.probes.stop().await;
        let mut orders = self.buyers.stop().await;
        orders.extend(probed);
        let mut deployment = self.deployment;
        store.clone_into(&mut deployment.store);
        Ended {
            silences,
            orders,
            apis: self.apis,
            workers: self.workers,
            deployment,
        }
    }
}

/// A sale that is over, and what buyers were told.
pub(crate) struct Ended {
    silences: BTreeMap<String, Duration>,
    orders: Orders,
    apis: Vec<Process>,
    workers: Vec<Process>,
    deployment: Deployment,
}

impl Ended {
    /// Takes back what buyers were told within so long before one of these moments and what is not
    /// so any more; says of how many orders.
    pub(crate) async fn forget_lost(&mut self, killed: &[u64], before: Duration) -> usize {
        let before = u64::try_from(before.as_micros()).unwrap();
        let client = Client::new();
        let mut lost = 0;
        let orders = self.orders.plan.iter().zip(&mut self.orders.told);
        for (planned, told) in orders {
            let is_late = |killed: &u64| (killed - before..=*killed).contains(&told.answered);
            let Some(id) = told.ticket.filter(|_| killed.iter().any(is_late)) else {
                continue;
            };
            // What is not lost is decided long since, with all that is waiting.
            let ticket = ticket(&client, &self.apis[0].url, id).await;
            let wanted = match planned.intent {
                Intent::Confirm => "confirmed",
                _ => "cancelled",
            };
            if told.change == ChangeAnswer::Done && ticket["status"] != wanted {
                told.change = ChangeAnswer::Unknown;
                lost += 1;
            }
            if ticket["status"] == "processing" {
                told.answer = Answer::OutcomeUnknown;
                lost += 1;
            }
        }
        lost
    }

    /// What was promised is compared with what is. Nothing was silent for longer than `most`.
    pub(crate) async fn prove(self, fault: &str, most: Duration) {
        let proof = prove(&self.deployment, &self.apis[0].url, self.orders).await;
        assert!(proof.accepted > 500, "{proof:?}");
        for process in self.apis.iter().chain(&self.workers) {
            process.wait_until_ready().await;
        }
        for (what, silence) in self.silences {
            promised(&format!("{fault}: a {what} again"), silence, most + PROBE);
        }
    }
}
