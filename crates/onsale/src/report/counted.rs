//! The result of a sale that is over: counted from what clients, the store and the audit said.

use std::collections::HashSet;

use black_box::load::ratio;
use black_box::proof::findings::Kind;
use black_box::proof::order::{Intent, Reader};
use black_box::proof::ticket::State;
use black_box::proof::told::{Answer, ChangeAnswer, NEVER};
use strum::VariantArray;

use super::result::{
    AnswerCount, Connections, Holds, Orders, Pace, ProcessFigures, Readers, Report, Setting,
    UnansweredCount, Verdicts,
};
use super::series::{self, Series};
use super::{faults, latency, silences};
use crate::outcome::{Ending, Outcome};
use crate::scenario::sale::{Outline, Scenario};

/// Of the JSON; a new field does not change it.
const FORMAT: u32 = 1;

impl Report {
    /// Of a sale that is over.
    pub(crate) fn of(
        scenario: &Scenario,
        outline: Outline,
        setting: Setting,
        outcome: &Outcome,
    ) -> Self {
        let orders = Orders::of(outcome);
        let pace = Pace::of(outcome);
        let faults = faults::figures(outcome);
        let mut missed = missed(scenario, outcome, &orders, &pace);
        missed.extend(silences::missed(&scenario.limits.silences, &faults));
        let findings = &outcome.findings;
        let count = |kind: &Kind| (kind.name().to_owned(), findings.count(*kind));
        let sent = orders.sent;
        let answers = outcome.tally.answers.iter();
        let answers = answers.map(|((request, status, code), count)| AnswerCount {
            request: *request,
            status: *status,
            code: code.clone(),
            count: *count,
        });
        let unanswered = outcome.tally.unanswered.iter();
        let unanswered = unanswered.map(|((why, request), count)| UnansweredCount {
            request: *request,
            why: *why,
            count: *count,
        });
        Self {
            format: FORMAT,
            passed: findings.total() == 0 && missed.is_empty(),
            violations: Kind::VARIANTS.iter().map(count).collect(),
            examples: findings
                .examples()
                .map(|(kind, example)| format!("{}: {example}", kind.name()))
                .collect(),
            missed,
            ending: outcome.ending,
            setting,
            scenario: outline,
            verdicts: Verdicts::of(outcome),
            holds: Holds::of(outcome),
            latency_micros: latency::latencies(outcome),
            lateness_micros: latency::lateness(outcome),
            answers: answers.collect(),
            unanswered: unanswered.collect(),
            connections: Connections {
                before_start: scenario.client.connections,
                opening_seconds: outcome.opening_seconds,
                used: outcome.connections,
                limit: scenario.client.max_connections,
            },
            readers: Readers::of(outcome),
            faults,
            processes: processes(outcome, sent),
            series: Series::of(outcome),
            metrics: outcome.metrics.clone(),
            orders,
            pace,
        }
    }
}

fn missed(scenario: &Scenario, outcome: &Outcome, orders: &Orders, pace: &Pace) -> Vec<String> {
    let mut missed = Vec::new();
    let limits = &scenario.limits;
    match outcome.ending {
        Ending::Complete => {}
        Ending::OutOfPatience => missed.push(format!(
            "nothing happened for {} s although clients waited",
            limits.patience_seconds
        )),
        Ending::OutOfTime => missed.push(format!("not over after {} s", limits.run_seconds)),
    }
    let after = pace.decided_after_seconds;
    if let Some(limit) = limits.decided_within_seconds.filter(|limit| after > *limit) {
        missed.push(format!("all decided after {after:.2} s, not {limit} s"));
    }
    let answered = orders.accepted + orders.sold_out_by_gate;
    let share = ratio(answered, orders.planned as f64);
    if share < limits.answered_at_least {
        missed.push(format!(
            "only {answered} of {} orders were accepted or refused as sold out",
            orders.planned
        ));
    }
    missed.extend(outcome.chaos.wrong.iter().cloned());
    let metrics = outcome.metrics.iter();
    missed.extend(metrics.flat_map(|it| it.differences.iter().cloned()));
    missed
}

impl Orders {
    fn of(outcome: &Outcome) -> Self {
        let mut orders = Self {
            planned: outcome.plan.len() as u64,
            ..Self::default()
        };
        let decided: HashSet<_> = outcome
            .stored
            .tickets
            .iter()
            .map(|ticket| ticket.id)
            .collect();
        for (planned, told) in outcome.plan.iter().zip(&outcome.told) {
            orders.keyed += u64::from(planned.keyed);
            orders.sent += u64::from(told.sends > 0);
            orders.sent_again += u64::from(told.sends.saturating_sub(1));
            match told.answer {
                Answer::Accepted => orders.accepted += 1,
                Answer::SoldOutByGate => orders.sold_out_by_gate += 1,
                _ if told.uncertain => {
                    orders.unknown += 1;
                    let is_decided = told.ticket.is_some_and(|id| decided.contains(&id));
                    orders.unknown_and_decided += u64::from(is_decided);
                }
                _ => orders.refused += u64::from(told.sends > 0),
            }
        }
        // Those whose clients know no id: what is left of the store's tickets.
        let named: HashSet<_> = outcome.told.iter().filter_map(|told| told.ticket).collect();
        orders.unknown_and_decided += decided.difference(&named).count() as u64;
        orders
    }
}

