//! What processes told Prometheus of a sale, number by number beside what clients were told and
//! what the store has.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use black_box::metrics::{Sample, scrape};
use black_box::proof::ticket::{State, StoredTicket};
use tokio::time::{Instant, sleep};

use crate::outcome::MetricsFigures;
use crate::outcome::tally::{Step, Tally, Why};

/// Dead letters are counted every 5 s, and what waits is heard of.
const PATIENCE: Duration = Duration::from_secs(12);
const PAUSE: Duration = Duration::from_millis(200);

/// Orders by what was answered.
const ORDERS: &str = "tickets_orders_total";
/// Verdicts.
const DECISIONS: &str = "tickets_decisions_total";
/// Changes after them.
const CHANGES: &str = "tickets_changes_total";
/// Nothing is left of a sale that is over.
const LEFT: [&str; 3] = [
    "tickets_dead_letters",
    "tickets_waiting_orders",
    "tickets_oldest_undecided_seconds",
];

/// By name, with what the labels say.
type Figures = BTreeMap<String, f64>;

/// The processes of a run, as they stood before it.
pub(super) struct Metrics {
    processes: Vec<SocketAddr>,
    before: Figures,
}

impl Metrics {
    /// Reads them for the first time.
    pub(super) async fn before(processes: &[SocketAddr]) -> anyhow::Result<Self> {
        Ok(Self {
            processes: processes.to_vec(),
            before: figures(processes).await?,
        })
    }

    /// Compares what was counted since with what is known, until both agree or nothing changes it
    /// any more. `None` of no process.
    pub(super) async fn compare(
        &self,
        tally: &Tally,
        tickets: &[StoredTicket],
    ) -> anyhow::Result<Option<MetricsFigures>> {
        if self.processes.is_empty() {
            return Ok(None);
        }
        let known = known(tally, tickets);
        let started = Instant::now();
        loop {
            let now = figures(&self.processes).await?;
            let differences = self.differences(&now, &known, unanswered(tally));
            if differences.is_empty() || started.elapsed() > PATIENCE {
                let compared = now.len();
                return Ok(Some(MetricsFigures {
                    processes: self.processes.len(),
                    compared,
                    differences,
                }));
            }
            sleep(PAUSE).await;
        }
    }

    /// Of orders without an answer each may have been counted as one more of any kind.
    fn differences(&self, now: &Figures, known: &Figures, mut unanswered: f64) -> Vec<String> {
        let names = now
            .keys()
            .chain(known.keys().filter(|name| !now.contains_key(*name)));
        let differs = |name: &String| {
            let known = known.get(name).copied().unwrap_or_default();
            let Some(now) = now.get(name) else {
                return Some(format!("metrics: no process has {name}, which is {known}"));
            };
            let counted = now - self.before.get(name).copied().unwrap_or_default();
            let more = counted - known;
            if name.starts_with(ORDERS) && more > 0.0 && more <= unanswered {
                unanswered -= more;
                return None;
            }
            (more != 0.0).then(|| format!("metrics: {name} is {counted}, not {known}"))
        };
        names.filter_map(differs).collect()
    }
}

/// What all processes count together; what each says of all is the most of them.
async fn figures(processes: &[SocketAddr]) -> anyhow::Result<Figures> {
    let mut figures = Figures::new();
    for process in processes {
        for sample in scrape(*process).await? {
            let Some(name) = figure(&sample) else {
                continue;
            };
            let figure = figures.entry(name).or_default();
            *figure = if LEFT.contains(&&*sample.name) {
                figure.max(sample.value)
            } else {
                *figure + sample.value
            };
        }
    }
    Ok(figures)
}

/// What a sample is compared by, if it is.
fn figure(sample: &Sample) -> Option<String> {
    let status = || State::read(sample.label("status"), Some(sample.label("reason")));
    match &*sample.name {
        ORDERS => Some(orders(sample.label("result"))),
        DECISIONS => status().map(|state| of(DECISIONS, state)),
        CHANGES => status().map(|state| of(CHANGES, state)),
        name => LEFT.contains(&name).then(|| name.to_owned()),
    }
}

fn orders(result: &str) -> String {
    format!("{ORDERS} of {result}")
}

fn of(name: &str, state: State) -> String {
    format!("{name} of {state:?}")
}

/// What the same figures are by what clients heard and by the store.
fn known(tally: &Tally, tickets: &[StoredTicket]) -> Figures {
    let mut known: Figures = LEFT.map(|name| (name.to_owned(), 0.0)).into();
    for ((step, status, code), count) in &tally.answers {
        let result = match (status, code.as_str()) {
            (202, _) => "accepted",
            (200, _) => "replayed",
            (_, code) => code,
        };
        if *step == Step::Order {
            *known.entry(orders(result)).or_default() += *count as f64;
        }
    }
    for ticket in tickets {
        *known.entry(of(DECISIONS, ticket.verdict)).or_default() += 1.0;
        if ticket.state != ticket.verdict {
            *known.entry(of(CHANGES, ticket.state)).or_default() += 1.0;
        }
    }
    known
}

/// Orders that may have been answered without anybody hearing it.
fn unanswered(tally: &Tally) -> f64 {
    let unanswered = tally.unanswered.iter();
    let sent =
        unanswered.filter(|((why, step), _)| *step == Step::Order && *why != Why::Unreachable);
    sent.map(|(_, count)| *count as f64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_is_compared_with_what_is_known() {
        let figures = |figures: &[(&str, f64)]| {
            let named = figures
                .iter()
                .map(|(name, value)| ((*name).to_owned(), *value));
            named.collect::<Figures>()
        };
        let (accepted, decided) = (orders("accepted"), of(DECISIONS, State::Confirmed));
        let metrics = Metrics {
            processes: Vec::new(),
            before: figures(&[(&accepted, 100.0)]),
        };
        let known = figures(&[(&accepted, 7.0), (&decided, 7.0)]);
        let differences = |now: &[(&str, f64)], unanswered| {
            metrics.differences(&figures(now), &known, unanswered)
        };
        let agrees = [(&*accepted, 107.0), (&decided, 7.0)];
        assert!(differences(&agrees, 0.0).is_empty());
        // One was accepted whose client heard nothing.
        let one_more = [(&*accepted, 108.0), (&decided, 7.0)];
        assert!(differences(&one_more, 1.0).is_empty());
        for (now, unanswered, told) in [
            (&one_more[..], 0.0, "accepted is 8, not 7"),
            (&[(&accepted, 109.0), (&decided, 7.0)], 1.0, "is 9, not 7"),
            (&[(&accepted, 106.0), (&decided, 7.0)], 9.0, "is 6, not 7"),
            (
                &[(&accepted, 107.0), (&decided, 8.0)],
                9.0,
                "Confirmed is 8",
            ),
            (
                &[(&accepted, 107.0)],
                9.0,
                "no process has tickets_decisions_total",
            ),
            (
                &[(&accepted, 107.0), (&decided, 7.0), (LEFT[0], 1.0)],
                0.0,
                "tickets_dead_letters is 1, not 0",
            ),
        ] {
            let differences = differences(now, unanswered);
            let [difference] = &differences[..] else {
                panic!("{differences:?}");
            };
            assert!(difference.contains(told), "{difference}");
        }
    }
}
