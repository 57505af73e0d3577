//! A run from its beginning to its end.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::DeadLetters;
use tokio::time::{Instant, sleep, sleep_until};

use crate::broker::SimQueue;
use crate::checks;
use crate::clients::buys;
use crate::node::Node;
use crate::processes::RunningWorld;
use crate::troubles::{administers, breaks};
use crate::world::World;

/// By then everything is decided and every hold is over, from the moment that
/// nothing goes wrong any more.
const QUIET: Duration = Duration::from_secs(30);

/// Runs the world until its clients have left and everything is quiet, then looks.
pub(crate) async fn until_quiet(world: &Arc<RunningWorld>) {
    world.start_all();
    let chaos = tokio::spawn(breaks(Arc::clone(world)));
    let admin = tokio::spawn(administers(Arc::clone(world)));
    let buyers = 0..world.plan.clients;
    let buyers: Vec<_> = buyers
        .map(|number| tokio::spawn(buys(Arc::clone(world), number)))
        .collect();
    for buyer in buyers {
        buyer.await.unwrap();
    }
    admin.await.unwrap();
    chaos.abort();
    world.heal();
    becomes_quiet(world).await;
    if world.plan.cures_poison {
        world.tables.lock().poison_is_cured = true;
        let operator = SimQueue::new(&Node::observer(&world.world));
        operator.redrive(usize::MAX).await.unwrap();
        becomes_quiet(world).await;
    }
    checks::all(&world.world).await;
}

/// Every order is settled, every hold over, and nobody is still busy with what
/// was begun when things went wrong.
async fn becomes_quiet(world: &World) {
    let quiet_from = *world.quiet_from.lock() + Duration::from_secs(1);
    sleep_until(quiet_from).await;
    let deadline = Instant::now() + QUIET;
    loop {
        let (waiting, under_way) = {
            let broker = world.broker.lock();
            (broker.waiting(), broker.under_way)
        };
        let has_holds = world.tables.lock().has_holds();
        if waiting == 0 && under_way == 0 && !has_holds {
            return;
        }
        if Instant::now() >= deadline {
            world.violated(format_args!(
                "{waiting} orders are still queued, {under_way} messages under way, \
                 holds are left: {has_holds}"
            ));
            return;
        }
        sleep(Duration::from_millis(200)).await;
    }
}