impl Verdicts {
    fn of(outcome: &Outcome) -> Self {
        let mut verdicts = Self::default();
        for ticket in &outcome.stored.tickets {
            verdicts.total += 1;
            *match ticket.verdict {
                State::Reserved => &mut verdicts.reserved,
                State::Confirmed => &mut verdicts.confirmed,
                State::SoldOut => &mut verdicts.sold_out,
                State::LimitExceeded => &mut verdicts.limit_exceeded,
                _ => &mut verdicts.rejected_otherwise,
            } += 1;
            match ticket.state {
                State::Confirmed => verdicts.confirmed_at_the_end += 1,
                State::Expired => verdicts.expired += 1,
                State::Cancelled => verdicts.cancelled += 1,
                _ => {}
            }
        }
        for (_, show) in &outcome.audited {
            verdicts.capacity += show.capacity;
            verdicts.seats_sold += show.sold;
            verdicts.seats_held += show.held;
        }
        verdicts
    }
}

impl Holds {
    fn of(outcome: &Outcome) -> Self {
        let mut holds = Self::default();
        for (planned, told) in outcome.plan.iter().zip(&outcome.told) {
            if told.change == ChangeAnswer::NotAsked {
                continue;
            }
            let (asked, done) = if planned.intent == Intent::Cancel {
                (&mut holds.cancellations, &mut holds.cancelled)
            } else {
                (&mut holds.confirmations, &mut holds.confirmed)
            };
            *asked += 1;
            match told.change {
                ChangeAnswer::NotAsked => {}
                ChangeAnswer::Done => *done += 1,
                ChangeAnswer::HoldExpired => holds.too_late += 1,
                ChangeAnswer::Unknown => holds.unknown += 1,
                ChangeAnswer::Refused => holds.refused += 1,
            }
        }
        holds
    }
}

impl Pace {
    fn of(outcome: &Outcome) -> Self {
        let seconds = |micros: u64| micros as f64 / 1e6;
        let answered = outcome
            .told
            .iter()
            .filter(|told| told.answer == Answer::Accepted && told.answered != NEVER)
            .map(|told| told.answered);
        let accepted = answered.clone().count() as u64;
        let accepted_after_seconds = seconds(answered.max().unwrap_or_default());
        let decided = outcome
            .stored
            .tickets
            .iter()
            .map(|ticket| ticket.decided_at);
        let last = decided.max().unwrap_or(outcome.started_at);
        let last = u64::try_from(last - outcome.started_at).unwrap_or_default();
        let decided_after_seconds = seconds(last);
        let total = outcome.stored.tickets.len() as u64;
        Self {
            accepted_after_seconds,
            accepted_per_second: per_second(accepted, accepted_after_seconds),
            decided_after_seconds,
            decided_per_second: per_second(total, decided_after_seconds),
            backlog_peak: series::backlog_peak(outcome),
            clients_seconds: seconds(outcome.ended),
        }
    }
}

fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        count as f64 / seconds
    } else {
        0.0
    }
}

impl Readers {
    fn of(outcome: &Outcome) -> Self {
        let mut readers = Self {
            websocket: outcome.watchers.clone(),
            ..Self::default()
        };
        let orders = outcome.plan.iter().zip(&outcome.told);
        for (planned, told) in orders.filter(|(_, told)| told.answer == Answer::Accepted) {
            match planned.reader {
                Reader::Absent => continue,
                Reader::Poll => readers.polling += 1,
                Reader::WebSocket => readers.subscribing += 1,
            }
            readers.heard += u64::from(told.heard != NEVER);
        }
        readers
    }
}

fn processes(outcome: &Outcome, orders: u64) -> Vec<ProcessFigures> {
    let mib = |kib: u64| (kib as f64 / 102.4).round() / 10.0;
    let seconds = |micros: i64| ((micros.max(0) as f64) / 1e5).round() / 10.0;
    let figures = outcome.usage.iter().map(|usage| {
        let kib = usage.resident_kib.iter().map(|(_, kib)| *kib);
        let (first, last) = (kib.clone().next(), kib.clone().next_back());
        ProcessFigures {
            name: usage.name.clone(),
            start_mib: mib(first.unwrap_or_default()),
            peak_mib: mib(kib.max().unwrap_or_default()),
            end_mib: mib(last.unwrap_or_default()),
            cpu_micros_per_order: usage.cpu_micros as f64 / orders.max(1) as f64,
            cpu_seconds: usage.cpu_micros as f64 / 1e6,
            resident_mib: usage
                .resident_kib
                .iter()
                .map(|(at, kib)| (seconds(*at), mib(*kib)))
                .collect(),
        }
    });
    figures.collect()
}
