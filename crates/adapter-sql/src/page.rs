//! Pages of what is listed.

use crate::error::Fault;
use crate::row::readable;

/// A page that is being filled. A row that cannot be read makes room for another one: a page that
/// is not full would be taken for the last.
pub(crate) struct Page<P, T> {
    limit: usize,
    /// Where the next rows begin.
    pub(crate) after: P,
    /// How many more are wanted; 0 once it is full, or there are no more.
    pub(crate) missing: usize,
    pub(crate) values: Vec<T>,
}

impl<P, T> Page<P, T> {
    /// Of up to `limit` values that sort after that place.
    pub(crate) const fn after(after: P, limit: usize) -> Self {
        Self {
            limit,
            after,
            missing: limit,
            values: Vec::new(),
        }
    }

    /// Takes what was read of the missing ones. `place` is where a row stands.
    pub(crate) fn fill<R>(&mut self, rows: Vec<R>, place: impl Fn(&R) -> P)
    where
        T: TryFrom<R, Error = Fault>,
    {
        let is_last = rows.len() < self.missing;
        if let Some(last) = rows.last() {
            self.after = place(last);
        }
        self.values.extend(readable(rows));
        self.missing = if is_last {
            0
        } else {
            self.limit - self.values.len()
        };
    }
}
