//! Closed-loop load: each connection sends its next request when the last one is answered.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use hdrhistogram::Histogram;

use crate::endpoint::Endpoint;
use crate::http::{Connection, Response};

/// What is sent, and what is done with the answers. One value serves all connections.
pub trait Requests {
    /// What an answer's request is known by.
    type Mark;

    /// Writes the next request and returns a mark for its answer; `None` if there is none left.
    fn next(&mut self, request: &mut Vec<u8>) -> Option<Self::Mark>;

    /// Looks at the answer of the request with this mark.
    fn answered(&mut self, mark: Self::Mark, response: Response<'_>);
}

/// What a run measured.
#[derive(Debug)]
pub struct Measured {
    /// Answers by status code.
    pub by_status: BTreeMap<u16, u64>,
    /// Time from sending to the whole answer, in µs, of every answer.
    pub latency_micros: Histogram<u64>,
    /// When the first request was sent.
    pub started: Instant,
    /// From the first request to the last answer.
    pub elapsed: Duration,
}

impl Measured {
    /// Answers with this status.
    #[must_use]
    pub fn count(&self, status: u16) -> u64 {
        self.by_status.get(&status).copied().unwrap_or_default()
    }

    /// How many answers came, whatever their status.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.by_status.values().sum()
    }

    /// Refuses a run with any other answer: its figures would be those of something else.
    ///
    /// # Errors
    /// Names the answers.
    pub fn expect_only(&self, status: u16) -> anyhow::Result<()> {
        ensure!(
            self.count(status) == self.answers(),
            "not all answers were {status}: {:?}",
            self.by_status
        );
        Ok(())
    }

    /// Answers with this status per second.
    #[must_use]
    pub fn rate(&self, status: u16) -> f64 {
        ratio(self.count(status), self.elapsed.as_secs_f64())
    }
}

/// Divides a count by a measure, such as seconds.
#[must_use]
pub fn ratio(count: u64, by: f64) -> f64 {
    // Counts of a run are far below 2^52.
    u32::try_from(count).map_or(f64::INFINITY, f64::from) / by
}

/// Drives `requests` over `connections` until there is none left or `time` is over.
///
/// # Errors
/// When a connection cannot be opened or breaks: nothing measured then means anything.
pub async fn drive(
    to: impl Into<Endpoint>,
    connections: usize,
    time: Option<Duration>,
    requests: &mut impl Requests,
) -> anyhow::Result<Measured> {
    let endpoint = to.into();
    let opening = (0..connections).map(|_| Connection::open(endpoint.clone()));
    let opened = try_join_all(opening)
        .await
        .with_context(|| format!("connecting to {}", endpoint.address))?;
    let shared = RefCell::new((
        requests,
        BTreeMap::<u16, u64>::new(),
        Histogram::<u64>::new(3).context("histogram")?,
    ));
    let started = Instant::now();
    let deadline = time.map(|time| started + time);
    let each = opened.into_iter().map(|mut connection| {
        let shared = &shared;
        async move {
            let mut request = Vec::with_capacity(512);
            loop {
                let sent = Instant::now();
                if deadline.is_some_and(|deadline| sent >= deadline) {
                    return anyhow::Ok(());
                }
                request.clear();
                let Some(mark) = shared.borrow_mut().0.next(&mut request) else {
                    return Ok(());
                };
                let response = connection.exchange(&request).await?;
                let took = u64::try_from(sent.elapsed().as_micros())?;
                let (requests, by_status, latency) = &mut *shared.borrow_mut();
                *by_status.entry(response.status).or_default() += 1;
                latency.record(took.max(1))?;
                requests.answered(mark, response);
            }
        }
    });
    try_join_all(each).await.context("a connection broke")?;
    let elapsed = started.elapsed();
    let (_, by_status, latency_micros) = shared.into_inner();
    Ok(Measured {
        by_status,
        latency_micros,
        started,
        elapsed,
    })
}
