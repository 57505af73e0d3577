//! Tools of the cases.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use domain::order::{Lane, Order};
use domain::ports::{ConsumeError, DeliveryBatch, LaneConsumer, TicketConsumer};
use tokio::sync::Barrier;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::timeout;

use crate::set_up::LANES;

/// The longest that any case, and anything in it, may take. Only what hangs takes
/// as long: a test must not fail because the machine is busy.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Prints how long something took. No test fails for it, because a busy machine is
/// no fault: `make bench` and `make chaos` judge how fast it is.
#[expect(
    clippy::print_stderr,
    reason = "a figure for readers of the tests' output"
)]
pub fn measured(what: &str, took: Duration) {
    eprintln!("measured: {what} after {:.3} s", took.as_secs_f64());
}

/// Prints how long something took that the documentation promises within `limit`. On a machine
/// that is quiet, which `TICKETS_TEST_PROMISES=1` says, a test fails for a promise that is not kept.
///
/// # Panics
/// Then.
pub fn promised(what: &str, took: Duration, limit: Duration) {
    measured(what, took);
    let is_quiet = std::env::var("TICKETS_TEST_PROMISES").is_ok_and(|told| told == "1");
    if is_quiet && limit < took {
        panic!("{what}: promised within {limit:?}, and took {took:?}");
    }
}

/// Waits for `future`, at most [`DEADLINE`].
///
/// # Panics
/// After the deadline; `what` names what did not happen.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(DEADLINE, Box::pin(future)).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not within {DEADLINE:?}"),
    }
}

/// Runs `count` tasks that start together and returns what they return, by number.
pub(crate) async fn concurrently<F>(count: usize, task: impl Fn(usize) -> F) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let start = Arc::new(Barrier::new(count));
    let tasks: Vec<_> = (0..count)
        .map(|number| {
            let start = Arc::clone(&start);
            let task = task(number);
            tokio::spawn(async move {
                start.wait().await;
                task.await
            })
        })
        .collect();
    let mut outputs = Vec::with_capacity(count);
    for task in tasks {
        outputs.push(within("a task", task).await.unwrap());
    }
    outputs
}

/// Tasks that do the same again and again until they are stopped.
pub(crate) struct Background {
    is_over: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Background {
    pub(crate) fn repeat<F>(
        count: usize,
        task: impl Fn() -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send,
    {
        let is_over = Arc::new(AtomicBool::new(false));
        let tasks = (0..count)
            .map(|_| {
                let (is_over, task) = (Arc::clone(&is_over), task.clone());
                tokio::spawn(async move {
                    while !is_over.load(Ordering::Relaxed) {
                        task().await;
                        yield_now().await;
                    }
                })
            })
            .collect();
        Self { is_over, tasks }
    }

    /// Panics if one of them did.
    pub(crate) async fn stop(self) {
        self.is_over.store(true, Ordering::Relaxed);
        for task in self.tasks {
            within("a background task", task).await.unwrap();
        }
    }
}

/// Polls `future` up to `polls` times, as often as it is woken, then drops it.
/// `None` if it was not done by then.
pub(crate) async fn give_up_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut polled = 0;
    poll_fn(|context| {
        if polled == polls {
            return Poll::Ready(None);
        }
        polled += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polled == polls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// All of a list, in pages behind the last one that is known.
pub(crate) async fn in_pages<T>(limit: usize, page: impl AsyncFn(Option<&T>) -> Vec<T>) -> Vec<T> {
    let mut all = Vec::new();
    loop {
        let page = page(all.last()).await;
        assert!(page.len() <= limit);
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// Has every lane open, and opens again what it loses.
pub(crate) struct OpenLanes {
    consumer: Arc<dyn TicketConsumer>,
    open: BTreeMap<Lane, Box<dyn LaneConsumer>>,
}

impl OpenLanes {
    pub(crate) async fn all(consumer: &Arc<dyn TicketConsumer>) -> Self {
        let mut lanes = Self {
            consumer: Arc::clone(consumer),
            open: BTreeMap::new(),
        };
        for lane in LANES.iter() {
            lanes.lane(lane).await;
        }
        lanes
    }

    /// Closes a lane by dropping it, as a process does that ends.
    pub(crate) fn drop_lane(&mut self, lane: Lane) {
        self.open.remove(&lane);
    }

    /// Closes a lane.
    pub(crate) async fn close(&mut self, lane: Lane) {
        if let Some(open) = self.open.remove(&lane) {
            within("close", open.close()).await;
        }
    }

    /// The consumer of a lane, opened again if it was closed.
    pub(crate) async fn lane(&mut self, lane: Lane) -> &mut dyn LaneConsumer {
        if !self.open.contains_key(&lane) {
            let open = within("open_lane", self.consumer.open_lane(lane)).await;
            let open = open.unwrap();
            assert_eq!(open.lane(), lane);
            self.open.insert(lane, open);
        }
        self.open.get_mut(&lane).unwrap().as_mut()
    }

    /// The next batch of a lane, opened again if it was lost.
    pub(crate) async fn next_batch(&mut self, lane: Lane, max: usize) -> Box<dyn DeliveryBatch> {
        loop {
            let consumer = self.lane(lane).await;
            match within("next_batch", consumer.next_batch(max)).await {
                Ok(batch) => return checked(batch, lane, max),
                Err(ConsumeError::LaneLost | ConsumeError::Unavailable(_)) => {
                    self.close(lane).await
                }
                Err(newer @ ConsumeError::NewerVersion { .. }) => panic!("{newer}"),
            }
        }
    }

    /// Takes and acks `count` orders of a lane, `max` at a time.
    pub(crate) async fn drain(&mut self, lane: Lane, count: usize, max: usize) -> Vec<Order> {
        let mut orders = Vec::with_capacity(count);
        while orders.len() < count {
            let batch = self.next_batch(lane, max.min(count - orders.len())).await;
            orders.extend_from_slice(batch.orders());
            batch.ack().await.unwrap();
        }
        orders
    }
}

/// What is true of every batch.
fn checked(batch: Box<dyn DeliveryBatch>, lane: Lane, max: usize) -> Box<dyn DeliveryBatch> {
    let orders = batch.orders();
    assert!(
        (1..=max).contains(&orders.len()),
        "{} orders in a batch of at most {max}",
        orders.len()
    );
    assert!(
        orders.iter().all(|order| LANES.of(&order.show_id) == lane),
        "an order came out of another lane than its show's"
    );
    batch
}
