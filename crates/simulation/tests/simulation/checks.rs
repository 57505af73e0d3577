//! What must be true at the end of a run.

use std::sync::Arc;

use domain::audit::audit_show;
use domain::ports::ShowRepository;
use domain::rule::TransitionKind;
use domain::ticket::Status;

use crate::node::Node;
use crate::store::SimStore;
use crate::truth::agrees;
use crate::world::World;

pub(crate) async fn all(world: &Arc<World>) {
    check_orders(world);
    check_changes(world);
    check_history(world).await;
}

/// Nothing is lost, nothing is made up, everything is told.
fn check_orders(world: &World) {
    let (tables, broker, told) = (world.tables.lock(), world.broker.lock(), world.told.lock());
    let dead = |id| {
        let orders = broker
            .letters
            .iter()
            .filter_map(|letter| letter.order.as_ref());
        orders.into_iter().any(|order| order.ticket_id == id)
    };
    for id in &told.taken {
        let is_decided = tables.tickets.contains_key(id);
        world.check(
            is_decided || dead(*id),
            format_args!("{id} was taken and is lost"),
        );
        world.check(
            !(is_decided && dead(*id)),
            format_args!("{id} is decided and a dead letter"),
        );
    }
    for ticket in &broker.told_early {
        let row = tables.tickets.get(&ticket.order.ticket_id);
        world.check(
            row.is_some_and(|row| agrees(&row.ticket, ticket)),
            format_args!("announced, but never true: {ticket:?}"),
        );
    }
    for keyed in &told.keyed {
        world.check(
            keyed.tickets.len() == 1,
            format_args!("a key has several tickets: {keyed:?}"),
        );
    }
    for (id, row) in &tables.tickets {
        world.check(
            told.may_exist(*id),
            format_args!("{:?} was decided, and its buyer told otherwise", row.ticket),
        );
        // What was not announced is read by who listens.
        world.check(
            broker.has_failed_to_tell || broker.told.contains(id),
            format_args!("the verdict of {id} was never announced"),
        );
    }
    if world.plan.cures_poison {
        world.check(
            broker.letters.is_empty(),
            format_args!("dead letters are left: {:?}", broker.letters),
        );
    }
}

/// Only who asked to has confirmed or cancelled, and was not told that it failed.
fn check_changes(world: &World) {
    let (tables, told) = (world.tables.lock(), world.told.lock());
    for (id, row) in &tables.tickets {
        let later = row.statuses.iter().skip(1);
        for status in later {
            let asked = match status {
                Status::Confirmed => told.may_have_changed(*id, TransitionKind::Confirm),
                Status::Cancelled => told.may_have_changed(*id, TransitionKind::Cancel),
                Status::Expired => true,
                Status::Reserved | Status::Rejected => false,
            };
            world.check(
                asked,
                format_args!("{id} became {status:?}, and nobody was told so"),
            );
        }
    }
}

/// The audit replays every show.
async fn check_history(world: &Arc<World>) {
    let store = SimStore::new(&Node::observer(world));
    for standing in store.list(None, usize::MAX).await.unwrap() {
        let audit = audit_show(&store, &standing).await.unwrap();
        world.check(
            audit.violations == 0,
            format_args!("{}: {:?}", audit.show_id, audit.examples),
        );
        let tables = world.tables.lock();
        let decided = tables.tickets.values();
        let decided = decided.filter(|row| row.ticket.order.show_id == standing.show.id);
        let (decided, verdicts) = (decided.count(), audit.verdicts.total());
        world.check(
            u64::try_from(decided).unwrap() == verdicts,
            format_args!(
                "{} has {decided} tickets and {verdicts} verdicts",
                audit.show_id
            ),
        );
    }
}
