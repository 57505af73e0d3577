//! The waiting line against a queue that is simulated order by order: several
//! processes accept, each with a delay of its own on the way into the queue; a
//! worker decides batches; counts and decisions are heard late.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use domain::event::Event;
use domain::order::{Lane, Lanes, Order};
use domain::receipt::ProcessId;
use domain::user::PriorityClass;
use domain::waiting_line::{AcceptTally, WaitingLine};
use proptest::prelude::*;

use crate::book::{at, order, receipts};
use crate::doubles::confirmed;

const CLASS: PriorityClass = PriorityClass::Standard;
const MS: i64 = 1_000;
/// When a simulation begins.
const START: i64 = 1_000_000 * MS;
const STALLED_AFTER: i64 = 5_000 * MS;
const ANNOUNCED_EVERY: i64 = 100 * MS;
const SETTLES_AFTER: i64 = 500 * MS;

fn lanes() -> Lanes {
    Lanes::new(1).unwrap()
}

fn lane() -> Lane {
    lanes().get(0).unwrap()
}

/// An accepting process.
#[derive(Debug, Clone)]
struct Accepting {
    /// Milliseconds, and orders in each of them, in thousandths.
    phases: Vec<(i64, u32)>,
    /// The publisher sends what came meanwhile every so many milliseconds.
    lump_ms: i64,
    /// From the publisher's stamp until the order is in the queue and counted.
    queued_after: i64,
    announced_after: i64,
    /// Of the announcements, against those of other processes.
    shift: i64,
}

#[derive(Debug, Clone)]
struct Deciding {
    batch_max: usize,
    every: i64,
    heard_after: i64,
    /// The worker is dead from the first until the second.
    dead: (i64, i64),
}

#[derive(Debug, Clone)]
struct Scene {
    accepting: Vec<Accepting>,
    deciding: Deciding,
}

fn accepting() -> impl Strategy<Value = Accepting> {
    (
        prop::collection::vec((200..3_000_i64, 0..6_000_u32), 1..6),
        1..20_i64,
        0..30 * MS,
        0..80 * MS,
        (0..100_i64).prop_map(|millis| millis * MS),
    )
        .prop_map(
            |(phases, lump_ms, queued_after, announced_after, shift)| Accepting {
                phases,
                lump_ms,
                queued_after,
                announced_after,
                shift,
            },
        )
}

fn scene() -> impl Strategy<Value = Scene> {
    let dead = prop_oneof![
        2 => Just((0, 0)),
        1 => (1_000..4_000_i64, 500..9_000_i64).prop_map(|(from, length)| (from, from + length)),
    ];
    let deciding =
        (500..=1_000_usize, 50..250_i64, dead).prop_flat_map(|(batch_max, every, dead)| {
            (0..=every.min(50)).prop_map(move |heard_after| Deciding {
                batch_max,
                every: every * MS,
                heard_after: heard_after * MS,
                dead: (START + dead.0 * MS, START + dead.1 * MS),
            })
        });
    (prop::collection::vec(accepting(), 1..=3), deciding).prop_map(|(accepting, deciding)| Scene {
        accepting,
        deciding,
    })
}

struct Simulation {
    scene: Scene,
    now: i64,
    line: WaitingLine,
    tallies: Vec<AcceptTally>,
    /// Orders on their way into the queue, per process.
    sent: Vec<VecDeque<i64>>,
    /// Fractions of orders that are still to come, per process.
    owed: Vec<u32>,
    latest: Vec<i64>,
    queue: VecDeque<(usize, i64)>,
    /// What is heard when.
    on_its_way: BTreeMap<(i64, usize), Event>,
    /// When it was last heard that something was decided.
    moved_at: Option<i64>,
    messages: usize,
    accepted: usize,
    template: Order,
}

impl Simulation {
    fn new(scene: Scene) -> Self {
        let count = scene.accepting.len();
        Self {
            now: START,
            line: WaitingLine::new(
                lanes(),
                Duration::from_micros(STALLED_AFTER.unsigned_abs()),
                at(START),
            ),
            tallies: (0..count)
                .map(|index| AcceptTally::new(process(index), lanes(), at(START)))
                .collect(),
            sent: vec![VecDeque::new(); count],
            owed: vec![0; count],
            latest: vec![0; count],
            queue: VecDeque::new(),
            on_its_way: BTreeMap::new(),
            moved_at: None,
            messages: 0,
            accepted: 0,
            template: order(&receipts(), 1, 1, at(0)),
            scene,
        }
    }

    fn ends_at(&self) -> i64 {
        let of = |it: &Accepting| it.phases.iter().map(|phase| phase.0).sum::<i64>();
        let longest = self.scene.accepting.iter().map(of).max().unwrap();
        START + longest * MS + SETTLES_AFTER
    }

    /// One millisecond.
    fn step(&mut self) {
        self.now += MS;
        for index in 0..self.scene.accepting.len() {
            self.accept(index);
        }
        self.decide();
        while let Some(entry) = self.on_its_way.first_entry()
            && entry.key().0 <= self.now
        {
            let now = at(self.now);
            match entry.remove() {
                Event::Ticket(ticket) => {
                    self.line.hear_decided(lane(), &ticket.order, now);
                    self.moved_at = Some(self.now);
                }
                Event::Accepted(accepted) => self.line.hear_accepted(&accepted, now),
                Event::Show(_) | Event::Settled(_) => panic!("only tickets here"),
            }
        }
    }

