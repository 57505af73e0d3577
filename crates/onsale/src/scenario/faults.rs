//! What is broken while a sale runs, and when: drawn from the scenario and a
//! seed before the start, like the orders.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1};
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::arrivals::micros;

/// Tells the faults' chance from that of the orders, which stay the same
/// whatever faults there are.
const STREAM: u64 = 0xFA_0175;
const MICROS_PER_MILLI: u64 = 1_000;
/// Of the broker that `deploy/cluster.sh` starts.
pub(crate) const NODES: u32 = 3;

/// What can be done to a deployment.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum FaultKind {
    /// A worker gets SIGKILL and is started again.
    WorkerKilled,
    /// A worker gets SIGSTOP, and SIGCONT later.
    WorkerFrozen,
    /// A worker gets SIGTERM and is started again when it has ended.
    WorkerRestarted,
    /// The api process gets SIGKILL and is started again on its port.
    ApiKilled,
    /// The api process gets SIGTERM and is started again on its port.
    ApiRestarted,
    /// Every connection to the broker ends; new ones are taken.
    BrokerCut,
    /// Nothing passes to or from the broker, and no connection ends.
    BrokerStalled,
    /// Every connection to the broker ends, and no new one is taken.
    BrokerUnreachable,
    /// The broker itself gets SIGKILL and is started again on its data.
    BrokerKilled,
    /// A node of a broker of several gets SIGKILL and is started again on its data.
    NodeKilled,
    /// A node gets SIGSTOP, and SIGCONT later.
    NodeFrozen,
    /// A node and the others lose each other; clients reach all of them.
    NodeCut,
    /// Nobody reaches a node any more, and nobody is told.
    NodeVanished,
    /// Every connection to the store ends; new ones are taken.
    StoreCut,
    /// Nothing passes to or from the store, and no connection ends.
    StoreStalled,
    /// Every connection to the store ends, and no new one is taken.
    StoreUnreachable,
    /// The database server itself gets SIGKILL and is started again on its data.
    StoreKilled,
}

/// What faults happen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray)]
pub(crate) enum Part {
    /// The processes of the service.
    Service,
    /// The broker, and the way to it.
    Broker,
    /// The store, and the way to it.
    Store,
}

/// How long a fault of a kind is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    /// An instant; what it takes to heal is up to the service.
    Instant,
    /// As long as [`FaultTerms::lasts_ms`] says.
    Lasting,
    /// As long as [`FaultTerms::down_ms`] says, and the start.
    Down,
}

impl FaultKind {
    /// As scenarios and reports call it.
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }

    /// Whether it ends a server, which nobody else may use then.
    pub(crate) const fn kills_a_server(self) -> bool {
        matches!(self, Self::BrokerKilled | Self::StoreKilled)
    }

    /// Whether it happens to one node of a broker of several.
    pub(crate) const fn breaks_a_node(self) -> bool {
        matches!(
            self,
            Self::NodeKilled | Self::NodeFrozen | Self::NodeCut | Self::NodeVanished
        )
    }

    /// What it happens to, how long it is in force, and the time in ms that is left for a
    /// process to start, or for a node to be a member again, on a machine that is busy.
    const fn nature(self) -> (Part, Length, u64) {
        use Length::{Down, Instant, Lasting};
        use Part::{Broker, Service, Store};
        match self {
            Self::WorkerKilled | Self::ApiKilled => (Service, Down, 1_000),
            Self::WorkerRestarted | Self::ApiRestarted => (Service, Instant, 1_000),
            Self::WorkerFrozen => (Service, Lasting, 0),
            Self::BrokerCut => (Broker, Instant, 0),
            Self::BrokerStalled | Self::BrokerUnreachable => (Broker, Lasting, 0),
            Self::BrokerKilled => (Broker, Down, 10_000),
            Self::NodeKilled => (Broker, Down, 15_000),
            // The others give it up, and RabbitMQ before 4.3 has it start again.
            Self::NodeFrozen | Self::NodeCut | Self::NodeVanished => (Broker, Lasting, 25_000),
            Self::StoreCut => (Store, Instant, 0),
            Self::StoreStalled | Self::StoreUnreachable => (Store, Lasting, 0),
            Self::StoreKilled => (Store, Down, 3_000),
        }
    }

    const fn part(self) -> Part {
        self.nature().0
    }

    const fn start_ms(self) -> u64 {
        self.nature().2
    }
}

