//! The result as one page: no script, nothing from elsewhere.

use std::cmp::Reverse;

use super::result::Report;
use super::{plots, tables};
use crate::digits::{grouped, short};
use crate::markup::escaped;
use crate::plot::{self, Plot};
use crate::table::Table;

const STYLE: &str = include_str!("page.css");
/// Columns of latencies.
const QUANTILES: [&str; 8] = ["p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99", "max"];

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
    let plots: String = plots::all(report).iter().map(Plot::figure).collect();
    let groups = tables::groups(report).map(|table| table.html());
    let answers = [
        tables::records(&report.answers),
        tables::records(&report.unanswered),
    ];
    let answers = answers.map(|table| table.html());
    let sections = [
        ("Violations", violations(report)),
        (
            "Orders and verdicts",
            format!("<div class=\"groups\">{}</div>", groups.concat()),
        ),
        (
            "Latency in ms",
            tables::latencies(report, &QUANTILES).html(),
        ),
        ("Faults", faults(report)),
        ("Processes", tables::records(&report.processes).html()),
        ("Answers", answers.concat()),
        (
            "Connections",
            tables::list("client | :", &report.connections, grouped).html(),
        ),
        (
            "Run",
            tables::list("what | value", &report.setting, |number| number.to_string()).html(),
        ),
        (
            "Scenario",
            format!("<pre>{}</pre>", escaped(&report.scenario.toml)),
        ),
        (
            "Over time",
            folded("Every value of the plots", &tables::over_time(report)),
        ),
    ];
    let sections: String = sections
        .into_iter()
        .filter(|(_, section)| !section.is_empty())
        .map(|(title, section)| format!("<h2>{title}</h2>\n{section}\n"))
        .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{name}</title><style>\n{}{STYLE}</style></head><body>\n{}\n{plots}\n\
         {sections}</body></html>\n",
        plot::STYLE,
        head(report)
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
    let card =
        |(figure, what)| format!("<div class=\"card\"><b>{figure}</b><span>{what}</span></div>");
    format!(
        "<h1>{}</h1><p class=\"soft\">{}</p><p class=\"verdict {class}\">{verdict}</p>\
         <div class=\"cards\">{}</div>",
        escaped(&scenario.name),
        escaped(&scenario.about),
        cards.map(card).concat()
    )
}

/// The most frequent first, and what is said of them.
fn violations(report: &Report) -> String {
    let mut kinds: Vec<_> = report.violations.iter().collect();
    kinds.sort_by_key(|(_, count)| Reverse(**count));
    let mut table = Table::of("violation | count:");
    for (kind, count) in kinds {
        table.row([tables::words(kind), grouped(*count)]);
    }
    let lines = report.missed.iter().chain(&report.examples);
    let lines = lines.map(|line| format!("<p class=\"bad\">{}</p>", escaped(line)));
    table.html() + &lines.collect::<String>()
}

/// What was broken, by kind and one by one.
fn faults(report: &Report) -> String {
    let each = folded("Each of them", &tables::records(&report.faults));
    tables::faults(report).html() + &each
}

fn folded(summary: &str, table: &Table) -> String {
    if table.is_empty() {
        return String::new();
    }
    let table = table.html();
    format!("<details><summary>{summary}</summary>{table}</details>")
}
