//! The result as one page: no script, nothing from elsewhere.

use std::cmp::Reverse;
use std::fmt::Display;

use super::faults::{COSTS, by_kind};
use super::plots;
use super::result::{Holds, Orders, Pace, Readers, Report, Verdicts};
use crate::digits::{grouped, millis, short};
use crate::markup::escaped;
use crate::plot::{self, Plot};

const STYLE: &str = include_str!("page.css");

/// The page of a run whose result is this JSON.
///
/// # Errors
/// When it is no result of a run.
pub fn page_of(result: serde_json::Value) -> serde_json::Result<String> {
    serde_json::from_value(result).map(|report| page(&report))
}

/// The page of a result.
pub(crate) fn page(report: &Report) -> String {
    let name = escaped(&report.scenario.name);
    let body = [
        head(report),
        plots::all(report).iter().map(Plot::figure).collect(),
        "<h2>Violations</h2>".to_owned(),
        violations(report),
        "<h2>Orders and verdicts</h2>".to_owned(),
        outcome(report),
        "<h2>Latency in ms</h2>".to_owned(),
        latencies(report),
        faults(report),
        "<h2>Processes</h2>".to_owned(),
        processes(report),
        "<h2>Answers</h2>".to_owned(),
        answers(report),
        "<h2>Run</h2>".to_owned(),
        run(report),
        format!(
            "<h2>Scenario</h2><pre>{}</pre>",
            escaped(&report.scenario.toml)
        ),
        "<h2>Over time</h2>".to_owned(),
        over_time_table(report),
    ];
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{name}</title><style>\n{}{STYLE}</style></head><body>\n{}\n</body></html>\n",
        plot::STYLE,
        body.join("\n")
    )
}

fn head(report: &Report) -> String {
    let (scenario, pace, orders) = (&report.scenario, &report.pace, &report.orders);
    let found: u64 = report.violations.values().sum();
    let (class, verdict) = if report.passed {
        (
            "good",
            "No violation: clients, store and audit agree on every ticket.".to_owned(),
        )
    } else if found > 0 {
        ("bad", format!("{found} violations."))
    } else {
        ("bad", "A limit was not kept.".to_owned())
    };
    let cards = [
        (grouped(orders.sent), "orders sent"),
        (grouped(orders.accepted), "accepted"),
        (short(pace.accepted_per_second), "accepted per second"),
        (short(pace.decided_per_second), "decided per second"),
        (
            format!("{} s", short(pace.decided_after_seconds)),
            "until the last verdict",
        ),
        (grouped(pace.backlog_peak), "waited at most"),
        (grouped(report.verdicts.seats_sold), "seats sold"),
        (grouped(report.verdicts.capacity), "seats there were"),
    ];
    let cards: String = cards
        .iter()
        .map(|(figure, what)| {
            format!("<div class=\"card\"><b>{figure}</b><span>{what}</span></div>")
        })
        .collect();
    format!(
        "<h1>{}</h1><p class=\"soft\">{}</p><p class=\"verdict {class}\">{verdict}</p>\
         <div class=\"cards\">{cards}</div>",
        escaped(&scenario.name),
        escaped(&scenario.about)
    )
}

/// What the columns of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Columns {
    /// A name, then figures.
    Figures,
    /// Two names, then figures.
    TwoNames,
    /// A name, then words.
    Facts,
}

impl Columns {
    const fn class(self) -> &'static str {
        match self {
            Self::Figures => "figures",
            Self::TwoNames => "figures two-names",
            Self::Facts => "facts",
        }
    }
}

fn table(columns: Columns, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let head: String = head.iter().map(|name| format!("<th>{name}</th>")).collect();
    let figure = |cell: &String| match cell.parse() {
        Ok(figure) if columns != Columns::Facts => grouped(figure),
        _ => escaped(cell),
    };
    let rows: String = rows
        .into_iter()
        .map(|row| {
            let cells: String = row
                .iter()
                .map(|cell| format!("<td>{}</td>", figure(cell)))
                .collect();
            format!("<tr>{cells}</tr>")
        })
        .collect();
    format!(
        "<div class=\"wide\"><table class=\"{}\"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>",
        columns.class()
    )
}

fn row(name: &str, value: impl Display) -> Vec<String> {
    vec![name.to_owned(), value.to_string()]
}

