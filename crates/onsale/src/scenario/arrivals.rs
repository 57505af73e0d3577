//! When orders come: phases of a rate, one after the other.

use std::time::Duration;

use rand::rngs::StdRng;
use rand_distr::{Distribution, Exp1};

/// A stretch of time in which orders come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Phase {
    /// How the rate goes.
    pub(crate) shape: Shape,
    /// Orders in all.
    pub(crate) orders: u64,
    /// How long it takes.
    pub(crate) seconds: f64,
}

/// How the rate of a phase goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    /// The same all the time.
    Flat,
    /// From one rate to another along a line; only their ratio matters, because
    /// orders and seconds are given.
    Ramp {
        /// At the start.
        from_rate: f64,
        /// At the end.
        to_rate: f64,
    },
    /// As high as it ever gets at the start; half as high after each half-life.
    Spike {
        /// The half-life.
        half_life_seconds: f64,
    },
}

/// How the orders of a phase are spread along its curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spacing {
    /// As strangers come, who know nothing of each other: a Poisson process of
    /// the curve's rate, given the number of orders.
    Random,
    /// At equal distances along the curve.
    Even,
}

impl Phase {
    /// The instant, as a part of 1 of the orders, in seconds from the phase's
    /// start: the inverse of the curve's integral.
    fn instant(&self, part: f64) -> f64 {
        match self.shape {
            Shape::Flat => part * self.seconds,
            Shape::Ramp { from_rate, to_rate } => {
                let rise = to_rate - from_rate;
                if rise == 0.0 {
                    return part * self.seconds;
                }
                // Orders until t, by all orders, with x = t / seconds:
                // (from x + rise x² / 2) / ((from + to) / 2) = part
                let root = (from_rate * from_rate + rise * (from_rate + to_rate) * part).sqrt();
                self.seconds * (root - from_rate) / rise
            }
            Shape::Spike { half_life_seconds } => {
                if self.seconds == 0.0 {
                    return 0.0;
                }
                let decay = std::f64::consts::LN_2 / half_life_seconds;
                // 1 - e^(-decay t) = part (1 - e^(-decay seconds))
                let all = -(-decay * self.seconds).exp_m1();
                -(-part * all).ln_1p() / decay
            }
        }
    }

    /// The highest rate of the phase, in orders per second.
    pub(crate) fn peak_rate(&self) -> f64 {
        let mean = self.orders as f64 / self.seconds;
        match self.shape {
            Shape::Flat => mean,
            Shape::Ramp { from_rate, to_rate } => from_rate.max(to_rate),
            Shape::Spike { half_life_seconds } => {
                let decay = std::f64::consts::LN_2 / half_life_seconds;
                let all = -(-decay * self.seconds).exp_m1();
                self.orders as f64 * decay / all
            }
        }
    }
}

/// The instants of all orders, in µs from the start, in sequence.
pub(crate) fn instants(phases: &[Phase], spacing: Spacing, random: &mut StdRng) -> Vec<u64> {
    let mut instants = Vec::new();
    let mut start = 0.0;
    for phase in phases {
        let parts = parts(phase.orders, spacing, random);
        let at = parts.map(|part| micros(start + phase.instant(part)));
        instants.extend(at);
        start += phase.seconds;
    }
    instants
}

/// Of seconds from the start.
pub(super) fn micros(seconds: f64) -> u64 {
    let instant = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    u64::try_from(instant.as_micros()).unwrap_or_default()
}

/// Ascending parts of 1, as many as there are orders.
fn parts(orders: u64, spacing: Spacing, random: &mut StdRng) -> Box<dyn Iterator<Item = f64>> {
    let count = orders as f64;
    match spacing {
        Spacing::Even => Box::new((0..orders).map(move |order| (order as f64 + 0.5) / count)),
        // Gaps of a Poisson process by their sum: the order statistics of a
        // uniform distribution, without sorting.
        Spacing::Random => {
            let mut sum = 0.0;
            let mut sums = Vec::new();
            for _ in 0..orders {
                let gap: f64 = Exp1.sample(random);
                sum += gap;
                sums.push(sum);
            }
            let gap: f64 = Exp1.sample(random);
            let whole = sum + gap;
            Box::new(sums.into_iter().map(move |sum| sum / whole))
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn even(phases: &[Phase]) -> Vec<u64> {
        instants(phases, Spacing::Even, &mut StdRng::seed_from_u64(1))
    }

    fn within(instants: &[u64], from: f64, to: f64) -> usize {
        let range = micros(from)..micros(to);
        instants.iter().filter(|at| range.contains(at)).count()
    }

    const FLAT: Phase = Phase {
        shape: Shape::Flat,
        orders: 10,
        seconds: 1.0,
    };

    #[test]
    fn flat_orders_come_at_equal_distances() {
        let tenths: Vec<_> = (0..10).map(|order| order * 100_000 + 50_000).collect();
        assert_eq!(even(&[FLAT]), tenths);
    }

    #[test]
    fn phases_follow_each_other() {
        let instants = even(&[FLAT, FLAT]);
        assert_eq!(instants.len(), 20);
        assert_eq!((instants[9], instants[10]), (950_000, 1_050_000));
    }

    #[test]
    fn a_ramp_has_a_quarter_of_its_orders_in_its_first_half() {
        let ramp = Phase {
            shape: Shape::Ramp {
                from_rate: 0.0,
                to_rate: 200.0,
            },
            orders: 1_000,
            seconds: 10.0,
        };
        let instants = even(&[ramp]);
        assert_eq!(within(&instants, 0.0, 5.0), 250);
        assert_eq!(instants.len(), 1_000);
        assert!(instants.is_sorted() && *instants.last().unwrap() < 10_000_000);
        let down = Phase {
            shape: Shape::Ramp {
                from_rate: 200.0,
                to_rate: 0.0,
            },
            ..ramp
        };
        assert_eq!(within(&even(&[down]), 0.0, 5.0), 750);
    }

    #[test]
    fn a_spike_halves_with_each_half_life() {
        let spike = Phase {
            shape: Shape::Spike {
                half_life_seconds: 1.0,
            },
            orders: 7_000,
            seconds: 3.0,
        };
        let instants = even(&[spike]);
        let by_second = [0.0, 1.0, 2.0].map(|from| within(&instants, from, from + 1.0));
        assert_eq!(by_second, [4_000, 2_000, 1_000]);
        // 8000 ln 2: the first second has 4000 of a rate that halves.
        assert!((spike.peak_rate() - 5_545.2).abs() < 1.0);
    }

    #[test]
    fn a_spike_of_no_time_is_one_instant() {
        let spike = Phase {
            shape: Shape::Spike {
                half_life_seconds: 1.0,
            },
            orders: 5,
            seconds: 0.0,
        };
        assert_eq!(even(&[spike]), [0; 5]);
    }

    #[test]
    fn random_orders_are_as_many_and_differ_by_seed_only() {
        let phase = Phase {
            orders: 10_000,
            ..FLAT
        };
        let draw = |seed| instants(&[phase], Spacing::Random, &mut StdRng::seed_from_u64(seed));
        let instants = draw(1);
        assert_eq!(instants.len(), 10_000);
        assert!(instants.is_sorted() && *instants.last().unwrap() < 1_000_000);
        assert_eq!(instants, draw(1));
        assert_ne!(instants, draw(2));
        // Half of them in half of the time: within five standard deviations.
        let half = within(&instants, 0.0, 0.5);
        assert!((4_750..=5_250).contains(&half), "{half}");
    }
}
