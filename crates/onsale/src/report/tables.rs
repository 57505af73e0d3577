//! The result as tables: of a document, of a terminal and of the page.

use std::fmt;

use super::faults::{COSTS, by_kind};
use super::result::{ProcessFigures, Report};
use crate::digits::{grouped, millis, rate, short};
use crate::table::Column::{Figure, Text};
use crate::table::Table;

/// What happened, and how long it took.
pub(crate) fn of_document(report: &Report) -> String {
    let faults = (!report.faults.is_empty()).then(|| faults(report));
    let tables = [
        outcome(report),
        latencies(report, &["p50", "p99", "p99.9", "max"]),
    ];
    let tables = tables.into_iter().chain(faults);
    tables
        .map(|table| table.to_string())
        .collect::<Vec<_>>()
        .join("\n")
}

/// As a terminal shows it: what did not happen is left out.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = groups(self).map(|(name, counts)| {
            let counts = counts.into_iter().filter(|(_, count)| count != "0");
            group(name, counts)
        });
        let tables = [outcome(self)]
            .into_iter()
            .chain(counts)
            .chain([
                latencies(self, &["p50", "p99", "p99.9", "max"]),
                faults(self),
                processes(self),
                answers(self),
            ])
            .filter(|table| !table.is_empty());
        for table in tables {
            writeln!(f, "{}", table.aligned())?;
        }
        Ok(())
    }
}

/// A list: each row with its name.
fn outcome(report: &Report) -> Table {
    let (orders, verdicts, pace) = (&report.orders, &report.verdicts, &report.pace);
    let (scenario, setting) = (&report.scenario, &report.setting);
    let missed = (!report.missed.is_empty()).then(|| report.missed.join("; "));
    let mut table = Table::of([Text("what"), Text("figure")]);
    let mut row = |what: &str, figure: String| table.row([what.to_owned(), figure]);
    row(
        "scenario",
        format!(
            "`{}` on {}, seed {}: {} orders by {} users within {} s, for {} × {} seats",
            scenario.name,
            setting.on,
            setting.seed,
            grouped(scenario.orders),
            grouped(u64::from(scenario.users)),
            scenario.arrival_seconds,
            grouped(u64::from(scenario.shows)),
            grouped(u64::from(scenario.seats_per_show))
        ),
    );
    row("violations", found(report));
    if let Some(missed) = missed {
        row("**missed**", missed);
    }
    row(
        "orders",
        format!(
            "{} accepted, {} refused by the gate, {} refused otherwise, {} unknown to their client",
            grouped(orders.accepted),
            grouped(orders.sold_out_by_gate),
            grouped(orders.refused),
            grouped(orders.unknown)
        ),
    );
    row(
        "verdicts",
        format!(
            "{}; {} of {} seats sold",
            grouped(verdicts.total),
            grouped(verdicts.seats_sold),
            grouped(verdicts.capacity)
        ),
    );
    let after = |seconds: f64, per_second: f64, what: &str| {
        format!("{seconds:.2} s; {} {what}/s", rate(per_second))
    };
    row(
        "last order accepted after",
        after(
            pace.accepted_after_seconds,
            pace.accepted_per_second,
            "orders",
        ),
    );
    row(
        "last verdict after",
        after(
            pace.decided_after_seconds,
            pace.decided_per_second,
            "verdicts",
        ),
    );
    row(
        "waited for a verdict at most",
        format!("{} orders", grouped(pace.backlog_peak)),
    );
    row(
        "CPU µs per order",
        of_processes(report, |process| {
            format!("{:.1}", process.cpu_micros_per_order)
        }),
    );
    row(
        "resident memory at its peak, MiB",
        of_processes(report, |process| format!("{:.0}", process.peak_mib)),
    );
    table
}

/// The figure of each, with its name.
fn of_processes(report: &Report, figure: fn(&ProcessFigures) -> String) -> String {
    let processes = report.processes.iter();
    let figures = processes.map(|process| format!("{} {}", process.name, figure(process)));
    figures.collect::<Vec<_>>().join(", ")
}

fn found(report: &Report) -> String {
    let found = report.violations.iter().filter(|(_, count)| **count > 0);
    let found: Vec<_> = found
        .map(|(kind, count)| format!("{} {}", words(kind), grouped(*count)))
        .collect();
    if found.is_empty() {
        return format!("none of {} kinds", report.violations.len());
    }
    format!("**{}**", found.join(", "))
}

