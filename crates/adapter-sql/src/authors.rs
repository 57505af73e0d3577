//! Those who change shows and users.

use domain::author::Author;

use crate::engine::Engine;
use crate::statements::AuthorStatements;

/// The number of an author. One that is erased meanwhile keeps it, under another name.
pub(crate) async fn author<E: Engine>(
    session: &mut E::Session,
    by: Option<&Author>,
) -> Result<Option<u64>, E::Error> {
    match by {
        Some(by) => session.author(by).await.map(Some),
        None => Ok(None),
    }
}
