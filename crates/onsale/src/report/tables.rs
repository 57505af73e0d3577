//! The result as tables: of a document, of a terminal and of the page.

use std::borrow::Cow;
use std::fmt;

use fields::Value;
use serde::Serialize;

use super::faults::{COSTS, by_kind};
use super::result::{ProcessFigures, Report};
use crate::digits::{grouped, millis, rate, short};
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
        let counts = groups(self).map(|table| table.without("0"));
        let tables = [outcome(self)]
            .into_iter()
            .chain(counts)
            .chain([
                latencies(self, &["p50", "p99", "p99.9", "max"]),
                faults(self),
                records(&self.processes),
                records(&self.answers),
                records(&self.unanswered),
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
    let (scenario, setting) = (&report.scenario, &report.setting);
    let (orders, verdicts, pace) = (&report.orders, &report.verdicts, &report.pace);
    let mut table = Table::of("what | figure");
    let wanted = format!(
        "`{}` on {}, seed {}: {} orders by {} users within {} s, for {} × {} seats",
        scenario.name,
        setting.on,
        setting.seed,
        grouped(scenario.orders),
        grouped(u64::from(scenario.users)),
        scenario.arrival_seconds,
        grouped(u64::from(scenario.shows)),
        grouped(u64::from(scenario.seats_per_show))
    );
    table.row(["scenario", &wanted]);
    table.row(["violations", &found(report)]);
    if !report.missed.is_empty() {
        table.row(["**missed**", &report.missed.join("; ")]);
    }
    let [accepted, by_gate] = [orders.accepted, orders.sold_out_by_gate].map(grouped);
    let [refused, unknown] = [orders.refused, orders.unknown].map(grouped);
    table.line(&format!(
        "orders | {accepted} accepted, {by_gate} refused by the gate, \
         {refused} refused otherwise, {unknown} unknown to their client"
    ));
    let decided = grouped(verdicts.total);
    let [sold, seats] = [verdicts.seats_sold, verdicts.capacity].map(grouped);
    table.line(&format!(
        "verdicts | {decided}; {sold} of {seats} seats sold"
    ));
    let (after, pace_of) = (pace.accepted_after_seconds, rate(pace.accepted_per_second));
    table.line(&format!(
        "last order accepted after | {after:.2} s; {pace_of} orders/s"
    ));
    let (after, pace_of) = (pace.decided_after_seconds, rate(pace.decided_per_second));
    table.line(&format!(
        "last verdict after | {after:.2} s; {pace_of} verdicts/s"
    ));
    let waited = grouped(pace.backlog_peak);
    table.line(&format!("waited for a verdict at most | {waited} orders"));
    if let Some(metrics) = &report.metrics {
        let agree = match metrics.differences.len() {
            0 => "all agree".to_owned(),
            number => format!("**{number} do not agree**"),
        };
        table.line(&format!("metrics | {} figures; {agree}", metrics.compared));
    }
    let cpu = |process: &ProcessFigures| process.cpu_micros_per_order;
    table.row(["CPU µs per order", &of_processes(report, 1, cpu)]);
    let peak = of_processes(report, 0, |process| process.peak_mib);
    table.row(["resident memory at its peak, MiB", &peak]);
    table
}

/// The figure of each with so many digits, and its name.
fn of_processes(report: &Report, digits: usize, figure: fn(&ProcessFigures) -> f64) -> String {
    let processes = report.processes.iter();
    let figures = processes.map(|process| format!("{} {:.digits$}", process.name, figure(process)));
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

/// With these of the quantiles.
pub(super) fn latencies(report: &Report, quantiles: &[&'static str]) -> Table {
    let mut table = Table::of(&format!("ms | count: | {}:", quantiles.join(": | ")));
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
    let costs = COSTS.map(|(cost, _)| format!("{cost}:")).join(" | ");
    let heads = format!("fault; longest (median) in s | number: | {costs}");
    let mut table = Table::of(&heads);
    for kind in by_kind(&report.faults) {
        let costs = kind
            .costs
            .map(|(longest, median)| format!("{longest:.1} ({median:.1})"));
        let names = [words(kind.kind.name()), grouped(kind.number as u64)];
        table.row(names.into_iter().chain(costs));
    }
    table
}

/// What became of orders and seats, and how fast.
pub(super) fn groups(report: &Report) -> [Table; 5] {
    [
        list("orders | :", &report.orders, grouped),
        list("verdicts | :", &report.verdicts, grouped),
        list("holds | :", &report.holds, grouped),
        list("pace | :", &report.pace, grouped),
        list("readers | :", &report.readers, grouped),
    ]
}

fn json(part: &impl Serialize) -> String {
    // It is plain data.
    serde_json::to_string(part).unwrap_or_default()
}

/// A part of the result as a list of its fields.
pub(super) fn list(heads: &str, part: &impl Serialize, whole: fn(u64) -> String) -> Table {
    let mut table = Table::of(heads);
    if let Ok(Value::Table(part)) = serde_json::from_str(&json(part)) {
        add(&mut table, "", part, whole);
    }
    table
}

/// The parts in it, too.
fn add(
    table: &mut Table,
    of: &str,
    part: Vec<(Cow<'_, str>, Value<'_>)>,
    whole: fn(u64) -> String,
) {
    for (name, value) in part {
        let name = of.to_owned() + &words(&name);
        match value {
            Value::Table(part) => add(table, &format!("{name} "), part, whole),
            Value::List(_) => {}
            value => table.row([name, figure(&value, whole)]),
        }
    }
}

fn figure(value: &Value<'_>, whole: fn(u64) -> String) -> String {
    match value {
        Value::Whole(number) => whole(*number),
        Value::Number(number) if *number < 100.0 => format!("{number:.2}"),
        Value::Number(number) => rate(*number),
        other => other.to_string(),
    }
}

/// A row for each of these, a column for each of their fields.
pub(super) fn records<T: Serialize>(records: &[T]) -> Table {
    let mut table = Table::of("");
    for (place, record) in records.iter().enumerate() {
        let record = json(record);
        let Ok(Value::Table(fields)) = serde_json::from_str(&record) else {
            continue;
        };
        let fields = fields.into_iter();
        let fields = fields.filter(|(_, value)| !matches!(value, Value::List(_)));
        let fields: Vec<_> = fields.collect();
        if place == 0 {
            let heads = fields.iter().map(|(name, value)| {
                let colon = if value.as_number().is_some() { ":" } else { "" };
                format!("{}{colon}", words(name))
            });
            table = Table::of(&heads.collect::<Vec<_>>().join(" | "));
        }
        table.row(fields.iter().map(|(_, value)| figure(value, grouped)));
    }
    table
}

/// Every value of the plots.
pub(super) fn over_time(report: &Report) -> Table {
    let series = json(&report.series);
    let mut heads = "until s:".to_owned();
    let instants = report.series.instants().into_iter().map(short);
    let mut columns: Vec<Vec<String>> = vec![instants.collect()];
    if let Ok(Value::Table(fields)) = serde_json::from_str(&series) {
        for (name, value) in fields {
            if let Value::List(values) = value {
                heads += &format!(" | {}:", words(&name));
                let values = values.iter().map(|value| figure(value, grouped));
                columns.push(values.collect());
            }
        }
    }
    let mut table = Table::of(&heads);
    for place in 0..columns[0].len() {
        let cells = columns.iter().map(|values| values.get(place));
        table.row(cells.map(|cell| cell.cloned().unwrap_or_default()));
    }
    table
}