/// Of a name in the JSON.
pub(super) fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// What is counted, and its figure.
type Counts = Vec<(&'static str, String)>;

/// A table of counts under their name.
pub(super) fn group(
    name: &'static str,
    counts: impl IntoIterator<Item = (&'static str, String)>,
) -> Table {
    let mut table = Table::of([Text(name), Figure("")]);
    for (what, count) in counts {
        table.row([what.to_owned(), count]);
    }
    table
}

/// What became of orders and seats, and how fast.
pub(super) fn groups(report: &Report) -> [(&'static str, Counts); 5] {
    let (orders, verdicts, holds) = (&report.orders, &report.verdicts, &report.holds);
    let (pace, readers) = (&report.pace, &report.readers);
    let websocket = &readers.websocket;
    let counts = |counts: &[(&'static str, u64)]| {
        let counts = counts.iter();
        counts
            .map(|(what, count)| (*what, grouped(*count)))
            .collect()
    };
    [
        (
            "orders",
            counts(&[
                ("planned", orders.planned),
                ("sent", orders.sent),
                ("sent again", orders.sent_again),
                ("with an Idempotency-Key", orders.keyed),
                ("accepted", orders.accepted),
                ("refused by the sold-out gate", orders.sold_out_by_gate),
                ("refused otherwise", orders.refused),
                ("unknown to their clients", orders.unknown),
                ("of these decided", orders.unknown_and_decided),
            ]),
        ),
        (
            "verdicts",
            counts(&[
                ("decided", verdicts.total),
                ("reserved", verdicts.reserved),
                ("confirmed at once", verdicts.confirmed),
                ("sold out", verdicts.sold_out),
                ("limit exceeded", verdicts.limit_exceeded),
                ("rejected otherwise", verdicts.rejected_otherwise),
                ("confirmed in the end", verdicts.confirmed_at_the_end),
                ("expired", verdicts.expired),
                ("cancelled", verdicts.cancelled),
                ("seats there were", verdicts.capacity),
                ("seats sold", verdicts.seats_sold),
                ("seats held in the end", verdicts.seats_held),
            ]),
        ),
        (
            "holds",
            counts(&[
                ("confirmations asked for", holds.confirmations),
                ("confirmed", holds.confirmed),
                ("cancellations asked for", holds.cancellations),
                ("cancelled by their buyers", holds.cancelled),
                ("too late for the hold", holds.too_late),
                ("changes without an answer", holds.unknown),
                ("changes refused otherwise", holds.refused),
            ]),
        ),
        (
            "pace",
            vec![
                (
                    "last order accepted after s",
                    format!("{:.2}", pace.accepted_after_seconds),
                ),
                ("accepted per second", rate(pace.accepted_per_second)),
                (
                    "last verdict after s",
                    format!("{:.2}", pace.decided_after_seconds),
                ),
                ("decided per second", rate(pace.decided_per_second)),
                ("waited at most", grouped(pace.backlog_peak)),
            ],
        ),
        (
            "buyers that read their verdict",
            counts(&[
                ("by polling", readers.polling),
                ("by a subscription", readers.subscribing),
                ("of both, heard it", readers.heard),
                ("WebSocket connections", websocket.connections as u64),
                ("WebSocket connections opened again", websocket.reopened),
                ("subscriptions", websocket.subscriptions),
                (
                    "waited for a subscription",
                    websocket.waited_for_subscription,
                ),
            ]),
        ),
    ]
}

/// With these of the quantiles.
pub(super) fn latencies(report: &Report, quantiles: &[&'static str]) -> Table {
    let heads = quantiles.iter().map(|quantile| Figure(quantile));
    let head = [Text("ms"), Figure("count")].into_iter().chain(heads);
    let mut table = Table::of(head.collect::<Vec<_>>());
    for (name, figures) in report.latencies() {
        let all = figures.quantiles().into_iter();
        let asked = all.filter(|(quantile, _)| quantiles.contains(quantile));
        let cells = asked.map(|(_, micros)| millis(micros));
        table.row([name, grouped(figures.count)].into_iter().chain(cells));
    }
    table
}

/// What each kind of fault cost, in seconds.
pub(super) fn faults(report: &Report) -> Table {
    let [verdict, show, acceptance] = COSTS.map(|(cost, _)| Figure(cost));
    let head = Text("fault; longest (median) in s");
    let mut table = Table::of([head, Figure("number"), verdict, show, acceptance]);
    for kind in by_kind(&report.faults) {
        let costs = kind
            .costs
            .map(|(longest, median)| format!("{longest:.1} ({median:.1})"));
        let names = [words(kind.kind.name()), grouped(kind.number as u64)];
        table.row(names.into_iter().chain(costs));
    }
    table
}

/// Every fault, in seconds.
pub(super) fn each_fault(report: &Report) -> Table {
    let [verdict, show, acceptance] = COSTS.map(|(cost, _)| Figure(cost));
    let mut table = Table::of([
        Text("fault"),
        Text("of"),
        Figure("at s"),
        Figure("lasted s"),
        verdict,
        show,
        acceptance,
    ]);
    for fault in &report.faults {
        let costs = COSTS.map(|(_, cost)| cost(fault));
        let seconds = [fault.at_seconds, fault.lasted_seconds]
            .into_iter()
            .chain(costs);
        let seconds = seconds.map(|seconds| format!("{seconds:.2}"));
        table.row(
            [words(fault.kind.name()), fault.target.clone()]
                .into_iter()
                .chain(seconds),
        );
    }
    table
}

pub(super) fn processes(report: &Report) -> Table {
    let mut table = Table::of([
        Text("process"),
        Figure("start MiB"),
        Figure("peak MiB"),
        Figure("end MiB"),
        Figure("CPU s"),
        Figure("CPU µs per order"),
    ]);
    for process in &report.processes {
        let figures = [
            process.start_mib,
            process.peak_mib,
            process.end_mib,
            process.cpu_seconds,
            process.cpu_micros_per_order,
        ];
        let figures = figures.map(|figure| format!("{figure:.1}"));
        table.row([process.name.clone()].into_iter().chain(figures));
    }
    table
}

/// Answers, requests without one, and messages.
pub(super) fn answers(report: &Report) -> Table {
    let mut table = Table::of([Text("request"), Text("answer"), Figure("count")]);
    for answer in &report.answers {
        let what = format!("{} {}", answer.status, answer.code);
        table.row([answer.request.to_string(), what, grouped(answer.count)]);
    }
    for unanswered in &report.unanswered {
        let why = words(&unanswered.why.to_string());
        table.row([
            unanswered.request.to_string(),
            why,
            grouped(unanswered.count),
        ]);
    }
    for (what, count) in &report.readers.websocket.messages {
        table.row(["websocket".to_owned(), what.clone(), grouped(*count)]);
    }
    table
}

/// What the run was, and on what.
pub(super) fn run(report: &Report) -> Table {
    let (setting, connections) = (&report.setting, &report.connections);
    let provenance = &setting.provenance;
    let machine = &provenance.machine;
    let mut table = Table::of([Text("what"), Text("value")]);
    for (what, value) in [
        ("run", setting.run.clone()),
        ("seed", setting.seed.to_string()),
        ("on", setting.on.clone()),
        ("ended", words(&report.ending.to_string())),
        ("measured at", provenance.measured_at.clone()),
        ("commit", provenance.commit.clone()),
        ("command", provenance.command.clone()),
        ("machine", machine.processor.clone()),
        ("cores", machine.cores.to_string()),
        ("memory in MiB", machine.memory_mib.to_string()),
        ("system", machine.system.clone()),
        (
            "connections before the start",
            connections.before_start.to_string(),
        ),
        (
            "opened in seconds",
            format!("{:.2}", connections.opening_seconds),
        ),
        (
            "connections needed",
            format!("{} of {}", connections.used, connections.limit),
        ),
    ] {
        table.row([what.to_owned(), value]);
    }
    if let Some(seconds) = setting.users_seconds {
        table.row(["users made in seconds", &format!("{seconds:.2}")]);
    }
    for (name, version) in &provenance.versions {
        table.row([name, version]);
    }
    table
}

/// Every value of the plots.
pub(super) fn over_time(report: &Report) -> Table {
    let series = &report.series;
    let rates = |values: &[f64]| values.iter().map(|value| rate(*value)).collect();
    let counts = |values: &[u64]| values.iter().map(|value| grouped(*value)).collect();
    let columns: [(&'static str, Vec<String>); 11] = [
        (
            "until s",
            series.instants().into_iter().map(short).collect(),
        ),
        ("due/s", rates(&series.arrivals_per_second)),
        ("sent/s", rates(&series.sent_per_second)),
        ("accepted/s", rates(&series.accepted_per_second)),
        ("gate/s", rates(&series.refused_by_gate_per_second)),
        ("verdicts/s", rates(&series.verdicts_per_second)),
        ("heard/s", rates(&series.heard_per_second)),
        ("backlog", counts(&series.backlog)),
        ("available", counts(&series.available)),
        ("held", counts(&series.held)),
        ("sold", counts(&series.sold)),
    ];
    let mut table = Table::of(columns.each_ref().map(|(name, _)| Figure(name)));
    for place in 0..columns[0].1.len() {
        let cells = columns.iter().map(|(_, values)| values.get(place));
        table.row(cells.map(|cell| cell.cloned().unwrap_or_default()));
    }
    table
}
