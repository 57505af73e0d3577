//! Selling without a queue: each ticket in a transaction of its own, in tables
//! of the service's schema.

use anyhow::ensure;
use black_box::database::now_micros;
use sqlx::Executor;
use sqlx::mysql::{MySqlConnection, MySqlPool, MySqlPoolOptions};
use uuid::Uuid;

use super::SHOW;

/// Connections that are as isolated as the service's.
///
/// # Errors
/// When the server does not answer.
pub async fn connect(url: &str, connections: u32) -> anyhow::Result<MySqlPool> {
    let options = MySqlPoolOptions::new()
        .min_connections(connections)
        .max_connections(connections)
        .after_connect(|connection, _| {
            Box::pin(async move {
                let level = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
                connection.execute(level).await?;
                Ok(())
            })
        });
    Ok(options.connect(url).await?)
}

/// Adds the show [`SHOW`] with that many seats.
///
/// # Errors
/// When the server refuses.
pub async fn put_on_sale(pool: &MySqlPool, seats: u32) -> anyhow::Result<()> {
    sqlx::query(
        "INSERT INTO shows (id, title, capacity, max_per_user, hold_seconds, available, held, \
         sold, seq) VALUES (?, 'On sale', ?, ?, 0, ?, 0, 0, 1)",
    )
    .bind(SHOW.as_bytes())
    .bind(seats)
    .bind(seats)
    .bind(seats)
    .execute(pool)
    .await?;
    Ok(())
}

/// Takes a seat and writes the ticket, in a transaction; false if none is left.
///
/// # Errors
/// When the server does not answer or refuses.
pub async fn sell_one(pool: &MySqlPool, id: Uuid, user: &str) -> anyhow::Result<bool> {
    let mut transaction = pool.begin().await?;
    if !take_seats(&mut transaction, 1).await? {
        transaction.rollback().await?;
        return Ok(false);
    }
    write_ticket(&mut transaction, id, user).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Takes seats; false if so many are not left.
///
/// # Errors
/// When the server does not answer.
pub async fn take_seats(connection: &mut MySqlConnection, seats: u32) -> anyhow::Result<bool> {
    // `sold` only because the schema checks that seats add up.
    let taken = sqlx::query(
        "UPDATE shows SET available = available - ?, sold = sold + ? \
         WHERE id = ? AND available >= ?",
    )
    .bind(seats)
    .bind(seats)
    .bind(SHOW.as_bytes())
    .bind(seats)
    .execute(connection)
    .await?;
    Ok(taken.rows_affected() == 1)
}

async fn write_ticket(
    connection: &mut MySqlConnection,
    id: Uuid,
    user: &str,
) -> anyhow::Result<()> {
    let now = now_micros()?;
    let written = sqlx::query(
        "INSERT INTO tickets (id, show_id, user_id, quantity, class, requested_at, accepted_by, \
         redriven, verdict, decided_at, status, version) \
         VALUES (?, ?, ?, 1, 1, ?, 0, 0, 1, ?, 1, 1)",
    )
    .bind(id.as_bytes().as_slice())
    .bind(SHOW.as_bytes())
    .bind(user.as_bytes())
    .bind(now)
    .bind(now)
    .execute(connection)
    .await?;
    ensure!(written.rows_affected() == 1, "the ticket was not written");
    Ok(())
}

/// Sorted by time, as the service's ids are: others would make inserts dearer.
///
/// # Errors
/// When the clock is before 1970.
pub fn random_id() -> anyhow::Result<Uuid> {
    Ok(id_of(now_micros()?, rand::random()))
}

fn id_of(now_micros: i64, random: u64) -> Uuid {
    Uuid::from_u128(u128::from(now_micros.unsigned_abs()) << 64 | u128::from(random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time() {
        assert!(id_of(1, u64::MAX) < id_of(2, 0));
        assert_ne!(id_of(1, 1), id_of(1, 2));
    }
}
