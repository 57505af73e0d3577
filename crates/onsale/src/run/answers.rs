//! What a client makes of an answer, and what it does next.

use black_box::body::{TicketAnswer, ticket_id};
use black_box::http::Response;
use black_box::proof::order::{Intent, Reader};
use black_box::proof::ticket::State;
use black_box::proof::told::{Answer, ChangeAnswer, NEVER};
use serde::Deserialize;
use uuid::Uuid;

use super::clients::{Clients, Job};
use crate::outcome::tally::{Step, Why};

/// Confirmations and cancellations that are repeated after `503`.
const CHANGE_REPEATS: u8 = 5;
const MICROS_PER_MILLI: u64 = 1_000;
/// Examples that are kept in words.
const MAX_WORDS: usize = 1_000;

/// A ticket's id, and where it stands.
fn read(body: &[u8]) -> Option<(Uuid, State)> {
    let ticket = TicketAnswer::read(body)?;
    Some((ticket.ticket_id, ticket.state()?))
}

#[derive(Deserialize, Default)]
struct Problem {
    #[serde(default)]
    code: String,
    ticket_id: Option<Uuid>,
}

impl Clients {
    /// A request is sent now.
    pub(super) fn sends(&self, job: Job, now: u64) {
        let late_by = now.saturating_sub(job.due);
        self.tally.borrow_mut().sent(job.step, late_by);
        if job.step == Step::Order {
            self.remember(job.order, |told| {
                told.sends = told.sends.saturating_add(1);
                told.sent = told.sent.min(now);
            });
        }
    }

    /// An answer came whole.
    pub(super) fn answered(&self, job: Job, sent: u64, response: Response<'_>) {
        let now = self.now();
        let problem = if response.status >= 400 {
            serde_json::from_slice(response.body).unwrap_or_default()
        } else {
            Problem::default()
        };
        self.tally.borrow_mut().answered(
            job.step,
            response.status,
            &problem.code,
            now.saturating_sub(sent),
            now.saturating_sub(job.due),
        );
        // Being told to wait is nothing that a client waits for.
        if job.step != Step::Poll {
            self.happened(now);
        }
        match job.step {
            Step::Order => self.placed(job, now, response, &problem),
            Step::Poll => self.polled(job, now, response),
            Step::Confirm | Step::Cancel => self.changed(job, now, response, &problem),
        }
    }

    /// No connection could be had: surely nobody got the request.
    pub(super) fn send_failed(&self, job: Job) {
        self.tally
            .borrow_mut()
            .unanswered(job.step, Why::Unreachable);
        match job.step {
            Step::Order => {
                self.placed_as(job, Answer::Refused);
                self.send_again(job, self.scenario.retries.pause_ms);
            }
            Step::Poll => self.poll_later(job.order),
            Step::Confirm | Step::Cancel => self.change_again(job),
        }
    }

    /// The request was sent, and no answer came: it may have been taken.
    pub(super) fn answer_failed(&self, job: Job, why: Why) {
        self.tally.borrow_mut().unanswered(job.step, why);
        match job.step {
            Step::Order => {
                self.remember(job.order, |told| told.uncertain = true);
                self.placed_as(job, Answer::Unanswered);
                let pause = self.scenario.retries.pause_ms;
                self.send_again(job, if why == Why::TimedOut { 0 } else { pause });
            }
            Step::Poll => self.poll_later(job.order),
            Step::Confirm | Step::Cancel => {
                self.remember(job.order, |told| told.change = ChangeAnswer::Unknown);
                self.change_again(job);
            }
        }
    }

    fn placed(&self, job: Job, now: u64, response: Response<'_>, problem: &Problem) {
        let pause = self.scenario.retries.pause_ms;
        match (response.status, problem.code.as_str()) {
            (202, _) => match ticket_id(response.body) {
                Some(id) => self.accepted(job, now, id, State::Processing),
                None => self.contradiction(job, "202 without a ticket_id"),
            },
            (200, _) => match read(response.body) {
                Some((id, state)) => self.accepted(job, now, id, state),
                None => self.contradiction(job, "200 without a ticket"),
            },
            (409, "sold_out") => {
                if self.plan[job.order].keyed {
                    self.contradiction(job, "the gate refused an order with a key");
                }
                self.placed_as(job, Answer::SoldOutByGate);
                self.remember(job.order, |told| told.answered = told.answered.min(now));
            }
            (503, "outcome_unknown") => {
                if let Some(id) = problem.ticket_id {
                    self.names_its_ticket(job, id);
                }
                self.remember(job.order, |told| told.uncertain = true);
                self.placed_as(job, Answer::OutcomeUnknown);
                self.send_again(job, pause);
            }
            (status, _) => {
                self.placed_as(job, Answer::Refused);
                if status == 503 || status == 429 {
                    self.send_again(job, pause);
                }
            }
        }
    }

    /// The best that any sending of the order has come to.
    fn placed_as(&self, job: Job, answer: Answer) {
        self.remember(job.order, |told| told.answer = told.answer.max(answer));
    }

    fn names_its_ticket(&self, job: Job, id: Uuid) {
        let named = self.told.borrow()[job.order].ticket;
        if named.is_some_and(|named| named != id) {
            self.contradiction(job, "two ids for one Idempotency-Key");
        }
        self.remember(job.order, |told| *told.ticket.get_or_insert(id));
    }

