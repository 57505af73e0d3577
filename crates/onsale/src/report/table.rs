//! The result as tables of a document.

use super::faults::{COSTS, by_kind};
use super::result::Report;
use crate::digits::{grouped, millis, rate};
use crate::markdown::Column::{Figure, Text};
use crate::markdown::Table;

/// What happened, and how long it took.
pub(crate) fn of(report: &Report) -> String {
    let mut tables = format!("{}\n{}", outcome(report), latencies(report));
    if !report.faults.is_empty() {
        tables.push('\n');
        tables.push_str(&faults(report).to_string());
    }
    tables
}

/// A list: each row with its name.
fn outcome(report: &Report) -> Table {
    let (scenario, orders, verdicts) = (&report.scenario, &report.orders, &report.verdicts);
    let pace = &report.pace;
    let mut table = Table::of([Text("what"), Text("figure")]);
    let mut row = |what: &str, figure: String| table.row([what.to_owned(), figure]);
    row(
        "scenario",
        format!(
            "`{}` on {}, seed {}: {} orders by {} users within {} s, for {} × {} seats",
            scenario.name,
            report.setting.on,
            report.setting.seed,
            grouped(scenario.orders),
            grouped(u64::from(scenario.users)),
            scenario.arrival_seconds,
            grouped(u64::from(scenario.shows)),
            grouped(u64::from(scenario.seats_per_show))
        ),
    );
    row("violations", violations(report));
    if !report.missed.is_empty() {
        row("**missed**", report.missed.join("; "));
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
    row(
        "last order accepted after",
        format!(
            "{:.2} s; {} orders/s",
            pace.accepted_after_seconds,
            rate(pace.accepted_per_second)
        ),
    );
    row(
        "last verdict after",
        format!(
            "{:.2} s; {} verdicts/s",
            pace.decided_after_seconds,
            rate(pace.decided_per_second)
        ),
    );
    row(
        "waited for a verdict at most",
        format!("{} orders", grouped(pace.backlog_peak)),
    );
    let processes = report.processes.iter();
    let cpu = processes
        .clone()
        .map(|process| format!("{} {:.1}", process.name, process.cpu_micros_per_order));
    row("CPU µs per order", cpu.collect::<Vec<_>>().join(", "));
    let peaks = processes.map(|process| format!("{} {:.0}", process.name, process.peak_mib));
    row(
        "resident memory at its peak, MiB",
        peaks.collect::<Vec<_>>().join(", "),
    );
    table
}

fn violations(report: &Report) -> String {
    let found = report.violations.iter().filter(|(_, count)| **count > 0);
    let found: Vec<_> = found
        .map(|(kind, count)| format!("{} {}", kind.replace('_', " "), grouped(*count)))
        .collect();
    if found.is_empty() {
        return format!("none of {} kinds", report.violations.len());
    }
    format!("**{}**", found.join(", "))
}

/// What each kind of fault cost, in seconds.
fn faults(report: &Report) -> Table {
    let [verdict, show, acceptance] = COSTS.map(Figure);
    let head = Text("fault; longest (median) in s");
    let mut table = Table::of([head, Figure("number"), verdict, show, acceptance]);
    for kind in by_kind(&report.faults) {
        let costs = kind
            .costs
            .map(|(longest, median)| format!("{longest:.1} ({median:.1})"));
        let names = [
            kind.kind.name().replace('_', " "),
            grouped(kind.number as u64),
        ];
        table.row(names.into_iter().chain(costs));
    }
    table
}

fn latencies(report: &Report) -> Table {
    let mut table = Table::of([
        Text("ms"),
        Figure("count"),
        Figure("p50"),
        Figure("p99"),
        Figure("p99.9"),
        Figure("max"),
    ]);
    let late = report.lateness_micros.iter();
    let late = late.map(|(name, figures)| (format!("late sending of {name}"), figures));
    let latencies = report.latency_micros.iter();
    let latencies = latencies.map(|(name, figures)| (name.clone(), figures));
    for (name, figures) in latencies.chain(late) {
        table.row([
            name.replace('_', " "),
            grouped(figures.count),
            millis(figures.p50),
            millis(figures.p99),
            millis(figures.p999),
            millis(figures.max),
        ]);
    }
    table
}