fn violations(report: &Report) -> String {
    let mut kinds: Vec<_> = report.violations.iter().collect();
    kinds.sort_by_key(|(_, count)| Reverse(**count));
    let rows = kinds
        .into_iter()
        .map(|(kind, count)| row(&kind.replace('_', " "), count));
    let more: String = report
        .missed
        .iter()
        .chain(&report.examples)
        .map(|line| format!("<p class=\"bad\">{}</p>", escaped(line)))
        .collect();
    table(Columns::Figures, &["violation", "count"], rows) + &more
}

/// What became of orders and seats, and how fast.
fn outcome(report: &Report) -> String {
    let groups = [
        ("orders", orders(&report.orders)),
        ("verdicts", verdicts(&report.verdicts)),
        ("holds", holds(&report.holds)),
        ("pace", pace(&report.pace)),
        ("buyers that read their verdict", readers(&report.readers)),
    ];
    let groups = groups.map(|(name, rows)| table(Columns::Figures, &[name, ""], rows));
    format!("<div class=\"groups\">{}</div>", groups.concat())
}

fn orders(orders: &Orders) -> Vec<Vec<String>> {
    vec![
        row("planned", orders.planned),
        row("sent", orders.sent),
        row("sent again", orders.sent_again),
        row("with an Idempotency-Key", orders.keyed),
        row("accepted", orders.accepted),
        row("refused by the sold-out gate", orders.sold_out_by_gate),
        row("refused otherwise", orders.refused),
        row("unknown to their clients", orders.unknown),
        row("of these decided", orders.unknown_and_decided),
    ]
}

fn verdicts(verdicts: &Verdicts) -> Vec<Vec<String>> {
    vec![
        row("decided", verdicts.total),
        row("reserved", verdicts.reserved),
        row("confirmed at once", verdicts.confirmed),
        row("sold out", verdicts.sold_out),
        row("limit exceeded", verdicts.limit_exceeded),
        row("rejected otherwise", verdicts.rejected_otherwise),
        row("confirmed in the end", verdicts.confirmed_at_the_end),
        row("expired", verdicts.expired),
        row("cancelled", verdicts.cancelled),
        row("seats there were", verdicts.capacity),
        row("seats sold", verdicts.seats_sold),
        row("seats held in the end", verdicts.seats_held),
    ]
}

fn holds(holds: &Holds) -> Vec<Vec<String>> {
    vec![
        row("confirmations asked for", holds.confirmations),
        row("confirmed", holds.confirmed),
        row("cancellations asked for", holds.cancellations),
        row("cancelled by their buyers", holds.cancelled),
        row("too late for the hold", holds.too_late),
        row("changes without an answer", holds.unknown),
        row("changes refused otherwise", holds.refused),
    ]
}

fn pace(pace: &Pace) -> Vec<Vec<String>> {
    vec![
        row(
            "last order accepted after s",
            format!("{:.2}", pace.accepted_after_seconds),
        ),
        row(
            "accepted per second",
            format!("{:.0}", pace.accepted_per_second),
        ),
        row(
            "last verdict after s",
            format!("{:.2}", pace.decided_after_seconds),
        ),
        row(
            "decided per second",
            format!("{:.0}", pace.decided_per_second),
        ),
        row("waited at most", pace.backlog_peak),
    ]
}

fn readers(readers: &Readers) -> Vec<Vec<String>> {
    let websocket = &readers.websocket;
    vec![
        row("by polling", readers.polling),
        row("by a subscription", readers.subscribing),
        row("of both, heard it", readers.heard),
        row("WebSocket connections", websocket.connections),
        row("WebSocket connections opened again", websocket.reopened),
        row("subscriptions", websocket.subscriptions),
        row(
            "waited for a subscription",
            websocket.waited_for_subscription,
        ),
    ]
}

fn latencies(report: &Report) -> String {
    let rows = report.latencies().map(|(name, figures)| {
        let mut row = vec![name, figures.count.to_string()];
        row.extend(
            figures
                .quantiles()
                .iter()
                .map(|(_, micros)| millis(*micros)),
        );
        row
    });
    let head = [
        "what", "count", "50 %", "75 %", "90 %", "95 %", "99 %", "99.9 %", "99.99 %", "max",
    ];
    table(Columns::Figures, &head, rows)
}

