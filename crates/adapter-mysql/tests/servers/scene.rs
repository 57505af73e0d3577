//! A store on servers of a test's own.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use adapter_mysql::{MySqlConfig, MySqlStore};
use domain::order::Order;
use domain::ports::{Clock, ShowRepository, TicketLedger, UserRepository};
use domain::receipt::TicketId;
use domain::rule::{TransitionKind, TransitionOutcome, TransitionRequest};
use domain::time::Timestamp;
use port_contracts::fixtures::{self, OrderSource};

pub(crate) const DATABASE: &str = "tickets";
pub(crate) const USER: &str = "1";
pub(crate) const SHOW: &str = "a";

pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_micros(i64::try_from(now.as_micros()).unwrap()).unwrap()
    }
}

pub(crate) fn config(urls: Vec<String>) -> MySqlConfig {
    MySqlConfig {
        urls,
        only_reads: false,
        max_connections: 12,
        read_timeout: Duration::from_secs(3),
        max_clock_skew: Duration::from_secs(1),
    }
}

pub(crate) fn store(urls: Vec<String>) -> Arc<MySqlStore> {
    Arc::new(MySqlStore::new(&config(urls), Arc::new(SystemClock)).unwrap())
}

/// A show with holds of a minute, and a user.
pub(crate) async fn prepare(store: &MySqlStore, seats: u32) {
    store.migrate().await.unwrap();
    let show = fixtures::holding_show(SHOW, seats, 60);
    ShowRepository::create(store, &show, None).await.unwrap();
    let user = fixtures::user(USER);
    UserRepository::create(store, &user, None).await.unwrap();
}

/// Orders of one seat each, from now.
pub(crate) fn orders(source: &OrderSource, count: usize) -> Vec<Order> {
    let mut orders = source.orders(count, SHOW, USER);
    for order in &mut orders {
        order.requested_at = SystemClock.now();
    }
    orders
}

pub(crate) async fn confirm(store: &MySqlStore, ticket_id: TicketId) -> Option<TransitionOutcome> {
    let request = TransitionRequest {
        ticket_id,
        kind: TransitionKind::Confirm,
        holder: None,
    };
    let report = store.transition(&[request]).await.ok()?;
    report.outcomes.into_iter().next()
}
