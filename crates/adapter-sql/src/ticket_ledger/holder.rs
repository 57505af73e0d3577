//! Another user in place of one who is to be forgotten.

use std::collections::{BTreeMap, HashMap};

use domain::ids::{ShowId, UserId};
use domain::rule::Changes;

use super::attempts::until_free;
use super::locked::Locked;
use crate::database::Database;
use crate::engine::Engine;
use crate::row::show_id;
use crate::statements::{HoldStatements, TicketStatements};
use crate::store::SqlStore;

/// Tickets that change their holder in one transaction: their show is locked meanwhile, and nobody
/// else gets a verdict.
pub(crate) const PORTION: u32 = 5_000;

impl<E: Engine> SqlStore<E> {
    /// Changes the holder of all tickets of a user, `portion` of them in a transaction, until
    /// there are none. Returns their number. Each portion is complete in itself: a second attempt
    /// continues after the last one, and the live seats of both add up all the time.
    ///
    /// # Errors
    /// When the database does not answer; a part may be done.
    pub async fn change_holder(
        &self,
        portion: u32,
        user: &UserId,
        to: &UserId,
    ) -> Result<u64, E::Error> {
        let db = &self.db;
        let mut count = 0;
        loop {
            let shows = some_tickets(portion, db, user).await?;
            if shows.is_empty() {
                return Ok(count);
            }
            for (show, tickets) in &shows {
                let attempt = async || {
                    let locked = Locked::shows(db, &[show]).await?;
                    change_in(locked, show, tickets, user, to).await
                };
                count += until_free(attempt).await?;
            }
        }
    }
}

/// Up to `limit` of a user's tickets, by their shows.
async fn some_tickets<E: Engine>(
    limit: u32,
    db: &Database<E>,
    user: &UserId,
) -> Result<BTreeMap<ShowId, Vec<Vec<u8>>>, E::Error> {
    let finding = async |session: &mut E::Session| session.some_tickets_of(user, limit).await;
    let mut by_show: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (show, ticket) in db.reading.run(finding).await? {
        let tickets = by_show.entry(show_id("tickets", &show)?).or_default();
        tickets.push(ticket);
    }
    Ok(by_show)
}

async fn change_in<E: Engine>(
    mut locked: Locked<E>,
    show: &ShowId,
    tickets: &[Vec<u8>],
    user: &UserId,
    to: &UserId,
) -> Result<u64, E::Error> {
    let session = locked.session();
    let (count, live) = session.update_holder(tickets, user, to).await?;
    let of_user = BTreeMap::from([(show, vec![user])]);
    let known = session.live_seats(&of_user).await?;
    let known = known.first().map_or(0, |(_, _, seats)| *seats);
    // No more than there are: a number that somebody has changed is no reason to keep a user.
    let moved = live.min(known.max(0).into());
    let changes = HashMap::from([((show, user), -moved), ((show, to), moved)]);
    locked.add_live_seats(changes).await?;
    locked.session().delete_no_live_seats(show, user).await?;
    locked.commit(&Changes::default()).await?;
    Ok(count)
}