    fn accepted(&self, job: Job, now: u64, id: Uuid, state: State) {
        self.names_its_ticket(job, id);
        self.placed_as(job, Answer::Accepted);
        let order = self.plan[job.order];
        let (is_first, is_heard) = self.remember(job.order, |told| {
            let is_first = told.answered == NEVER;
            told.answered = told.answered.min(now);
            (is_first, told.heard != NEVER)
        });
        if is_first {
            self.tally.borrow_mut().accepted += 1;
        }
        let follow = is_first && !state.is_settled();
        if order.repeated && is_first {
            self.schedule(Job {
                due: now,
                sent_before: job.sent_before.saturating_add(1),
                ..job
            });
        }
        match order.reader {
            Reader::Poll if follow => self.poll_later(job.order),
            Reader::WebSocket if follow => self.desks.follow(job.order, id),
            Reader::Absent | Reader::Poll | Reader::WebSocket => {}
        }
        if !is_heard && state != State::Processing {
            self.hears(job.order, state, now);
        }
    }

    /// Sends the order once more, if its client is one that does.
    fn send_again(&self, job: Job, pause_ms: u64) {
        let may = self.plan[job.order].keyed && job.sent_before < self.scenario.retries.at_most;
        if may {
            self.schedule(Job {
                due: self.now() + pause_ms * MICROS_PER_MILLI,
                sent_before: job.sent_before + 1,
                ..job
            });
        }
    }

    fn poll_later(&self, order: usize) {
        let interval = self.scenario.readers.poll_interval_ms * MICROS_PER_MILLI;
        self.schedule(Job {
            due: self.now() + interval,
            order,
            step: Step::Poll,
            sent_before: 0,
        });
    }

    fn polled(&self, job: Job, now: u64, response: Response<'_>) {
        if response.status == 404 {
            self.contradiction(job, "GET of an accepted ticket was answered 404");
            return;
        }
        if response.status != 200 {
            self.poll_later(job.order);
            return;
        }
        match read(response.body) {
            Some((id, state)) if Some(id) == self.told.borrow()[job.order].ticket => {
                if state == State::Processing {
                    self.poll_later(job.order);
                } else {
                    self.hears(job.order, state, now);
                }
            }
            _ => self.contradiction(job, "GET was answered with another ticket"),
        }
    }

    /// A client hears where its ticket stands; the first verdict makes it act.
    pub(super) fn hears(&self, order: usize, state: State, now: u64) {
        self.happened(now);
        let is_verdict = self.remember(order, |told| {
            told.states.add(state);
            let is_verdict = state != State::Processing && told.heard == NEVER;
            if is_verdict {
                told.heard = now;
            }
            is_verdict
        });
        if !is_verdict {
            return;
        }
        self.tally.borrow_mut().heard += 1;
        let planned = self.plan[order];
        let step = match planned.intent {
            Intent::Confirm => Step::Confirm,
            Intent::Cancel => Step::Cancel,
            Intent::Lapse => return,
        };
        if state != State::Reserved {
            return;
        }
        self.remember(order, |told| told.change = ChangeAnswer::Unknown);
        self.schedule(Job {
            due: now + u64::from(planned.think_ms) * MICROS_PER_MILLI,
            order,
            step,
            sent_before: 0,
        });
    }

    fn changed(&self, job: Job, now: u64, response: Response<'_>, problem: &Problem) {
        let change = match (response.status, problem.code.as_str()) {
            (200, _) => {
                let wanted = if job.step == Step::Confirm {
                    State::Confirmed
                } else {
                    State::Cancelled
                };
                let ticket = self.told.borrow()[job.order].ticket;
                match read(response.body) {
                    Some((id, state)) if Some(id) == ticket && state == wanted => {
                        self.hears(job.order, state, now);
                    }
                    _ => self.contradiction(job, "200 with another ticket or state"),
                }
                ChangeAnswer::Done
            }
            (409, "hold_expired") => ChangeAnswer::HoldExpired,
            (429 | 500.., _) => {
                self.change_again(job);
                return;
            }
            _ => ChangeAnswer::Refused,
        };
        self.remember(job.order, |told| told.change = change);
    }

    /// Repeating one that is done changes nothing.
    fn change_again(&self, job: Job) {
        if job.sent_before < CHANGE_REPEATS {
            self.schedule(Job {
                due: self.now() + self.scenario.retries.pause_ms * MICROS_PER_MILLI,
                sent_before: job.sent_before + 1,
                ..job
            });
        }
    }

    fn contradiction(&self, job: Job, what: &str) {
        self.contradicts(job.order, &format!("{}: {what}", job.step));
    }

    pub(super) fn contradicts(&self, order: usize, what: &str) {
        let ticket = self.told.borrow()[order].ticket;
        let mut tally = self.tally.borrow_mut();
        tally.contradicted += 1;
        if tally.contradictions.len() < MAX_WORDS {
            let ticket = ticket
                .map(|id| format!(" (ticket {id})"))
                .unwrap_or_default();
            tally
                .contradictions
                .push(format!("order {order}{ticket}: {what}"));
        }
    }
}