/// As scenarios and reports call them.
pub fn kinds_of_faults() -> impl Iterator<Item = &'static str> {
    FaultKind::VARIANTS.iter().map(Into::into)
}

/// What a scenario says of faults.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FaultTerms {
    /// How many.
    pub(crate) number: u32,
    /// Kinds with their weights.
    pub(crate) kinds: Vec<(FaultKind, f64)>,
    /// How long what lasts lasts.
    pub(crate) lasts_ms: (u64, u64),
    /// How long a process that was killed is not started again.
    pub(crate) down_ms: (u64, u64),
    /// From the end of a fault to the start of the next, at least.
    pub(crate) quiet_ms: u64,
    /// Whether those of different parts take no notice of each other.
    pub(crate) overlapping: bool,
}

/// A fault that will happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlannedFault {
    /// When, in µs from the start.
    pub(crate) at_micros: u64,
    /// What.
    pub(crate) kind: FaultKind,
    /// How long it is in force, without the start of what was killed.
    pub(crate) lasts_micros: u64,
    /// Number of the worker or node that it happens to, if it happens to one, from 0 on.
    pub(crate) number: u32,
}

impl FaultTerms {
    /// How often each kind happens: as the weights say, to within one.
    pub(crate) fn counts(&self) -> Vec<(FaultKind, u32)> {
        let all: f64 = self.kinds.iter().map(|(_, weight)| weight).sum();
        let share = |weight: f64| f64::from(self.number) * weight / all;
        let mut counts: Vec<(FaultKind, u32, f64)> = self
            .kinds
            .iter()
            .map(|(kind, weight)| {
                let share = share(*weight);
                (*kind, whole(share), share.fract())
            })
            .collect();
        // What is left goes to the largest remainders.
        let given: u32 = counts.iter().map(|(_, count, _)| count).sum();
        let mut by_remainder: Vec<usize> = (0..counts.len()).collect();
        by_remainder.sort_by(|one, other| counts[*other].2.total_cmp(&counts[*one].2));
        let left = usize::try_from(self.number.saturating_sub(given)).unwrap_or_default();
        for place in by_remainder.into_iter().take(left) {
            counts[place].1 += 1;
        }
        counts
            .into_iter()
            .map(|(kind, count, _)| (kind, count))
            .collect()
    }

    /// The time that all of them take if each is as long as it can be.
    pub(crate) fn longest_ms(&self) -> u64 {
        let counts = self.counts();
        let longest = |is_in: &dyn Fn(FaultKind) -> bool| {
            let faults = counts.iter().filter(|(kind, _)| is_in(*kind));
            let lasting = faults.map(|(kind, count)| {
                let most = self.span(*kind).1 + kind.start_ms() + self.quiet_ms;
                most * u64::from(*count)
            });
            self.quiet_ms + lasting.sum::<u64>()
        };
        if self.overlapping {
            let parts = Part::VARIANTS.iter();
            let parts = parts.map(|part| longest(&|kind| kind.part() == *part));
            parts.max().unwrap_or_default()
        } else {
            longest(&|_| true)
        }
    }

    const fn span(&self, kind: FaultKind) -> (u64, u64) {
        match kind.nature().1 {
            Length::Instant => (0, 0),
            Length::Lasting => self.lasts_ms,
            Length::Down => self.down_ms,
        }
    }
}

