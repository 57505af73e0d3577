//! Errors of every database: what the script itself finds wrong, and what it asks of a driver's.

use std::time::Duration;

use domain::ports::{Cause, LedgerError};
use domain::rule::CorruptCounters;
use runtime::NotCalled;

/// What is wrong although the database has answered, or because it has not.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fault {
    /// Another program wrote it.
    #[error("a row of {table} is not valid: {what}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// What is wrong with the row.
        what: String,
    },
    /// A later claim has decided.
    #[error("another worker has claimed the lane")]
    ClaimLost,
    /// The outcome is unknown.
    #[error("the database did not answer within {limit:?}")]
    TimedOut {
        /// How long it was waited for.
        limit: Duration,
    },
    /// All connections for this purpose are on loan.
    #[error(
        "none of {connections} connections to the database was free within {limit:?}; see \
         {setting}, and whether the database answers"
    )]
    AllBusy {
        /// How many there are.
        connections: usize,
        /// How long one was waited for.
        limit: Duration,
        /// [`SqlError::MAX_CONNECTIONS`].
        setting: &'static str,
    },
    /// The server's clock is not this process's.
    #[error("the database's clock is off by {} ms", skew.as_millis())]
    ClockOff {
        /// By how much.
        skew: Duration,
    },
    /// See [`NotCalled::Overloaded`].
    #[error("too many requests wait for the database")]
    Overloaded,
    /// The process stops.
    #[error("the store is closed")]
    Closed,
}

impl Fault {
    /// What a column could not be read as.
    pub(crate) fn corrupt(table: &'static str, what: impl std::fmt::Display) -> Self {
        let what = what.to_string();
        Self::Corrupt { table, what }
    }

    /// Says which row it is that cannot be read.
    pub(crate) fn of_row(self, id: &[u8]) -> Self {
        let Self::Corrupt { table, what } = self else {
            return self;
        };
        let id = match std::str::from_utf8(id) {
            Ok(text) if !text.contains(char::is_control) => text.to_owned(),
            _ => id.iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        let what = format!("{what} (id {id})");
        Self::Corrupt { table, what }
    }
}

impl From<CorruptCounters> for Fault {
    fn from(error: CorruptCounters) -> Self {
        Self::corrupt("shows", error)
    }
}

impl From<NotCalled> for Fault {
    fn from(error: NotCalled) -> Self {
        match error {
            NotCalled::Overloaded => Self::Overloaded,
            NotCalled::Closed => Self::Closed,
        }
    }
}

/// A database's error: the driver's, classified, or a [`Fault`]. Shared by all who waited for one
/// query.
pub trait SqlError:
    std::error::Error + Clone + From<Fault> + From<NotCalled> + Send + Sync + 'static
{
    /// The setting that limits the connections, for messages.
    const MAX_CONNECTIONS: &'static str;

    /// What the script found wrong, if it was the script.
    fn fault(&self) -> Option<&Fault>;

    /// Another transaction was in the way; this one was rolled back and can be tried again at once.
    fn is_contention(&self) -> bool;

    /// A row of that key is there already.
    fn is_duplicate(&self) -> bool;

    /// The same row would be refused again, by a constraint or the type of a column.
    fn is_violation(&self) -> bool;

    /// For operators: what is wrong and what to do.
    fn advice(&self) -> String;

    /// The same request would fail again, because of what is stored.
    fn is_unprocessable(&self) -> bool {
        matches!(self.fault(), Some(Fault::Corrupt { .. })) || self.is_violation()
    }
}

pub(crate) fn cause(error: impl SqlError) -> Cause {
    Box::new(error)
}

pub(crate) fn ledger_error(error: impl SqlError) -> LedgerError {
    if matches!(error.fault(), Some(Fault::ClaimLost)) {
        LedgerError::ClaimLost
    } else if error.is_unprocessable() {
        LedgerError::Unprocessable(cause(error))
    } else {
        LedgerError::Unavailable(cause(error))
    }
}
