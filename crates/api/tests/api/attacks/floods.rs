//! Who sends more than he may, beside somebody who does not. `limits.rs` has the limits
//! themselves, `crowd.rs` the clients that only sit there.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Client;
use serde_json::json;

use crate::helpers::{SHOW, TestService, USER, send};
use crate::identity::{ADMIN, buyer, guarded};

/// Requests of the flood that are under way at any time.
const AT_ONCE: usize = 32;
const LIMIT: usize = 300;
/// Of the other client, within the limit.
const ORDERS: usize = 200;

struct Buyer {
    url: String,
    client: Client,
    token: String,
}

impl Buyer {
    /// From `127.0.0.<last>`.
    fn new(service: &TestService, user: &str, last: u8) -> Self {
        let address = IpAddr::from([127, 0, 0, last]);
        Self {
            url: format!("{}/tickets", service.url),
            client: Client::builder().local_address(address).build().unwrap(),
            token: buyer(user),
        }
    }

    async fn order(&self) -> u16 {
        let order = self.client.post(&self.url).bearer_auth(&self.token);
        let sent = send(order.json(&json!({"show_id": SHOW}))).await;
        sent.unwrap().status().as_u16()
    }
}

#[derive(Default)]
struct Flood {
    is_over: AtomicBool,
    answered: AtomicUsize,
    taken: AtomicUsize,
}

impl Flood {
    /// Goes on until it is over.
    async fn run(&self, buyers: &[Buyer]) {
        let each = buyers.iter().cycle().take(AT_ONCE);
        join_all(each.map(|buyer| self.repeat(buyer))).await;
    }

    async fn repeat(&self, buyer: &Buyer) {
        while !self.is_over.load(Ordering::Relaxed) {
            let status = buyer.order().await;
            assert!([202, 429].contains(&status), "{status}");
            self.answered.fetch_add(1, Ordering::Relaxed);
            self.taken
                .fetch_add(usize::from(status == 202), Ordering::Relaxed);
        }
    }
}

/// What the other client's orders waited for: of the flood's answers, and in time.
#[derive(Default)]
struct Waits {
    overtaken: Vec<usize>,
    times: Vec<Duration>,
}

impl Waits {
    /// Each order is taken, and answered before the next.
    async fn of(other: &Buyer, flood: &Flood) -> Self {
        let mut waits = Self::default();
        for number in 0..ORDERS / 2 {
            let (before, sent) = (flood.answered.load(Ordering::Relaxed), Instant::now());
            assert_eq!(other.order().await, 202, "order {number}");
            waits.times.push(sent.elapsed());
            let after = flood.answered.load(Ordering::Relaxed);
            waits.overtaken.push(after - before);
        }
        waits.overtaken.sort_unstable();
        waits.times.sort_unstable();
        waits
    }
}

/// The other client's orders alone, and then the same beside the flood.
async fn beside(flooding: Vec<Buyer>, other: &Buyer) {
    let flood = Flood::default();
    let alone = Waits::of(other, &flood).await;
    let orders = async {
        let waits = Waits::of(other, &flood).await;
        flood.is_over.store(true, Ordering::Relaxed);
        waits
    };
    let ((), waits) = tokio::join!(flood.run(&flooding), orders);
    let [middle, late] = [2, 10].map(|part| waits.overtaken.len() - waits.overtaken.len() / part);
    let (answered, taken) = (flood.answered.into_inner(), flood.taken.into_inner());
    eprintln!(
        "{answered} orders of the flood, {taken} taken; of its answers {} and {} (median, p90) \
         came before one of the other's; p90 {:?} instead of {:?}",
        waits.overtaken[middle], waits.overtaken[late], waits.times[late], alone.times[late]
    );
    // More only if the flood lasted long enough for new tokens.
    assert!(
        answered > ORDERS && taken < LIMIT + ORDERS,
        "{taken} of {answered}"
    );
    // Served in turn: a few rounds of the flood, which has so many under way, and no more.
    assert!(
        waits.overtaken[middle] <= 4 * AT_ONCE,
        "{:?}",
        waits.overtaken
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_from_one_address_holds_up_nobody_else() {
    let service = guarded(&[("APP__LIMITS__ORDERS_PER_ADDRESS", "300/h")]).await;
    service.create_user_by(ADMIN, "2").await;
    let flooding = vec![Buyer::new(&service, USER, 2)];
    beside(flooding, &Buyer::new(&service, "2", 3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_one_user_from_many_addresses_holds_up_nobody_else() {
    let service = guarded(&[("APP__LIMITS__ORDERS_PER_USER", "300/h")]).await;
    service.create_user_by(ADMIN, "2").await;
    let addresses = 3..11;
    let flooding = addresses.map(|last| Buyer::new(&service, USER, last));
    beside(flooding.collect(), &Buyer::new(&service, "2", 2)).await;
}
