//! Those who change the terms of sale, and those who pull plugs.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use domain::ports::{ChangeShowError, DeadLetters};
use domain::principal::Principal;
use domain::show::{Capacity, HoldSeconds, ShowChange};

use crate::broker::SimQueue;
use crate::clients::{ask, pause};
use crate::node::Node;
use crate::processes::RunningWorld;

/// Changes the terms of the shows while they are on sale.
pub(crate) async fn administers(world: Arc<RunningWorld>) {
    for _ in 0..world.draw(|chance| chance.between(0, 6)) {
        pause(&world, 100, 2_500).await;
        let show = world.draw(|chance| chance.pick(&world.plan.shows).id.clone());
        let close = world.now().plus_micros(1_500_000);
        let change = world.draw(|chance| {
            let mut change = ShowChange::default();
            match chance.below(6) {
                0 => change.max_per_user = NonZeroU32::new(chance.seats(1, 6)),
                1 => change.hold = HoldSeconds::new(chance.seats(0, 3)).ok(),
                2 => change.sales_close_at = Some(chance.one_in(2).then_some(close)),
                _ => change.capacity = Capacity::new(chance.seats(0, 12)).ok(),
            }
            change
        });
        world.note("admin", format_args!("{show}: {change:?}"));
        let id = show.clone();
        let answer = ask(&world, |office| async move {
            let by = Principal::operator();
            office.change_show(&by, &id, &change).await
        })
        .await;
        match answer {
            Some(Ok(changed)) => {
                let standing = changed.standing;
                let tables = world.tables.lock();
                let committed = tables.shows[&show].committed.get(&standing.seq);
                world.check(
                    committed == Some(&standing.seats),
                    format_args!("told, but not true: {standing:?}"),
                );
            }
            Some(Err(ChangeShowError::NotFound)) => {
                world.violated(format_args!("{show} was said to be unknown"));
            }
            Some(Err(ChangeShowError::Refused(_) | ChangeShowError::Unavailable(_))) | None => {}
        }
    }
}

/// Breaks what is too large for a step to break.
pub(crate) async fn breaks(world: Arc<RunningWorld>) {
    let operator = SimQueue::new(&Node::observer(&world.world));
    loop {
        pause(&world, 100, 1_500).await;
        if !world.happens(|weather| weather.disasters) {
            continue;
        }
        match world.draw(|chance| chance.below(10)) {
            0 | 1 => world.crash_any(),
            2 => world.freeze_any(),
            3 => world.stop_any_worker(),
            4 => {
                let time = world.draw(|chance| chance.millis(50, 3_000));
                world.broker.lock().go_down(&world, time);
            }
            5 => world.store_goes_down(),
            6 => {
                let lane = world.draw(|chance| {
                    let lanes: Vec<_> = world.plan.lanes.iter().collect();
                    *chance.pick(&lanes)
                });
                world.broker.lock().revoke(&world, lane, Duration::ZERO);
            }
            7 | 8 => world.cut_off_any(),
            _ => {
                // What is undecidable comes back to the dead letters.
                let _unknown = operator.redrive(3).await;
            }
        }
    }
}
