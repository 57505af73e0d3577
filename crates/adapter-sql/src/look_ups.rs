//! Look-ups by id: callers that ask at the same time share a query.

use std::future::Future;
use std::sync::Arc;

use runtime::Coalescer;

use crate::connections::Connections;
use crate::engine::Engine;
use crate::error::{Fault, SqlError};

/// A row that cannot be read is the failure of that user, show or ticket alone.
pub(crate) type Found<T> = Result<Option<T>, Fault>;

/// Finds values `V` by ids `K`.
pub(crate) struct LookUps<K, V, E>(Coalescer<K, Found<V>, E>);

impl<K, V, E> LookUps<K, V, E>
where
    K: Send + 'static,
    V: Send + 'static,
    E: SqlError,
{
    /// `find` gets 1 to `max` ids, and returns what it found of each in the same sequence.
    pub(crate) fn new<D, F>(
        max: usize,
        connections: &Arc<Connections<D>>,
        find: fn(Arc<Connections<D>>, Vec<K>) -> F,
    ) -> Self
    where
        D: Engine<Error = E>,
        F: Future<Output = Result<Vec<Found<V>>, E>> + Send + 'static,
    {
        let connections = Arc::clone(connections);
        let run = move |ids| find(Arc::clone(&connections), ids);
        Self(Coalescer::new(max, run))
    }

    pub(crate) async fn find(&self, id: K) -> Result<Option<V>, E> {
        Ok(self.0.call(id).await??)
    }
}