    fn accept(&mut self, index: usize) {
        let Accepting {
            phases,
            lump_ms,
            queued_after,
            announced_after,
            shift,
        } = self.scene.accepting[index].clone();
        let mut left = (self.now - START) / MS;
        let rate = phases.iter().find_map(|(length, rate)| {
            left -= length;
            (left < 0).then_some(*rate)
        });
        self.owed[index] += rate.unwrap_or(0);
        if (self.now / MS) % lump_ms == 0 {
            for _ in 0..self.owed[index] / 1_000 {
                // As publishers stamp: strictly increasing.
                self.latest[index] = self.now.max(self.latest[index] + 1);
                self.sent[index].push_back(self.latest[index]);
            }
            self.owed[index] %= 1_000;
        }
        while let Some(stamp) = self.sent[index].front().copied()
            && stamp + queued_after <= self.now
        {
            self.sent[index].pop_front();
            self.queue.push_back((index, stamp));
            self.tallies[index].count(lane(), CLASS, at(stamp));
            self.accepted += 1;
        }
        if (self.now + shift) % ANNOUNCED_EVERY == 0 {
            let accepted = self.tallies[index].to_announce(at(self.now));
            self.tallies[index].note_announced(&accepted, at(self.now));
            for orders in accepted {
                self.tell(announced_after, Event::Accepted(orders));
            }
        }
    }

    fn decide(&mut self) {
        let Deciding {
            batch_max,
            every,
            heard_after,
            dead,
        } = self.scene.deciding.clone();
        if self.now % every / MS != 0 || (dead.0..dead.1).contains(&self.now) {
            return;
        }
        for _ in 0..batch_max.min(self.queue.len()) {
            let (index, stamp) = self.queue.pop_front().unwrap();
            let order = Order {
                requested_at: at(stamp),
                accepted_by: process(index),
                ..self.template.clone()
            };
            self.tell(heard_after, Event::Ticket(confirmed(&order)));
        }
    }

    /// Decided orders whose events are on their way: a batch at most.
    fn unheard(&self) -> usize {
        let events = self.on_its_way.values();
        events.filter(|it| matches!(it, Event::Ticket(_))).count()
    }

    fn tell(&mut self, after: i64, event: Event) {
        self.messages += 1;
        let when = (self.now + after, self.messages);
        self.on_its_way.insert(when, event);
    }
}

fn process(index: usize) -> ProcessId {
    ProcessId::new(u32::try_from(index).unwrap() + 1)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        // Cases are bounded and the interesting ones are tests of their own.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Of every order that has waited for half a second, at every moment: the
    /// orders ahead are told within 20 % of the truth or one batch, and nothing
    /// that is told jumps back or stalls without reason.
    #[test]
    fn what_is_told_is_what_is_true(scene in scene()) {
        let batch = scene.deciding.batch_max as u64;
        let mut simulation = Simulation::new(scene);
        let mut serving = None;
        let ends_at = simulation.ends_at();
        while simulation.now < ends_at {
            simulation.step();
            if simulation.now % (50 * MS) != 0 {
                continue;
            }
            let now = simulation.now;
            let waiting = &simulation.queue;
            let some = [0, 1, 2, 3, 4].map(|part| waiting.len().saturating_sub(1) * part / 4);
            for ahead in some {
                let Some((_, stamp)) = waiting.get(ahead).copied() else { continue };
                let place = simulation.line.place(lane(), CLASS, Some(at(stamp)), at(now));
                prop_assert!(place.now_serving_at >= serving, "went back");
                serving = place.now_serving_at;
                if now - stamp < SETTLES_AFTER {
                    prop_assert_eq!(place.orders_ahead, None);
                } else {
                    let told = place.orders_ahead.unwrap();
                    // What is decided and not yet heard of is still ahead.
                    let heard = (ahead..=ahead + simulation.unheard()).map(|it| it as u64);
                    let off = heard.map(|it| told.abs_diff(it)).min().unwrap();
                    prop_assert!(
                        off <= (ahead as u64 / 5).max(batch),
                        "told {told}, but {ahead} of {} are ahead; batches of {batch}",
                        waiting.len()
                    );
                }
                let quiet_since = simulation.moved_at.unwrap_or(START).max(stamp);
                let is_stalled = now - quiet_since >= STALLED_AFTER;
                prop_assert_eq!(place.stalled, is_stalled);
            }
        }
    }
}

/// Two processes at 5,000 orders a second each, in lumps and out of step, and a
/// worker that is half as fast: a line of 25,000 orders is told to within 1 %.
#[test]
fn a_long_line_is_told_closely() {
    let one = Accepting {
        phases: vec![(3_000, 5_000), (1_000, 0), (2_000, 5_000)],
        lump_ms: 10,
        queued_after: 7 * MS,
        announced_after: 20 * MS,
        shift: 30 * MS,
    };
    let other = Accepting {
        shift: 70 * MS,
        queued_after: 25 * MS,
        ..one.clone()
    };
    let mut simulation = Simulation::new(Scene {
        accepting: vec![one, other],
        deciding: Deciding {
            batch_max: 500,
            every: 100 * MS,
            heard_after: 0,
            dead: (0, 0),
        },
    });
    // A little longer, until the last order is settled.
    while simulation.now < simulation.ends_at() + 50 * MS {
        simulation.step();
    }
    let now = at(simulation.now);
    let waiting = simulation.queue.len();
    assert!(waiting > 15_000, "{waiting}");
    for part in 0..=10 {
        let ahead = (waiting - 1) * part / 10;
        let (_, stamp) = simulation.queue[ahead];
        let place = simulation.line.place(lane(), CLASS, Some(at(stamp)), now);
        let told = place.orders_ahead.unwrap();
        assert!(
            told.abs_diff(ahead as u64) < 250,
            "{told} {ahead} of {waiting}"
        );
        // 5,000 a second.
        let wait_ms = place.wait_ms.unwrap();
        assert!(wait_ms.abs_diff(told / 5) <= told / 100, "{wait_ms} {told}");
    }
}
