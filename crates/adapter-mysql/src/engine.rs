//! MySQL and MariaDB as the script of every database needs them.

use std::fmt;
use std::time::Duration;

use adapter_sql::{Engine, Limits, Shares, SqlStore};
use async_trait::async_trait;
use domain::ports::Finding;

use crate::error::{InvalidUrl, MigrateError, StoreError};
use crate::servers::{Servers, Wanted, close};
use crate::session::Session;
use crate::{examination, migration};

/// Where the database is and how it is used.
#[derive(Clone)]
pub struct MySqlConfig {
    /// `mysql://user:password@host:port/database`, of each server: of a primary and its replicas,
    /// or of a cluster's members. The one that takes changes is used.
    pub urls: Vec<String>,
    /// Whether nothing is ever changed, so that a replica will do.
    pub only_reads: bool,
    /// The most connections of this process, at least [`adapter_sql::MIN_CONNECTIONS`].
    pub max_connections: u32,
    /// How long a read may take, connecting included.
    pub read_timeout: Duration,
    /// How far the server's clock may be off.
    pub max_clock_skew: Duration,
}

/// The URLs hold the password.
impl fmt::Debug for MySqlConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MySqlConfig")
            .field("only_reads", &self.only_reads)
            .field("max_connections", &self.max_connections)
            .field("read_timeout", &self.read_timeout)
            .field("max_clock_skew", &self.max_clock_skew)
            .finish_non_exhaustive()
    }
}

/// Users, shows and the ledger in MySQL or MariaDB.
pub type MySqlStore = SqlStore<MySql>;

/// The servers of a database.
#[derive(Debug)]
pub struct MySql {
    servers: Servers,
}

#[async_trait]
impl Engine for MySql {
    type Config = MySqlConfig;
    type InvalidConfig = InvalidUrl;
    type MigrateError = MigrateError;
    type Session = Session;
    type Error = StoreError;

    fn open(config: &MySqlConfig) -> Result<(Self, Limits), InvalidUrl> {
        let wanted = if config.only_reads {
            Wanted::Any
        } else {
            Wanted::Writable
        };
        let servers = Servers::new(&config.urls, wanted)?;
        let limits = Limits {
            connections: Shares::of(config.max_connections),
            read_timeout: config.read_timeout,
            max_clock_skew: config.max_clock_skew,
        };
        Ok((Self { servers }, limits))
    }

    async fn connect(&self) -> Result<Session, StoreError> {
        self.servers.connect().await
    }

    async fn examine(&self, session: &mut Session) -> Result<bool, StoreError> {
        self.servers.examine(session).await
    }

    fn hear_of(&self, session: &Session) {
        self.servers.hear_of(session);
    }

    fn refusal(&self) -> Option<StoreError> {
        self.servers.refusal()
    }

    async fn close(session: Session) {
        close(session).await;
    }

    /// Creates the database if there is none.
    async fn migrate(&self) -> Result<(), MigrateError> {
        migration::run(&self.servers).await
    }

    async fn inspect(&self) -> Vec<Finding> {
        examination::findings(&self.servers).await
    }
}
