//! A small sale whose report is known.

use std::collections::BTreeSet;

use black_box::administration::Seats;
use black_box::proof::audit::{AuditedRejections, AuditedShow, AuditedVerdicts};
use black_box::proof::evidence::{Evidence, Read};
use black_box::proof::order::{Intent, PlannedOrder, Reader};
use black_box::proof::reconcile::reconcile;
use black_box::proof::ticket::{State, StoredTicket};
use black_box::proof::told::{Answer, Told};
use black_box::store::Stored;
use serde_json::Value;
use uuid::Uuid;

use super::result::{Report, Setting};
use super::{html, plots};
use crate::machine::Machine;
use crate::outcome::tally::{Step, Tally, Why};
use crate::outcome::{Chaos, Ending, Fault, Outcome, SeatsSample, Usage, WatcherFigures};
use crate::plot;
use crate::provenance::Provenance;
use crate::scenario::faults::FaultKind;
use crate::scenario::sale::{Outline, Scenario};

const STARTED_AT: i64 = 1_700_000_000_000_000;

const SCENARIO: &str = r#"
about = "Two orders & <one> seat"
[[arrivals.phases]]
shape = "flat"
orders = 2
seconds = 2
[shows]
seats = 1
[users]
number = 2
[limits]
decided_within_seconds = 1.7
"#;

/// The first gets the seat after 0.5 s, the second is sold out after 2 s.
#[expect(clippy::too_many_lines, reason = "one sale with every figure")]
fn outcome() -> Outcome {
    let planned = |user: u32| PlannedOrder {
        at_micros: u64::from(user) * 1_500_000,
        user,
        show: 0,
        quantity: 1,
        think_ms: 0,
        reader: Reader::Absent,
        intent: Intent::Lapse,
        keyed: false,
        repeated: false,
    };
    let told = |number: u64| Told {
        sent: number * 1_500_000 + 1_000,
        answered: number * 1_500_000 + 5_000,
        ticket: Some(Uuid::from_u128(u128::from(number))),
        answer: Answer::Accepted,
        sends: 1,
        ..Told::default()
    };
    let stored = |number: u32, verdict: State| StoredTicket {
        id: Uuid::from_u128(u128::from(number)),
        show: 0,
        user: number,
        quantity: 1,
        verdict,
        state: verdict,
        requested_at: STARTED_AT + i64::from(number) * 1_500_000 + 3_000,
        decided_at: STARTED_AT + i64::from(number) * 1_500_000 + 500_000,
        decision_seq: u64::from(number) + 2,
    };
    let audit = AuditedShow {
        show_id: "run-s0".to_owned(),
        capacity: 1,
        available: 0,
        held: 0,
        sold: 1,
        changes: 3,
        verdicts: AuditedVerdicts {
            reserved: 0,
            confirmed: 1,
            rejected: AuditedRejections {
                sold_out: 1,
                ..AuditedRejections::default()
            },
        },
        inversions: 0,
        violations: 0,
        examples: Vec::new(),
    };
    let mut tally = Tally::new().unwrap();
    for order in [0, 1] {
        tally.sent(Step::Order, 1_000);
        tally.answered(Step::Order, 202, "", 4_000, 5_000 + order);
    }
    tally.unanswered(Step::Order, Why::TimedOut);
    let (plan, told) = (vec![planned(0), planned(1)], vec![told(0), told(1)]);
    let tickets = vec![stored(0, State::Confirmed), stored(1, State::SoldOut)];
    let audited = vec![(0, audit)];
    let findings = reconcile(&Evidence {
        plan: &plan,
        told: &told,
        contradictions: (0, &[]),
        stored: &tickets,
        read: Read::Named,
        history: None,
        audited: &audited,
        shows: &[0],
        hold_seconds: 0,
        started_at: STARTED_AT,
    });
    Outcome {
        plan,
        told,
        tally,
        ending: Ending::Complete,
        ended: 1_600_000,
        metrics: None,
        connections: 1,
        watchers: WatcherFigures::default(),
        stored: Stored {
            tickets,
            journal: None,
        },
        history: None,
        audited,
        usage: vec![Usage {
            name: "client".to_owned(),
            resident_kib: vec![(-1, 1_024), (500_000, 3_072), (1_000_000, 2_048)],
            cpu_micros: 500,
        }],
        seats: vec![seats_seen(0, 0), seats_seen(1_000_000, 1)],
        started_at: STARTED_AT,
        opening_seconds: 0.0,
        chaos: Chaos {
            faults: vec![Fault {
                kind: FaultKind::WorkerKilled,
                target: "tickets worker <1>".to_owned(),
                at: 1_600_000,
                ended: 1_900_000,
            }],
            wrong: vec!["tickets api: ended by itself".to_owned()],
        },
        findings,
    }
}

