//! Every order of a run, drawn from the scenario and a seed before the start.

use black_box::proof::order::{Intent, PlannedOrder, Reader};
use rand::distr::weighted::WeightedIndex;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Zipf};

use super::arrivals::instants;
use super::sale::{Popularity, Scenario};

/// All orders, in the sequence in which they are to be sent.
pub(crate) fn plan(scenario: &Scenario, seed: u64) -> anyhow::Result<Vec<PlannedOrder>> {
    let mut random = StdRng::seed_from_u64(seed);
    let instants = instants(&scenario.arrivals, scenario.spacing, &mut random);
    let users = scenario.users.number;
    let mut buyers: Vec<u32> = (0..users).cycle().take(instants.len()).collect();
    buyers.shuffle(&mut random);

    let shows = scenario.shows.number;
    let zipf = match scenario.shows.popularity {
        Popularity::Zipf { exponent } => Some(Zipf::new(f64::from(shows), exponent)?),
        _ => None,
    };
    let weights = scenario.quantities.iter().map(|(_, weight)| *weight);
    let weights = WeightedIndex::new(weights)?;
    let (retries, readers, holds) = (&scenario.retries, &scenario.readers, &scenario.holds);
    let has_holds = scenario.shows.hold_seconds > 0;

    let orders = instants.into_iter().zip(buyers).map(|(at_micros, user)| {
        let show = match (scenario.shows.popularity, &zipf) {
            (Popularity::Hot { share }, _) if shows > 1 => {
                if random.random_bool(share) {
                    0
                } else {
                    random.random_range(1..shows)
                }
            }
            // Ranks start with 1.
            (_, Some(zipf)) => rank(zipf.sample(&mut random), shows),
            _ => random.random_range(0..shows),
        };
        let reads: f64 = random.random();
        let reader = if reads < readers.poll {
            Reader::Poll
        } else if reads < readers.poll + readers.websocket {
            Reader::WebSocket
        } else {
            Reader::Absent
        };
        let does: f64 = random.random();
        let intent = if !has_holds || does < holds.lapse {
            Intent::Lapse
        } else if does < holds.lapse + holds.cancel {
            Intent::Cancel
        } else {
            Intent::Confirm
        };
        let (least, most) = holds.think_ms;
        let keyed = random.random_bool(retries.keyed);
        PlannedOrder {
            at_micros,
            user,
            show,
            quantity: scenario.quantities[weights.sample(&mut random)].0,
            think_ms: u32::try_from(random.random_range(least..=most)).unwrap_or_default(),
            reader,
            intent,
            keyed,
            repeated: keyed && random.random_bool(retries.repeated),
        }
    });
    Ok(orders.collect())
}

/// Number of the show of a rank, which is a whole number from 1.
fn rank(rank: f64, shows: u32) -> u32 {
    let from_zero = std::time::Duration::try_from_secs_f64((rank - 1.0).max(0.0));
    let number = from_zero.map_or(0, |number| number.as_secs());
    u32::try_from(number).unwrap_or(shows).min(shows - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        about = "x"
        [[arrivals.phases]]
        shape = "flat"
        orders = 10000
        seconds = 10
        [shows]
        number = 100
        seats = 10
        hold_seconds = 5
        popularity = "zipf"
        zipf_exponent = 1.0
        [users]
        number = 3000
        high_priority = 0.25
        [quantities]
        1 = 3
        4 = 1
        [retries]
        keyed = 0.5
        repeated = 0.1
        [holds]
        confirm = 0.6
        cancel = 0.1
        lapse = 0.3
        think_ms = [10, 20]
        [readers]
        poll = 0.2
        websocket = 0.3
    "#;

    fn planned(text: &str, seed: u64) -> Vec<PlannedOrder> {
        plan(&Scenario::parse(text).unwrap(), seed).unwrap()
    }

    fn share(orders: &[PlannedOrder], of: impl Fn(&PlannedOrder) -> bool) -> f64 {
        orders.iter().filter(|order| of(order)).count() as f64 / orders.len() as f64
    }

    fn near(measured: f64, expected: f64) {
        assert!(
            (measured - expected).abs() < 0.03,
            "{measured} is not {expected}"
        );
    }

    #[test]
    fn a_seed_tells_every_order() {
        assert_eq!(planned(TEXT, 7), planned(TEXT, 7));
        assert_ne!(planned(TEXT, 7), planned(TEXT, 8));
    }

    #[test]
    fn shares_are_as_the_scenario_says() {
        let orders = planned(TEXT, 1);
        near(share(&orders, |order| order.reader == Reader::Poll), 0.2);
        near(
            share(&orders, |order| order.reader == Reader::WebSocket),
            0.3,
        );
        near(share(&orders, |order| order.intent == Intent::Confirm), 0.6);
        near(share(&orders, |order| order.intent == Intent::Cancel), 0.1);
        near(share(&orders, |order| order.quantity == 4), 0.25);
        near(share(&orders, |order| order.keyed), 0.5);
        near(share(&orders, |order| order.repeated), 0.05);
        assert!(
            orders
                .iter()
                .all(|order| (10..=20).contains(&order.think_ms))
        );
        assert!(orders.iter().all(|order| order.keyed || !order.repeated));
    }

    #[test]
    fn every_user_places_as_many_orders() {
        let mut count = vec![0; 3_000];
        for order in planned(TEXT, 1) {
            count[usize::try_from(order.user).unwrap()] += 1;
        }
        assert!(count.iter().all(|count| [3, 4].contains(count)));
    }

    #[test]
    fn shows_are_as_popular_as_the_scenario_says() {
        let of_first = |text: &str| share(&planned(text, 1), |order| order.show == 0);
        // The first of 100 by 1 + 1/2 + … + 1/100.
        near(of_first(TEXT), 1.0 / 5.187);
        let hot = TEXT.replace("\"zipf\"", "\"hot\"");
        near(
            of_first(&hot.replace("zipf_exponent = 1.0", "hot_share = 0.8")),
            0.8,
        );
        let uniform = TEXT.replace("\"zipf\"", "\"uniform\"");
        near(of_first(&uniform.replace("zipf_exponent = 1.0", "")), 0.01);
    }
}
