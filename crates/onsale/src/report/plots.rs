//! What is plotted of a result.

use super::latency::Percentiles;
use super::result::Report;
use crate::plot::{Line, Mark, Plot, Style, over_time, percentiles};

/// Every plot of the page.
pub(super) fn all(report: &Report) -> Vec<Plot> {
    let named =
        |(name, figures): (&String, &Percentiles)| (name.replace('_', " "), figures.quantiles());
    let latencies: Vec<_> = report.latency_micros.iter().map(named).collect();
    let late: Vec<_> = report.lateness_micros.iter().map(named).collect();
    let mut plots = sale(report);
    plots.push(percentiles("Latency by percentile", &latencies));
    plots.push(percentiles("How late the client sent", &late));
    plots.extend(memory(report, &marks(report)));
    plots
}

/// Orders, backlog and seats over time.
pub(crate) fn sale(report: &Report) -> Vec<Plot> {
    let series = &report.series;
    let instants = series.instants();
    // A rate is that of its interval from the start on.
    let line = |label: &str, values: &[f64]| Line {
        label: label.to_owned(),
        before: values.first().copied(),
        values: values.to_vec(),
    };
    let counts = |label: &str, before: Option<u64>, values: &[u64]| Line {
        label: label.to_owned(),
        before: before.map(|value| value as f64),
        values: values.iter().map(|value| *value as f64).collect(),
    };
    let before = series.seats_before;
    let marks = marks(report);
    let mut rates = vec![
        line("due", &series.arrivals_per_second),
        line("accepted", &series.accepted_per_second),
        line("verdicts", &series.verdicts_per_second),
    ];
    for (label, values) in [
        ("refused by the gate", &series.refused_by_gate_per_second),
        ("heard by their buyer", &series.heard_per_second),
    ] {
        if values.iter().any(|value| *value > 0.0) {
            rates.push(line(label, values));
        }
    }
    let backlog = [counts("orders", Some(0), &series.backlog)];
    let seats = [
        counts("sold", before.map(|seats| seats.sold), &series.sold),
        counts("held", before.map(|seats| seats.held), &series.held),
        counts(
            "available",
            before.map(|seats| seats.available),
            &series.available,
        ),
    ];
    let plot = |title, lines: &[Line], style| over_time(title, &instants, lines, style, &marks);
    vec![
        plot("Orders per second", &rates, Style::Lines),
        plot("Backlog: accepted and not decided", &backlog, Style::Lines),
        plot("Seats", &seats, Style::Stacked),
    ]
}

/// Faults, as plots show them.
fn marks(report: &Report) -> Vec<Mark> {
    let faults = report.faults.iter();
    let marks = faults.map(|fault| Mark {
        from: fault.at_seconds,
        until: fault.at_seconds + fault.lasted_seconds,
        label: format!(
            "{} of {} at {:.1} s for {:.1} s: {:.1} s without a verdict, {:.1} s for a show, \
             {:.1} s without an acceptance",
            fault.kind.name().replace('_', " "),
            fault.target,
            fault.at_seconds,
            fault.lasted_seconds,
            fault.without_verdict_seconds,
            fault.show_without_verdict_seconds,
            fault.without_acceptance_seconds
        ),
    });
    marks.collect()
}

/// All processes by the instants of the first; they are looked at together.
fn memory(report: &Report, marks: &[Mark]) -> Option<Plot> {
    let first = report.processes.first()?;
    let during: Vec<usize> = (0..first.resident_mib.len())
        .filter(|place| first.resident_mib[*place].0 > 0.0)
        .collect();
    let instants: Vec<f64> = during
        .iter()
        .map(|place| first.resident_mib[*place].0)
        .collect();
    let lines = report.processes.iter().map(|process| {
        let values = during.iter().map(|place| {
            let seen = process.resident_mib.get(*place);
            seen.map_or(0.0, |(_, mib)| *mib)
        });
        let earlier = process.resident_mib.iter();
        let earlier = earlier.take_while(|(at, _)| *at <= 0.0);
        Line {
            label: process.name.clone(),
            before: earlier.last().map(|(_, mib)| *mib),
            values: values.collect(),
        }
    });
    let plotted: Vec<Line> = lines.collect();
    Some(over_time(
        "Resident memory in MiB",
        &instants,
        &plotted,
        Style::Lines,
        marks,
    ))
}