fn seats_seen(at: u64, sold: u64) -> SeatsSample {
    SeatsSample {
        at,
        seats: Seats {
            available: 1 - sold,
            held: 0,
            sold,
        },
    }
}

/// Of no machine there is.
pub(crate) fn provenance() -> Provenance {
    Provenance {
        measured_at: "2026-01-02T03:04:05Z".to_owned(),
        commit: "0123456-dirty".to_owned(),
        command: "onsale run --scenario <x>".to_owned(),
        versions: [("client".to_owned(), "onsale 1".to_owned())].into(),
        machine: Machine {
            processor: "Some CPU".to_owned(),
            cores: 2,
            memory_mib: 4_096,
            system: "Linux 6".to_owned(),
        },
    }
}

pub(crate) fn report() -> Report {
    let scenario = Scenario::parse(SCENARIO).unwrap();
    let outline = Outline::of(&scenario, "x/small.toml".as_ref(), SCENARIO.to_owned());
    let setting = Setting {
        run: "run-00000000".to_owned(),
        seed: 7,
        on: "memory".to_owned(),
        users_seconds: Some(0.5),
        provenance: provenance(),
    };
    Report::of(&scenario, outline, setting, &outcome())
}

#[test]
fn figures_are_those_of_the_sale() {
    let report = report();
    assert_eq!(
        report.violations.values().sum::<u64>(),
        0,
        "{:?}",
        report.examples
    );
    assert_eq!(
        report.missed,
        [
            "all decided after 2.00 s, not 1.7 s",
            "tickets api: ended by itself"
        ]
    );
    assert!(!report.passed && report.failures() == report.missed);
    assert_eq!((report.orders.sent, report.orders.accepted), (2, 2));
    assert_eq!(
        (report.verdicts.confirmed, report.verdicts.sold_out),
        (1, 1)
    );
    assert_eq!(
        (report.verdicts.capacity, report.verdicts.seats_sold),
        (1, 1)
    );
    assert_eq!(
        (
            report.pace.decided_after_seconds,
            report.pace.decided_per_second
        ),
        (2.0, 1.0)
    );
    assert_eq!(report.pace.backlog_peak, 1);
    let near = |name: &str, expected: u64| {
        let p50 = report.latency_micros[name].p50;
        assert!(p50.abs_diff(expected) <= expected / 500, "{name}: {p50}");
    };
    near("order_to_accepted", 5_000);
    near("order_answer", 4_000);
    near("order_to_verdict", 500_000);
    near("accepted_to_verdict", 497_000);
    assert_eq!(report.lateness_micros["orders"].p50, 1_000);
    // The second order is accepted after 1.503 s and decided after 2 s.
    let fault = &report.faults[0];
    assert_eq!((fault.at_seconds, fault.lasted_seconds), (1.6, 0.3));
    assert_eq!(
        (
            fault.without_verdict_seconds,
            fault.show_without_verdict_seconds,
            fault.without_acceptance_seconds
        ),
        (0.497, 0.497, 0.0)
    );
    let client = &report.processes[0];
    assert_eq!(
        (client.start_mib, client.peak_mib, client.end_mib),
        (1.0, 3.0, 2.0)
    );
    assert_eq!(client.cpu_micros_per_order, 250.0);
}

#[test]
fn series_add_up_to_the_sale() {
    let series = report().series;
    assert_eq!(series.interval_seconds, 0.05);
    assert_eq!(series.instants().len(), series.backlog.len());
    let sum = |values: &[f64]| (values.iter().sum::<f64>() * series.interval_seconds).round();
    assert_eq!(sum(&series.arrivals_per_second), 2.0);
    assert_eq!(sum(&series.accepted_per_second), 2.0);
    assert_eq!(sum(&series.verdicts_per_second), 2.0);
    assert_eq!(series.backlog[..11], [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0]);
    let before = series.seats_before.unwrap();
    assert_eq!((before.available, before.sold), (1, 0));
    assert_eq!((series.available[0], series.sold[0]), (1, 0));
    assert_eq!(series.sold.last(), Some(&1));
    assert_eq!(series.sold.len(), series.backlog.len());
}