/// What was broken, by kind and one by one; empty if nothing was.
fn faults(report: &Report) -> String {
    if report.faults.is_empty() {
        return String::new();
    }
    let seconds = |seconds: f64| format!("{seconds:.2}");
    let kinds = by_kind(&report.faults).into_iter().map(|kind| {
        let name = kind.kind.name().replace('_', " ");
        let costs = kind.costs.into_iter();
        let costs = costs.flat_map(|(longest, median)| [seconds(longest), seconds(median)]);
        let start = [name, kind.number.to_string()].into_iter();
        start.chain(costs).collect()
    });
    let costs = COSTS.map(|(cost, _)| [format!("{cost}: longest s"), "median s".to_owned()]);
    let head: Vec<&str> = ["fault", "number"]
        .into_iter()
        .chain(costs.iter().flatten().map(String::as_str))
        .collect();
    let summary = table(Columns::Figures, &head, kinds);
    let faults = report.faults.iter().map(|fault| {
        let mut row = vec![
            fault.kind.name().replace('_', " "),
            fault.target.clone(),
            seconds(fault.at_seconds),
            seconds(fault.lasted_seconds),
        ];
        row.extend(COSTS.map(|(_, cost)| seconds(cost(fault))));
        row
    });
    let head: Vec<&str> = ["fault", "of", "at s", "lasted s"]
        .into_iter()
        .chain(COSTS.map(|(cost, _)| cost))
        .collect();
    let each = table(Columns::TwoNames, &head, faults);
    format!("<h2>Faults</h2>{summary}<details><summary>Each of them</summary>{each}</details>")
}

fn processes(report: &Report) -> String {
    let rows = report.processes.iter().map(|process| {
        vec![
            process.name.clone(),
            process.start_mib.to_string(),
            process.peak_mib.to_string(),
            process.end_mib.to_string(),
            format!("{:.1}", process.cpu_seconds),
            format!("{:.1}", process.cpu_micros_per_order),
        ]
    });
    let head = [
        "process",
        "start MiB",
        "peak MiB",
        "end MiB",
        "CPU s",
        "CPU µs per order",
    ];
    table(Columns::Figures, &head, rows)
}

fn answers(report: &Report) -> String {
    let answered = report.answers.iter().map(|answer| {
        let what = format!("{} {}", answer.status, answer.code);
        vec![
            answer.request.name().to_owned(),
            what,
            answer.count.to_string(),
        ]
    });
    let unanswered = report.unanswered.iter().map(|unanswered| {
        let why = unanswered.why.replace('_', " ");
        vec![
            unanswered.request.name().to_owned(),
            why,
            unanswered.count.to_string(),
        ]
    });
    let messages = report
        .readers
        .websocket
        .messages
        .iter()
        .map(|(what, count)| vec!["websocket".to_owned(), what.clone(), count.to_string()]);
    table(
        Columns::TwoNames,
        &["request", "answer", "count"],
        answered.chain(unanswered).chain(messages),
    )
}

fn run(report: &Report) -> String {
    let (setting, connections) = (&report.setting, &report.connections);
    let provenance = &setting.provenance;
    let machine = &provenance.machine;
    let mut rows = vec![
        row("run", &setting.run),
        row("seed", setting.seed),
        row("on", &setting.on),
        row("ended", report.ending.replace('_', " ")),
        row("measured at", &provenance.measured_at),
        row("commit", &provenance.commit),
        row("command", &provenance.command),
        row("machine", &machine.processor),
        row("cores", machine.cores),
        row("memory in MiB", machine.memory_mib),
        row("system", &machine.system),
        row("connections before the start", connections.before_start),
        row(
            "opened in seconds",
            format!("{:.2}", connections.opening_seconds),
        ),
        row(
            "connections needed",
            format!("{} of {}", connections.used, connections.limit),
        ),
    ];
    if let Some(seconds) = setting.users_seconds {
        rows.push(row("users made in seconds", format!("{seconds:.2}")));
    }
    rows.extend(
        provenance
            .versions
            .iter()
            .map(|(name, version)| row(name, version)),
    );
    table(Columns::Facts, &["what", "value"], rows)
}

fn over_time_table(report: &Report) -> String {
    let series = &report.series;
    let rates = |values: &[f64]| values.iter().map(|value| format!("{value:.0}")).collect();
    let counts = |values: &[u64]| values.iter().map(u64::to_string).collect();
    let columns: [(&str, Vec<String>); 11] = [
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
    let rows = (0..columns[0].1.len()).map(|place| {
        let cells = columns.iter().map(|(_, values)| values.get(place));
        cells
            .map(|cell| cell.cloned().unwrap_or_default())
            .collect()
    });
    let head = columns.each_ref().map(|(name, _)| *name);
    format!(
        "<details><summary>Every value of the plots</summary>{}</details>",
        table(Columns::Figures, &head, rows)
    )
}
