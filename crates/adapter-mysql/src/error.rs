//! The driver's errors, classified in one place.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::{Cause, LedgerError};
use sqlx::mysql::MySqlDatabaseError;

/// `mysql.url` is not a URL of a MySQL database. The URL itself is not
/// repeated: it holds the password.
#[derive(Debug, thiserror::Error)]
#[error("must be like mysql://user:password@host:3306/database")]
pub struct InvalidUrl;

/// Why a login fails although the server is up: what `mysql.url` has is not what the server
/// was set up with.
pub(crate) const LOGIN_REFUSED: &str = "the database refuses the user or the password of \
    mysql.url. A server keeps the password that its data were made with: give that one, or \
    change it in the server (ALTER USER)";

/// The schema could not be brought up to date; nothing is half done that a
/// second attempt would not finish.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A step of the schema failed, or the schema is of a newer release.
    #[error("the database could not be migrated")]
    Schema(#[from] sqlx::migrate::MigrateError),
    /// Another process migrates a database of this server, and does not end.
    #[error("another process migrates; try again when it is done")]
    Busy,
    /// Wrong user or password.
    #[error("{LOGIN_REFUSED}")]
    LoginRefused(#[source] sqlx::Error),
    /// The server did not answer or refused.
    #[error("the database could not be found or created")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for MigrateError {
    fn from(error: sqlx::Error) -> Self {
        if number_of(&error) == Some(number::ACCESS_DENIED) {
            Self::LoginRefused(error)
        } else {
            Self::Database(error)
        }
    }
}

/// What went wrong in the store, shared by all who waited for one query.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the database refused or did not answer")]
    Database(#[source] Arc<sqlx::Error>),
    #[error("a row of {table} is not as this version writes it: {what}")]
    Corrupt { table: &'static str, what: String },
    #[error("another worker has claimed the lane")]
    ClaimLost,
    #[error("the database did not answer within {limit:?}")]
    TimedOut { limit: Duration },
    #[error(
        "none of {connections} connections to the database was free within {limit:?}; see \
         mysql.max_connections, and whether the database answers"
    )]
    AllBusy { connections: usize, limit: Duration },
    #[error("the database's clock is off by {} ms", skew.as_millis())]
    ClockOff { skew: Duration },
    #[error("too many requests wait for the database")]
    Overloaded,
    #[error("the store is closed")]
    Closed,
}

fn number_of(error: &sqlx::Error) -> Option<u16> {
    let database = error.as_database_error()?;
    Some(database.try_downcast_ref::<MySqlDatabaseError>()?.number())
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

/// Error numbers of the server that this adapter knows; their meaning is the
/// same in MySQL and MariaDB unless noted.
mod number {
    /// Of a login: user or password are wrong.
    pub(super) const ACCESS_DENIED: u16 = 1045;
    pub(super) const DUPLICATE_KEY: u16 = 1062;
    pub(super) const LOCK_WAIT_TIMEOUT: u16 = 1205;
    pub(super) const DEADLOCK: u16 = 1213;
    /// The same row would fail again: NULL where there must be none, a value
    /// out of range, an incorrect value, one too long, and a CHECK that does
    /// not hold in MySQL (3819) and MariaDB (4025).
    pub(super) const UNPROCESSABLE: [u16; 6] = [1048, 1264, 1366, 1406, 3819, 4025];
}

impl StoreError {
    fn number(&self) -> Option<u16> {
        let Self::Database(error) = self else {
            return None;
        };
        number_of(error)
    }

    pub(crate) fn is_login_refused(&self) -> bool {
        self.number() == Some(number::ACCESS_DENIED)
    }

    /// Another transaction was in the way; this one was rolled back and can be
    /// tried again at once.
    pub(crate) fn is_contention(&self) -> bool {
        matches!(
            self.number(),
            Some(number::DEADLOCK | number::LOCK_WAIT_TIMEOUT)
        )
    }

    pub(crate) fn is_duplicate(&self) -> bool {
        self.number() == Some(number::DUPLICATE_KEY)
    }

    fn is_unprocessable(&self) -> bool {
        self.number()
            .is_some_and(|number| number::UNPROCESSABLE.contains(&number))
    }

    pub(crate) fn cause(self) -> Cause {
        Box::new(self)
    }
}

impl From<StoreError> for LedgerError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::ClaimLost => Self::ClaimLost,
            error if error.is_unprocessable() => Self::Unprocessable(error.cause()),
            error => Self::Unavailable(error.cause()),
        }
    }
}