/// Every name that a machine may read is explained.
#[test]
fn every_field_of_the_json_is_documented() {
    fn names(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    into.push(name.clone());
                    names(value, into);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| names(item, into)),
            _ => {}
        }
    }
    let docs = include_str!("../../../../docs/LOAD.md");
    let mut report = serde_json::to_value(report()).unwrap();
    // These are explained in words, or say themselves what they are.
    for explained in ["setting", "scenario"] {
        assert!(report[explained].take().is_object());
    }
    let mut all = Vec::new();
    names(&report, &mut all);
    let in_words = [
        "status", "code", "why", "request", "p75", "p90", "p95", "p99", "p999", "p50",
    ];
    let missing: Vec<_> = all
        .iter()
        .filter(|name| !in_words.contains(&name.as_str()))
        .filter(|name| !docs.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "{missing:?} are not in docs/LOAD.md");
}

#[test]
fn the_page_needs_nothing_else_and_has_every_figure() {
    let report = report();
    let page = html::page(&report);
    for forbidden in ["<script", "http://", "https://", "@import", "url("] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    // Each for wide and for narrow screens.
    let plots = page.matches("<svg").count();
    assert_eq!((plots, page.matches("</svg>").count()), (12, 12));
    for opened in ["figure", "table", "details", "div", "p", "h2", "tr", "td"] {
        let (start, end) = (format!("<{opened}"), format!("</{opened}>"));
        let starts = page
            .match_indices(&start)
            .filter(|(at, _)| page[at + start.len()..].starts_with([' ', '>']));
        assert_eq!(starts.count(), page.matches(&end).count(), "{opened}");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
    for text in [
        "Two orders &amp; &lt;one&gt; seat",
        "Some CPU",
        "A limit was not kept",
        "timed_out",
        "worker killed of tickets worker &lt;1&gt; at 1.6 s for 0.3 s: 0.5 s without a verdict",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("NaN") && !page.contains(">inf<"));
}

/// Classes of a text and how it names them.
fn classes(page: &str) -> BTreeSet<&str> {
    let values = page.split("class=\"").skip(1);
    let values = values.filter_map(|rest| Some(rest.split_once('"')?.0));
    values.flat_map(str::split_whitespace).collect()
}

fn selects(css: &str, name: &str) -> bool {
    css.match_indices(name).any(|(at, _)| {
        !css[at + name.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '-')
    })
}

/// `tests/browser.rs` looks at what they do; this needs no browser.
#[test]
fn everything_on_the_page_has_a_style() {
    let (page_css, plot_css) = (include_str!("page.css"), include_str!("../plot/plot.css"));
    let mut report = report();
    let more = (0..11).map(|_| report.processes[0].clone());
    report.processes = more.collect();
    let page = html::page(&report);
    assert!(page.contains(page_css) && page.contains(plot_css));
    let body = page.split_once("<body>").unwrap().1;
    let picture = plot::picture(&[plot::bars("x", &[]), plots::sale(&report).remove(0)]);
    let drawn = picture.split_once("</style>").unwrap().1;
    let all: BTreeSet<_> = classes(body).union(&classes(drawn)).copied().collect();
    for some in [
        "bad", "verdict", "card", "key", "c10", "again", "area", "flag", "words", "paper",
    ] {
        assert!(all.contains(some), "{some}: {all:?}");
    }
    let css = page_css.to_owned() + plot_css;
    for class in all {
        assert!(selects(&css, &format!(".{class}")), "no style for {class}");
    }
    for class in classes(drawn) {
        let selector = format!(".{class}");
        assert!(selects(plot_css, &selector), "{class} needs the page's");
    }
    for element in [
        "body",
        "h1",
        "h2",
        "p",
        "figure",
        "figcaption",
        "svg",
        "table",
        "th",
        "td",
    ] {
        assert!(selects(page_css, element), "no style for {element}");
    }
    for element in ["pre", "details", "summary"] {
        assert!(selects(page_css, element), "no style for {element}");
    }
    assert!(page_css.contains("@media print") && page_css.contains("@media (max-width"));
}

#[test]
fn the_text_names_seed_and_violations() {
    let text = report().to_string();
    for words in [
        "`small` on memory, seed 7: 2 orders by 2 users within 2 s, for 1 × 1 seats",
        "none of 9 kinds",
        "worker killed",
        "timed_out",
    ] {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
    // What did not happen.
    assert!(!text.contains("cancellations"), "{text}");
}
