//! The statements, a file for each trait of [`adapter_sql::statements`].

mod authors;
mod claims;
mod holds;
mod shows;
mod tickets;
mod users;

use domain::time::Timestamp;
use sqlx::{Encode, MySql, QueryBuilder, Type};

/// Microseconds since 1970 by the server's clock, at the moment that a row is
/// read; `NOW()` would be the start of the statement, before it waits for a lock.
pub(crate) const SERVER_MICROS: &str = "CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)";

fn micros(instant: Option<Timestamp>) -> Option<i64> {
    instant.map(Timestamp::as_micros)
}

/// A list in brackets, for `IN`.
fn push_list<'a, T>(sql: &mut QueryBuilder<'a, MySql>, values: impl IntoIterator<Item = T>)
where
    T: Encode<'a, MySql> + Type<MySql> + 'a,
{
    sql.push("(");
    let mut list = sql.separated(",");
    for value in values {
        list.push_bind(value);
    }
    sql.push(")");
}

/// For `LIMIT`.
fn rows(limit: usize) -> u64 {
    u64::try_from(limit).unwrap_or(u64::MAX)
}