/// All faults of a sale to which orders come for so many seconds, in sequences that run side
/// by side: one, or one for each part if faults may overlap. In a sequence the next fault
/// starts when the one before is over, what it ended is there again, and
/// [`FaultTerms::quiet_ms`] have passed. What time is left is spread between them as chance
/// has it, so that nobody can get used to a rhythm.
pub(crate) fn plan_faults(
    terms: &FaultTerms,
    seconds: f64,
    workers: u32,
    seed: u64,
) -> Vec<Vec<PlannedFault>> {
    let mut random = StdRng::seed_from_u64(seed ^ STREAM);
    let counts = terms.counts();
    let mut kinds: Vec<FaultKind> = counts
        .into_iter()
        .flat_map(|(kind, count)| std::iter::repeat_n(kind, usize::try_from(count).unwrap_or(0)))
        .collect();
    kinds.shuffle(&mut random);
    let sequences = if terms.overlapping {
        let kinds = kinds.into_iter();
        let of = |part: &Part| kinds.clone().filter(|kind| kind.part() == *part).collect();
        Part::VARIANTS.iter().map(of).collect()
    } else {
        vec![kinds]
    };
    let sequences = sequences.into_iter();
    sequences
        .map(|kinds: Vec<FaultKind>| sequence(terms, kinds, seconds, workers, &mut random))
        .collect()
}

fn sequence(
    terms: &FaultTerms,
    kinds: Vec<FaultKind>,
    seconds: f64,
    workers: u32,
    random: &mut StdRng,
) -> Vec<PlannedFault> {
    let lasting: Vec<u64> = kinds
        .iter()
        .map(|kind| {
            let (least, most) = terms.span(*kind);
            random.random_range(least..=most) * MICROS_PER_MILLI
        })
        .collect();
    let gaps: Vec<f64> = (0..=kinds.len()).map(|_| Exp1.sample(random)).collect();
    let all_gaps: f64 = gaps.iter().sum();
    let busy: u64 = lasting.iter().sum::<u64>()
        + kinds
            .iter()
            .map(|kind| (kind.start_ms() + terms.quiet_ms) * MICROS_PER_MILLI)
            .sum::<u64>()
        + terms.quiet_ms * MICROS_PER_MILLI;
    let left = micros(seconds).saturating_sub(busy) as f64 / 1e6;

    let mut at = 0;
    let faults = kinds.into_iter().zip(lasting).zip(gaps);
    faults
        .map(|((kind, lasts_micros), gap)| {
            at += terms.quiet_ms * MICROS_PER_MILLI + micros(left * gap / all_gaps);
            let several = if kind.breaks_a_node() { NODES } else { workers };
            let fault = PlannedFault {
                at_micros: at,
                kind,
                lasts_micros,
                number: random.random_range(0..several.max(1)),
            };
            at += lasts_micros + kind.start_ms() * MICROS_PER_MILLI;
            fault
        })
        .collect()
}

