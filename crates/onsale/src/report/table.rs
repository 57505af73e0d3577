//! The result as tables of a document.

use super::faults::{COSTS, by_kind};
use super::result::{ProcessFigures, Report};
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
    let (orders, verdicts, pace) = (&report.orders, &report.verdicts, &report.pace);
    let mut table = Table::of([Text("what"), Text("figure")]);
    let mut row = |what: &str, figure: String| table.row([what.to_owned(), figure]);
    row("scenario", scenario(report));
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

fn scenario(report: &Report) -> String {
    let (scenario, setting) = (&report.scenario, &report.setting);
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
    )
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
    let [verdict, show, acceptance] = COSTS.map(|(cost, _)| Figure(cost));
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
    for (name, figures) in report.latencies() {
        table.row([
            name,
            grouped(figures.count),
            millis(figures.p50),
            millis(figures.p99),
            millis(figures.p999),
            millis(figures.max),
        ]);
    }
    table
}
