//! Another user in place of one who is to be forgotten.

use domain::ids::{ShowId, UserId};
use domain::rule::Changes;

use super::locked::Locked;
use super::until_free;
use crate::error::StoreError;
use crate::row::show_id;
use crate::store::Database;

/// Changes the holder of all tickets of a user, show by show, until there are none. Returns their
/// number.
pub(crate) async fn change(db: &Database, user: &UserId, to: &UserId) -> Result<u64, StoreError> {
    let mut count = 0;
    loop {
        let shows = db.read(shows_of(db, user)).await?;
        if shows.is_empty() {
            return Ok(count);
        }
        for show in &shows {
            let attempt = async || {
                let locked = Locked::shows(db, &[show]).await?;
                change_in(locked, show, user, to).await
            };
            count += db.change(until_free(attempt)).await?;
        }
    }
}

async fn shows_of(db: &Database, user: &UserId) -> Result<Vec<ShowId>, StoreError> {
    let shows = sqlx::query_scalar("SELECT DISTINCT show_id FROM tickets WHERE user_id = ?")
        .bind(user.as_str().as_bytes());
    let mut lease = db.lease_reading().await?;
    let shows: Vec<Vec<u8>> = shows.fetch_all(lease.connection()).await?;
    lease.give_back();
    shows.iter().map(|id| show_id("tickets", id)).collect()
}

async fn change_in(
    mut locked: Locked,
    show: &ShowId,
    user: &UserId,
    to: &UserId,
) -> Result<u64, StoreError> {
    let mut count = 0;
    for (table, has_tickets) in [("tickets", true), ("live_seats", false)] {
        let sql = format!("UPDATE {table} SET user_id = ? WHERE user_id = ? AND show_id = ?");
        let changing = sqlx::query(&sql)
            .bind(to.as_str().as_bytes())
            .bind(user.as_str().as_bytes())
            .bind(show.as_str().as_bytes());
        let done = changing.execute(locked.connection()).await?;
        if has_tickets {
            count = done.rows_affected();
        }
    }
    locked.commit(&Changes::default()).await?;
    Ok(count)
}
