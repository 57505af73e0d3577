//! Pages of what is listed.

use crate::connections::Work;
use crate::error::Fault;
use crate::row::readable;

/// Up to `limit` values that sort after a place, of rows that `read` finds behind one. A row that
/// cannot be read makes room for another one: a page that is not full would be taken for the last.
pub(crate) async fn page<S, P, R, T, E>(
    session: &mut S,
    mut after: P,
    limit: usize,
    read: impl for<'a> Fn(&'a mut S, &'a P, usize) -> Work<'a, Result<Vec<R>, E>>,
    place: impl Fn(&R) -> P,
) -> Result<Vec<T>, E>
where
    T: TryFrom<R, Error = Fault>,
{
    let mut values = Vec::new();
    while values.len() < limit {
        let missing = limit - values.len();
        let rows = read(session, &after, missing).await?;
        let is_last = rows.len() < missing;
        if let Some(last) = rows.last() {
            after = place(last);
        }
        values.extend(readable(rows));
        if is_last {
            break;
        }
    }
    Ok(values)
}