/// The whole part of a number that is not negative.
fn whole(number: f64) -> u32 {
    let whole = std::time::Duration::try_from_secs_f64(number).unwrap_or_default();
    u32::try_from(whole.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const SECONDS: f64 = 1_800.0;

    fn terms() -> FaultTerms {
        FaultTerms {
            number: 85,
            kinds: FaultKind::VARIANTS
                .iter()
                .map(|kind| (*kind, 1.0))
                .collect(),
            lasts_ms: (1_000, 12_000),
            down_ms: (0, 2_000),
            quiet_ms: 1_500,
            overlapping: false,
        }
    }

    /// Of one sequence.
    fn the_only(mut sequences: Vec<Vec<PlannedFault>>) -> Vec<PlannedFault> {
        assert_eq!(sequences.len(), 1);
        sequences.remove(0)
    }

    fn planned(seed: u64) -> Vec<PlannedFault> {
        the_only(plan_faults(&terms(), SECONDS, 2, seed))
    }

    #[test]
    fn a_seed_tells_every_fault() {
        assert_eq!(planned(7), planned(7));
        assert_ne!(planned(7), planned(8));
    }

    #[test]
    fn kinds_are_as_frequent_as_their_weights_say() {
        let mut heavy = terms();
        heavy.kinds = vec![
            (FaultKind::WorkerKilled, 6.0),
            (FaultKind::ApiKilled, 3.0),
            (FaultKind::StoreCut, 1.0),
        ];
        heavy.number = 25;
        let mut counts: BTreeMap<FaultKind, u32> = BTreeMap::new();
        for fault in the_only(plan_faults(&heavy, SECONDS, 2, 1)) {
            *counts.entry(fault.kind).or_default() += 1;
        }
        // 15, 7.5 and 2.5: the half that is left goes to the first of the equals.
        let expected = [
            (FaultKind::WorkerKilled, 15),
            (FaultKind::ApiKilled, 8),
            (FaultKind::StoreCut, 2),
        ];
        assert_eq!(counts, BTreeMap::from(expected));
        assert!(terms().counts().iter().all(|(_, count)| *count == 5));
    }

    #[test]
    fn a_fault_starts_when_the_one_before_is_over() {
        for seed in 0..200 {
            let faults = planned(seed);
            assert_eq!(faults.len(), 85);
            let mut free = 0;
            for fault in &faults {
                assert!(fault.at_micros >= free + 1_500_000, "{seed}: {fault:?}");
                free =
                    fault.at_micros + fault.lasts_micros + fault.kind.start_ms() * MICROS_PER_MILLI;
            }
            assert!(free + 1_500_000 <= micros(SECONDS), "{seed}: {free}");
        }
    }

    #[test]
    fn faults_last_as_long_as_the_scenario_says() {
        for fault in planned(3) {
            let span = match fault.kind.nature().1 {
                Length::Instant => 0..=0,
                Length::Lasting => 1_000_000..=12_000_000,
                Length::Down => 0..=2_000_000,
            };
            assert!(span.contains(&fault.lasts_micros), "{fault:?}");
        }
    }

    #[test]
    fn every_worker_has_its_share() {
        let faults = planned(1);
        let of_a_node = |fault: &&PlannedFault| fault.kind.breaks_a_node();
        let to_workers: Vec<_> = faults.iter().filter(|fault| !of_a_node(fault)).collect();
        let of_first = to_workers.iter().filter(|fault| fault.number == 0).count();
        assert!(
            (16..=49).contains(&of_first),
            "{of_first} of {}",
            to_workers.len()
        );
        for node in 0..NODES {
            let mut of_nodes = faults.iter().filter(of_a_node);
            assert!(of_nodes.any(|fault| fault.number == node), "{node}");
        }
    }

    #[test]
    fn overlapping_faults_of_a_part_still_come_one_after_the_other() {
        let overlapping = FaultTerms {
            overlapping: true,
            ..terms()
        };
        let mut overlaps = 0;
        for seed in 0..200 {
            let sequences = plan_faults(&overlapping, SECONDS, 2, seed);
            assert_eq!(sequences.iter().map(Vec::len).sum::<usize>(), 85);
            let mut all: Vec<_> = sequences.concat();
            all.sort_by_key(|fault| fault.at_micros);
            let end = |fault: &PlannedFault| fault.at_micros + fault.lasts_micros;
            overlaps += all
                .windows(2)
                .filter(|pair| pair[1].at_micros < end(&pair[0]))
                .count();
            for faults in sequences {
                let part = faults[0].kind.part();
                assert!(faults.iter().all(|fault| fault.kind.part() == part));
                for pair in faults.windows(2) {
                    assert!(pair[1].at_micros >= end(&pair[0]) + 1_500_000, "{pair:?}");
                }
            }
        }
        assert!(overlaps > 1_000, "{overlaps}");
        assert!(overlapping.longest_ms() < terms().longest_ms());
    }

    /// No schedule is longer than the longest.
    #[test]
    fn the_longest_schedule_is_known_before_it_is_drawn() {
        let mut tight = terms();
        tight.lasts_ms = (12_000, 12_000);
        tight.down_ms = (2_000, 2_000);
        let longest = tight.longest_ms();
        let seconds = std::time::Duration::from_millis(longest).as_secs_f64();
        let faults = the_only(plan_faults(&tight, seconds, 2, 1));
        let last = faults.last().unwrap();
        let end = last.at_micros + last.lasts_micros + last.kind.start_ms() * MICROS_PER_MILLI;
        assert!(end + 1_500_000 <= longest * MICROS_PER_MILLI);
    }
}
