//! The driver's errors, classified in one place.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use adapter_sql::{Fault, SqlError};
use domain::ports::Cause;
use runtime::NotCalled;
use sqlx::mysql::MySqlDatabaseError;

/// Not the URL of a database. The URL itself is not repeated: it holds the password.
#[derive(Debug, thiserror::Error)]
#[error("must be like mysql://user:password@host:3306/database")]
pub struct InvalidUrl;

/// Why a login fails although the server is up: what `mysql.url` has is not what the server
/// was set up with.
pub(crate) const LOGIN_REFUSED: &str = "the database refuses the user or the password of \
    mysql.url. A server keeps the password that its data were made with: give that one, or \
    change it in the server (ALTER USER)";

/// The schema could not be brought up to date; a second attempt finishes what is half done.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A step of the schema failed.
    #[error("the database could not be migrated")]
    Schema(#[from] sqlx::migrate::MigrateError),
    /// The schema is of a newer release.
    #[error(
        "the database has step {version} of its schema, which this release does not know: a newer \
         release has migrated it, so run that one"
    )]
    Newer {
        /// The newest step.
        version: i64,
    },
    /// Another process migrates this database, and does not end.
    #[error("another process migrates; try again when it is done")]
    Busy,
    /// Wrong user or password.
    #[error("{LOGIN_REFUSED}")]
    LoginRefused(#[source] Cause),
    /// No session within the time that it may take.
    #[error("{why}; given up after {limit:?}")]
    NotReached {
        /// Which servers are meant, and what they do.
        why: String,
        /// How long it was tried.
        limit: Duration,
    },
    /// The server did not answer or refused.
    #[error("the database could not be found or created")]
    Database(#[source] Cause),
}

impl From<StoreError> for MigrateError {
    fn from(error: StoreError) -> Self {
        if error.is_login_refused() {
            Self::LoginRefused(error.cause())
        } else {
            Self::Database(error.cause())
        }
    }
}

impl From<sqlx::Error> for MigrateError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// What went wrong in the store, shared by all who waited for one query.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The driver's error.
    #[error("the database refused or did not answer")]
    Database(#[source] Arc<sqlx::Error>),
    /// What can happen with every database.
    #[error(transparent)]
    Shared(#[from] Fault),
    /// A replica, or a primary that was demoted.
    #[error("the server takes no changes: read_only or innodb_read_only is on")]
    ReadOnly,
    /// Neither is used.
    #[error(
        "{} and {} both take changes, so it is not known which one has the tickets. Set \
         read_only = ON on the one that is not the primary",
        addresses[0], addresses[1]
    )]
    TwoPrimaries {
        /// `host:port` of both.
        addresses: [String; 2],
    },
    /// The only one that takes changes is not the one that may be the primary.
    #[error(
        "{full} has no connection left and may be the primary, so {other} is not used in its place, \
         although it takes changes. Raise max_connections of {full}, or set read_only = ON on the \
         server that is not the primary"
    )]
    PrimaryMayBeFull {
        /// `host:port` of the one that answers that it is full.
        full: String,
        /// `host:port` of the one that takes changes.
        other: String,
    },
    /// None of them, with why not.
    #[error("no server of mysql.urls can be used: {}", listed(.0))]
    NoServer(Vec<(String, StoreError)>),
    /// No server is started at these addresses.
    #[error(
        "nothing listens at {0} (connection refused): start the server, or correct mysql.url or \
         mysql.urls"
    )]
    Refused(String),
}

/// Why each of them cannot be used.
fn listed(servers: &[(String, StoreError)]) -> String {
    let servers: Vec<_> = servers
        .iter()
        .map(|(address, error)| match error {
            StoreError::Database(source) => format!("{address}: {source}"),
            error => format!("{address}: {error}"),
        })
        .collect();
    servers.join("; ")
}

fn number_of(error: &sqlx::Error) -> Option<u16> {
    let database = error.as_database_error()?;
    Some(database.try_downcast_ref::<MySqlDatabaseError>()?.number())
}

/// Another transaction was in the way; this one was rolled back and can be tried again at once.
pub(crate) fn is_contention(error: &sqlx::Error) -> bool {
    matches!(
        number_of(error),
        Some(number::DEADLOCK | number::LOCK_WAIT_TIMEOUT | number::CERTIFICATION_FAILED)
    )
}

