//! What a kind of database brings beside its statements.

use std::time::Duration;

use async_trait::async_trait;
use domain::ports::Finding;

use crate::error::SqlError;
use crate::statements::{
    AuthorStatements, ClaimStatements, HoldStatements, ShowStatements, SqlSession,
    TicketStatements, UserStatements,
};

/// A kind of database: where its servers are, how a session begins, how the schema is made.
#[async_trait]
pub trait Engine: Sized + Send + Sync + 'static {
    /// Where it is and how it is used.
    type Config;
    /// Why it cannot be used like that.
    type InvalidConfig;
    /// Why the schema is not up to date.
    type MigrateError;
    /// A connection, with everything set that statements rely on.
    type Session: SqlSession<Error = Self::Error>
        + ShowStatements
        + TicketStatements
        + HoldStatements
        + UserStatements
        + AuthorStatements
        + ClaimStatements;
    /// Its driver's errors, classified.
    type Error: SqlError;

    /// Connects nothing yet.
    ///
    /// # Errors
    /// When the configuration cannot work.
    fn open(config: &Self::Config) -> Result<(Self, Limits), Self::InvalidConfig>;

    /// A session on the server that is to be used. May go on trying; the caller limits that.
    async fn connect(&self) -> Result<Self::Session, Self::Error>;

    /// Whether a session's server is still the one to be used. Fails if it does not answer.
    async fn examine(&self, session: &mut Self::Session) -> Result<bool, Self::Error>;

    /// Notes that a session has done what it was asked to do.
    fn hear_of(&self, _: &Self::Session) {}

    /// Why nobody gets a session, if that is known better than by waiting.
    fn refusal(&self) -> Option<Self::Error> {
        None
    }

    /// Ends a session, within a time. What was under way is undone.
    async fn close(session: Self::Session);

    /// Brings the schema up to date. Safe to call from several processes at once.
    async fn migrate(&self) -> Result<(), Self::MigrateError>;

    /// What `tickets doctor` finds.
    async fn inspect(&self) -> Vec<Finding>;
}

/// What a configuration limits.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many connections there are.
    pub connections: Shares,
    /// How long a read may take, connecting included, before the store counts as unavailable.
    pub read_timeout: Duration,
    /// How far the server's clock may be off.
    pub max_clock_skew: Duration,
}

/// How many connections there are for each purpose, beside the one for claims.
#[derive(Debug, Clone, Copy)]
pub struct Shares {
    /// For reading what anybody may ask for, as often as they like.
    pub reading: u32,
    /// For reading on behalf of those who order, confirm and cancel.
    pub selling: u32,
    /// For transactions that lock shows, and other changes.
    pub changing: u32,
}

/// The fewest connections that a process works with: one for each purpose.
pub const MIN_CONNECTIONS: u32 = 4;

impl Shares {
    /// Of `max` connections, at least [`MIN_CONNECTIONS`].
    #[must_use]
    pub fn of(max: u32) -> Self {
        /// The most that only change shows: deciding never waits behind reading.
        const CHANGING: u32 = 8;
        /// The most that read for those who order and confirm.
        const SELLING: u32 = 4;

        let changing = CHANGING.min(max * 2 / 5).max(1);
        let selling = SELLING.min(max / 4).max(1);
        Self {
            reading: max.saturating_sub(changing + selling + 1).max(1),
            selling,
            changing,
        }
    }
}
