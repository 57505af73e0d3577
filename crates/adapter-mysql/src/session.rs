//! A session of the server: everything that statements rely on is set when it begins, and
//! whether its server can still be written is looked at again and again.

use std::time::Instant;

use adapter_sql::statements::SqlSession;
use async_trait::async_trait;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{ConnectOptions, Executor};

use crate::error::StoreError;
use crate::statements::SERVER_MICROS;

/// What every session is, whatever the server's defaults are.
///
/// READ COMMITTED: what is read after the locks is what is committed by then. Statements
/// outside of transactions commit by themselves, and `COMMIT` begins nothing new. A value that
/// does not fit is refused. A process that stops in the middle must not keep a show locked for
/// long: the server waits 5 s for a lock and ends sessions that are silent for 15 s. A limit
/// for statements is the caller's. The comments with numbers are for MySQL, those with an `M`
/// for MariaDB: each knows a setting that the other does not.
const BEGIN: &str = "\
    SET NAMES utf8mb4; \
    SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE; \
    SET SESSION autocommit = 1, completion_type = 'NO_CHAIN', \
        sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO', \
        time_zone = '+00:00', unique_checks = 1, sql_safe_updates = 0, sql_auto_is_null = 0, \
        sql_select_limit = 18446744073709551615, sql_big_selects = 1, \
        default_storage_engine = 'InnoDB', \
        innodb_lock_wait_timeout = 5, lock_wait_timeout = 5, wait_timeout = 15 \
        /*!80000 , max_execution_time = 0 */ \
        /*M! , max_statement_time = 0, check_constraint_checks = 1, alter_algorithm = 'DEFAULT', \
        idle_transaction_timeout = 0, \
        idle_write_transaction_timeout = 0 */";

/// Not 0 if the server takes no changes: a replica, a primary that was demoted, or one whose
/// files cannot be written. Asked of the server, not of the user's rights: who may write all
/// the same must not. Some MariaDB name the values of `read_only`.
const TAKES_NO_CHANGES: &str =
    "CAST(@@global.read_only NOT IN ('0', 'OFF') OR @@global.innodb_read_only AS SIGNED)";

/// A connection, and when its server was last seen to take changes.
#[derive(Debug)]
pub struct Session {
    pub(crate) connection: MySqlConnection,
    pub(crate) examined: Instant,
    /// The place of its server among those of the configuration.
    pub(crate) server: usize,
}

impl Session {
    /// Connects and sets what statements rely on. Does not look whether the server can be
    /// written.
    pub(crate) async fn begin(options: &MySqlConnectOptions) -> Result<Self, sqlx::Error> {
        let mut connection = options.connect().await?;
        connection.execute(BEGIN).await?;
        let examined = Instant::now();
        Ok(Self {
            connection,
            examined,
            server: 0,
        })
    }

    /// Whether the server takes changes; also shows that it is alive.
    pub(crate) async fn takes_changes(&mut self) -> Result<bool, sqlx::Error> {
        let asked = Instant::now();
        let sql = format!("SELECT {TAKES_NO_CHANGES}");
        let refuses: i64 = sqlx::query_scalar(&sql)
            .fetch_one(&mut self.connection)
            .await?;
        self.examined = asked;
        Ok(refuses == 0)
    }

    /// Whether it is on a member of a cluster whose members all take changes: Galera, or group
    /// replication with several primaries.
    pub(crate) async fn is_one_of_many(&mut self) -> Result<bool, sqlx::Error> {
        let settings: Vec<(String, String)> = sqlx::query_as(
            "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
             ('wsrep_on', 'group_replication_single_primary_mode')",
        )
        .fetch_all(&mut self.connection)
        .await?;
        let is = |name: &str, value: &str| {
            let mut settings = settings.iter();
            settings.any(|(known, set)| known == name && set == value)
        };
        Ok(is("wsrep_on", "ON") || is("group_replication_single_primary_mode", "OFF"))
    }

    /// Whether both are on one server, whatever names led there: a lock that this one holds by a
    /// name that nobody else knows is seen by the other. No number or name that a server has of
    /// itself will do: they are copied with its files or its image. Nobody needs a right for it.
    pub(crate) async fn is_on_the_server_of(&mut self, other: &mut Self) -> bool {
        let name = format!("tickets-{:032x}", rand::random::<u128>());
        self.holds_what_is_seen_by(other, &name)
            .await
            // Where there are no such locks (a strict cluster) they are taken for two.
            .unwrap_or(false)
    }

    async fn holds_what_is_seen_by(
        &mut self,
        other: &mut Self,
        name: &str,
    ) -> Result<bool, sqlx::Error> {
        let seen = |sql| sqlx::query_scalar::<_, Option<i64>>(sql).bind(name);
        let locking = seen("SELECT CAST(GET_LOCK(?, 0) AS SIGNED)");
        if locking.fetch_one(&mut self.connection).await? != Some(1) {
            return Ok(false);
        }
        let looking = seen("SELECT CAST(IS_USED_LOCK(?) AS SIGNED)");
        let holder = looking.fetch_one(&mut other.connection).await?;
        let releasing = seen("SELECT CAST(RELEASE_LOCK(?) AS SIGNED)");
        releasing.fetch_one(&mut self.connection).await?;
        Ok(holder.is_some())
    }
}

#[async_trait]
impl SqlSession for Session {
    type Error = StoreError;

    fn examined(&self) -> Instant {
        self.examined
    }

    async fn begin(&mut self) -> Result<(), StoreError> {
        self.connection.execute("START TRANSACTION").await?;
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        self.connection.execute("COMMIT").await?;
        Ok(())
    }

    async fn roll_back(&mut self) -> Result<(), StoreError> {
        self.connection.execute("ROLLBACK").await?;
        Ok(())
    }

    async fn ensure_it_takes_changes(&mut self) -> Result<(), StoreError> {
        if self.takes_changes().await? {
            Ok(())
        } else {
            Err(StoreError::ReadOnly)
        }
    }

    async fn server_time(&mut self) -> Result<Option<i64>, StoreError> {
        let sql = format!(
            "SELECT {SERVER_MICROS}, \
             (SELECT COUNT(*) FROM (SELECT 1 FROM shows LIMIT 1) AS found)"
        );
        let (server, _shows): (i64, i64) =
            sqlx::query_as(&sql).fetch_one(&mut self.connection).await?;
        Ok(Some(server))
    }

    async fn write_check(&mut self) -> Result<(), StoreError> {
        // An update would find nothing to change if the row were gone, and say nothing.
        let sql = "INSERT INTO write_check (id, checks) VALUES (1, 1) \
            ON DUPLICATE KEY UPDATE checks = checks + 1";
        self.connection.execute(sql).await?;
        Ok(())
    }

    async fn deployments(&mut self) -> Result<Vec<u32>, StoreError> {
        let query = sqlx::query_scalar("SELECT id FROM deployment");
        Ok(query.fetch_all(&mut self.connection).await?)
    }
}