/// What a step of the schema makes is there: a table, a column, a key.
pub(crate) fn is_there_already(error: &sqlx::Error) -> bool {
    number_of(error).is_some_and(|number| number::THERE_ALREADY.contains(&number))
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<NotCalled> for StoreError {
    fn from(error: NotCalled) -> Self {
        Self::Shared(error.into())
    }
}

/// Error numbers of the server that this adapter knows; their meaning is the
/// same in MySQL and MariaDB unless noted.
mod number {
    /// Of a login: user or password are wrong.
    pub(super) const ACCESS_DENIED: u16 = 1045;
    pub(super) const UNKNOWN_DATABASE: u16 = 1049;
    pub(super) const DUPLICATE_KEY: u16 = 1062;
    pub(super) const LOCK_WAIT_TIMEOUT: u16 = 1205;
    pub(super) const DEADLOCK: u16 = 1213;
    /// Group replication: another member has changed the same rows.
    pub(super) const CERTIFICATION_FAILED: u16 = 3101;
    /// A right that the user lacks: of a table, of a column, of the server.
    pub(super) const NOT_ALLOWED: [u16; 4] = [1044, 1142, 1143, 1227];
    /// The server takes no changes: `read_only` and the like, a transaction that only reads,
    /// `innodb_read_only`.
    pub(super) const READ_ONLY: [u16; 3] = [1290, 1792, 1836];
    /// No such table, no such column: it is not migrated.
    pub(super) const NOT_MIGRATED: [u16; 2] = [1146, 1054];
    pub(super) const THERE_ALREADY: [u16; 3] = [1050, 1060, 1061];
    /// Of a login: the server's `max_connections`, or the user's.
    pub(super) const TOO_MANY_CONNECTIONS: [u16; 3] = [1040, 1203, 1226];
    /// The same row would fail again: NULL where there must be none, a key that is there, a value
    /// out of range, truncated, incorrect or too long, a sum out of range, a foreign key or a
    /// trigger of somebody else, and a CHECK that does not hold in MySQL (3819) and MariaDB
    /// (4025).
    pub(super) const UNPROCESSABLE: [u16; 12] = [
        1048, 1062, 1264, 1265, 1292, 1366, 1406, 1452, 1644, 1690, 3819, 4025,
    ];
}

impl StoreError {
    fn number(&self) -> Option<u16> {
        let Self::Database(error) = self else {
            return None;
        };
        number_of(error)
    }

    /// Nothing listens there yet.
    pub(crate) fn is_of_a_server_that_starts(&self) -> bool {
        match self {
            Self::Database(error) => matches!(
                error.as_ref(),
                sqlx::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused
            ),
            Self::NoServer(all) => all
                .iter()
                .all(|(_, error)| error.is_of_a_server_that_starts()),
            _ => false,
        }
    }

    /// The server is alive and takes no more connections.
    pub(crate) fn is_of_a_full_server(&self) -> bool {
        let full = number::TOO_MANY_CONNECTIONS;
        self.number().is_some_and(|number| full.contains(&number))
    }

    /// There is no database of that name.
    pub(crate) fn is_unknown_database(&self) -> bool {
        match self {
            Self::NoServer(all) => all.iter().any(|(_, error)| error.is_unknown_database()),
            error => error.number() == Some(number::UNKNOWN_DATABASE),
        }
    }

    pub(crate) fn is_login_refused(&self) -> bool {
        match self {
            Self::NoServer(all) => all.iter().any(|(_, error)| error.is_login_refused()),
            error => error.number() == Some(number::ACCESS_DENIED),
        }
    }

    /// For operators: what is wrong and what to do. `None` if nobody knows.
    pub(crate) fn remedy(&self) -> Option<String> {
        if self.is_login_refused() {
            return Some(LOGIN_REFUSED.to_owned());
        }
        match self {
            Self::Shared(Fault::ClockOff { .. }) => Some(format!(
                "{self}, more than clock.max_skew_ms; synchronise both machines' clocks"
            )),
            Self::ReadOnly => Some(format!(
                "{self}. Name the primary in mysql.url or mysql.urls, or SET GLOBAL read_only = OFF"
            )),
            Self::TwoPrimaries { .. }
            | Self::PrimaryMayBeFull { .. }
            | Self::NoServer(_)
            | Self::Shared(Fault::AllBusy { .. })
            | Self::Refused(_) => Some(self.to_string()),
            Self::Database(source) => {
                let said = source.as_database_error()?.message();
                let number = self.number()?;
                let remedy = if number::NOT_ALLOWED.contains(&number) {
                    "grant the user of mysql.url SELECT, INSERT, UPDATE and DELETE on its database"
                } else if number::READ_ONLY.contains(&number) {
                    "name the primary in mysql.url or mysql.urls"
                } else if number::TOO_MANY_CONNECTIONS.contains(&number) {
                    "raise the server's max_connections, or lower mysql.max_connections of the \
                     processes"
                } else if number == number::UNKNOWN_DATABASE {
                    "`tickets migrate` creates the database, if mysql.url has the right name"
                } else if number::NOT_MIGRATED.contains(&number) {
                    "migrate the database with `tickets migrate`"
                } else {
                    "see docs/OPERATIONS.md, \"Set-ups of MySQL\", and the server's log"
                };
                Some(format!("the database refuses ({number}: {said}): {remedy}"))
            }
            _ => None,
        }
    }

    pub(crate) fn cause(self) -> Cause {
        Box::new(self)
    }
}

impl SqlError for StoreError {
    const MAX_CONNECTIONS: &'static str = "mysql.max_connections";

    fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Shared(fault) => Some(fault),
            _ => None,
        }
    }

    fn is_contention(&self) -> bool {
        matches!(self, Self::Database(error) if is_contention(error))
    }

    fn is_duplicate(&self) -> bool {
        self.number() == Some(number::DUPLICATE_KEY)
    }

    fn is_violation(&self) -> bool {
        let refuses = |number| number::UNPROCESSABLE.contains(&number);
        self.number().is_some_and(refuses)
    }

    fn advice(&self) -> String {
        let unknown = || format!("{self}; check mysql.url and whether the server answers");
        self.remedy().unwrap_or_else(unknown)
    }
}
