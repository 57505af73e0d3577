//! Another user in place of one who is to be forgotten.

use std::collections::{BTreeMap, HashMap};

use domain::ids::{ShowId, UserId};
use domain::rule::Changes;

use super::locked::Locked;
use super::{sql, until_free};
use crate::error::StoreError;
use crate::row::show_id;
use crate::store::Database;

/// Tickets that change their holder in one transaction: their show is locked meanwhile, and nobody
/// else gets a verdict.
const PORTION: u32 = 5_000;

/// Changes the holder of all tickets of a user, portion by portion, until there are none. Returns
/// their number. Each portion is complete in itself: a second attempt continues after the last
/// one, and the live seats of both add up all the time.
pub(crate) async fn change(db: &Database, user: &UserId, to: &UserId) -> Result<u64, StoreError> {
    change_by(PORTION, db, user, to).await
}

async fn change_by(
    portion: u32,
    db: &Database,
    user: &UserId,
    to: &UserId,
) -> Result<u64, StoreError> {
    let mut count = 0;
    loop {
        let shows = db.read(some_tickets(portion, db, user)).await?;
        if shows.is_empty() {
            return Ok(count);
        }
        for (show, tickets) in &shows {
            let attempt = async || {
                let locked = Locked::shows(db, &[show]).await?;
                change_in(locked, show, tickets, user, to).await
            };
            count += db.change(until_free(attempt)).await?;
        }
    }
}

/// Up to `limit` of a user's tickets, by their shows.
async fn some_tickets(
    limit: u32,
    db: &Database,
    user: &UserId,
) -> Result<BTreeMap<ShowId, Vec<Vec<u8>>>, StoreError> {
    let finding = sqlx::query_as(
        "SELECT show_id, id FROM tickets FORCE INDEX (tickets_of_user) WHERE user_id = ? LIMIT ?",
    )
    .bind(user.as_str().as_bytes())
    .bind(limit);
    let mut lease = db.lease_reading().await?;
    let found: Vec<(Vec<u8>, Vec<u8>)> = finding.fetch_all(lease.connection()).await?;
    lease.give_back();
    let mut by_show: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (show, ticket) in found {
        let tickets = by_show.entry(show_id("tickets", &show)?).or_default();
        tickets.push(ticket);
    }
    Ok(by_show)
}

async fn change_in(
    mut locked: Locked,
    show: &ShowId,
    tickets: &[Vec<u8>],
    user: &UserId,
    to: &UserId,
) -> Result<u64, StoreError> {
    let connection = locked.connection();
    let (count, live) = sql::update_holder(connection, tickets, user, to).await?;
    let known: Option<i32> =
        sqlx::query_scalar("SELECT seats FROM live_seats WHERE show_id = ? AND user_id = ?")
            .bind(show.as_str().as_bytes())
            .bind(user.as_str().as_bytes())
            .fetch_optional(&mut *connection)
            .await?;
    // No more than there are: a number that somebody has changed is no reason to keep a user.
    let moved = live.min(known.unwrap_or_default().max(0).into());
    let changes = HashMap::from([((show, user), -moved), ((show, to), moved)]);
    sql::add_live_seats(connection, changes).await?;
    sqlx::query("DELETE FROM live_seats WHERE show_id = ? AND user_id = ? AND seats = 0")
        .bind(show.as_str().as_bytes())
        .bind(user.as_str().as_bytes())
        .execute(connection)
        .await?;
    locked.commit(&Changes::default()).await?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use domain::ports::{ShowRepository, TicketLedger, UserRepository};
    use domain::rule::{TransitionKind, TransitionRequest};
    use port_contracts::fixtures::{self, OrderSource};
    use port_contracts::{ManualClock, within};
    use test_servers::TestDatabase;

    use super::*;
    use crate::{MySqlConfig, MySqlStore};

    const TICKETS: usize = 2_500;
    const SMALL: u32 = 100;
    /// Pairs of show and user whose live seats are not those of their tickets.
    const WRONG: &str = "SELECT COUNT(*) FROM \
        (SELECT show_id, user_id, SUM(IF(status IN (0, 1), quantity, 0)) AS seats FROM tickets \
         GROUP BY show_id, user_id) AS held LEFT JOIN live_seats USING (show_id, user_id) \
        WHERE held.seats <> COALESCE(live_seats.seats, 0)";
    const OF_USER: &str = "SELECT COUNT(*) FROM tickets WHERE user_id = 'gone'";

    /// One transaction of them all would keep their show locked for seconds, and be given up.
    #[tokio::test(flavor = "multi_thread")]
    async fn many_tickets_change_their_holder_portion_by_portion() {
        let database = TestDatabase::create().await;
        let config = MySqlConfig {
            urls: vec![database.url()],
            only_reads: false,
            max_connections: 12,
            max_clock_skew: Duration::MAX,
            user_directory_max: 0,
        };
        let clock = Arc::new(ManualClock::new(fixtures::start()));
        let store = MySqlStore::new(&config, clock).unwrap();
        store.migrate().await.unwrap();
        let [user, alias] = ["gone", "erased-1"].map(fixtures::user_id);
        UserRepository::create(&store, &fixtures::user("gone"))
            .await
            .unwrap();
        let source = OrderSource::new(1);
        let mut cancelled = Vec::new();
        let mut last = String::new();
        for name in ["a", "b"] {
            let mut show = fixtures::show(name, 10_000);
            show.terms.max_per_user = 10_000.try_into().unwrap();
            ShowRepository::create(&store, &show).await.unwrap();
            let orders = source.orders(TICKETS / 2, name, "gone");
            store.decide(&orders, None).await.unwrap();
            last = orders[orders.len() - 1].ticket_id.to_string();
            let some = orders.iter().step_by(10);
            cancelled.extend(some.map(|order| TransitionRequest {
                ticket_id: order.ticket_id,
                kind: TransitionKind::Cancel,
            }));
        }
        let (before, meanwhile) = cancelled.split_at(cancelled.len() / 2);
        store.transition(before).await.unwrap();

        // An attempt that ends in the middle of the second show, whose last ticket is locked.
        let last = last.replace('-', "");
        let lock = format!("SELECT 1 FROM tickets WHERE id = UNHEX('{last}') FOR UPDATE");
        let lock = database.hold_lock(&lock).await;
        let is_between = async {
            let half = i64::try_from(TICKETS / 2).unwrap();
            loop {
                let left = database.number(OF_USER).await;
                assert_eq!(database.number(WRONG).await, 0);
                if left < half {
                    return left;
                }
            }
        };
        let left = tokio::select! {
            done = change_by(SMALL, &store.db, &user, &alias) => panic!("it is locked: {done:?}"),
            left = within("some have changed it", is_between) => left,
        };
        lock.release().await;
        assert!(left > 0);
        store.transition(meanwhile).await.unwrap();
        assert_eq!(database.number(WRONG).await, 0);

        let rest = change_by(SMALL, &store.db, &user, &alias).await.unwrap();
        assert!(0 < rest && rest <= u64::try_from(left).unwrap(), "{rest}");
        assert_eq!(database.number(OF_USER).await, 0);
        assert_eq!(database.number(WRONG).await, 0);
        let rows = "SELECT COUNT(*) FROM live_seats WHERE user_id = 'gone'";
        assert_eq!(database.number(rows).await, 0);
    }
}
