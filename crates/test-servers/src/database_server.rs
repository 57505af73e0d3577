//! A database server that one test has for itself: set up badly, demoted, killed, replicated.
//!
//! It is the machine's MariaDB, or with `TICKETS_TEST_MYSQL_ROOT` the MySQL that is installed
//! below that folder, which is then changed into. Needs root, as Debian's packages do.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "fails the test that needs it"
)]

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sqlx::{Connection, Executor, MySqlConnection};
use tokio::time::{sleep, timeout};

use crate::{database, ports};

/// Who may do everything, also where nothing may be changed.
const OPERATOR: &str = "operator";
/// Who has the rights that the service needs, on databases whose name begins like this.
const USER: &str = "tickets";
const PASSWORD: &str = "of-a-test-only";
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Only what hangs takes as long.
const DEADLINE: Duration = Duration::from_secs(120);

/// One server on loopback, with data of its own; both end with the value.
pub struct DatabaseServer {
    flavor: Flavor,
    /// As this process sees it.
    folder: PathBuf,
    port: u16,
    number: u32,
    options: Vec<String>,
    process: Option<Child>,
}

enum Flavor {
    MariaDb,
    /// Below this folder.
    MySql(PathBuf),
}

impl Flavor {
    fn of_environment() -> Self {
        env::var_os("TICKETS_TEST_MYSQL_ROOT")
            .map_or(Self::MariaDb, |root| Self::MySql(root.into()))
    }

    /// Where a server's user may write.
    fn folder(&self, name: &str) -> PathBuf {
        match self {
            Self::MariaDb => env::temp_dir().join(name),
            Self::MySql(root) => root.join("var/lib/mysql-files").join(name),
        }
    }

    /// What the server calls a folder.
    fn inside(&self, folder: &Path) -> String {
        match self {
            Self::MariaDb => folder.display().to_string(),
            Self::MySql(root) => {
                let below = folder.strip_prefix(root).unwrap();
                format!("/{}", below.display())
            }
        }
    }

    /// As the servers' own user. It ends with the thread that starts it, however that ends.
    fn command(&self, program: &str) -> Command {
        let setpriv = "setpriv";
        let mut command = match self {
            Self::MariaDb => Command::new(setpriv),
            Self::MySql(root) => {
                let mut command = Command::new("chroot");
                command.arg(root).arg(setpriv);
                command
            }
        };
        command.args(["--reuid", "mysql", "--regid", "mysql", "--init-groups"]);
        command.args(["--pdeathsig", "KILL", program]);
        command
    }

    /// Makes the data of a server.
    fn install(&self, folder: &Path) {
        let data = format!("--datadir={}/data", self.inside(folder));
        // A server that starts removes what it finds in the folder for temporary tables.
        fs::create_dir(folder.join("tmp")).unwrap();
        let by = fs::metadata(folder).unwrap();
        std::os::unix::fs::chown(folder.join("tmp"), Some(by.uid()), Some(by.gid())).unwrap();
        let mut command = match self {
            Self::MariaDb => self.command("mariadb-install-db"),
            Self::MySql(_) => self.command("mysqld"),
        };
        command.args(["--no-defaults", &data]);
        match self {
            Self::MariaDb => {
                command.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
                command.arg("--innodb-log-file-size=8M");
            }
            Self::MySql(_) => {
                command.arg("--initialize-insecure");
            }
        }
        let made = command
            .env("TMPDIR", format!("{}/tmp", self.inside(folder)))
            .output()
            .expect("the server's programs are installed");
        assert!(made.status.success(), "{made:?}");
    }

    fn client(&self) -> Command {
        match self {
            Self::MariaDb => self.command("mariadb"),
            Self::MySql(_) => self.command("mysql"),
        }
    }
}

impl DatabaseServer {
    /// Starts one with these options of the server's command line, besides those that it needs.
    pub async fn start(options: &[&str]) -> Self {
        Self::of(Flavor::of_environment(), options).await
    }

    /// Starts a MariaDB, whatever the others are.
    pub async fn start_mariadb(options: &[&str]) -> Self {
        Self::of(Flavor::MariaDb, options).await
    }

    async fn of(flavor: Flavor, options: &[&str]) -> Self {
        let number: u32 = rand::random_range(1..u32::MAX);
        let folder = flavor.folder(&format!("tickets-database-{number:08x}"));
        fs::create_dir_all(&folder).unwrap();
        let mut owned = Command::new("chown");
        let owner = match &flavor {
            Flavor::MariaDb => "mysql".to_owned(),
            Flavor::MySql(root) => {
                let users = fs::read_to_string(root.join("etc/passwd")).unwrap();
                let mut users = users.lines().filter_map(|line| {
                    let mut fields = line.split(':');
                    (fields.next()? == "mysql").then(|| fields.nth(1).unwrap().to_owned())
                });
                users.next().expect("the package has made its user")
            }
        };
        assert!(owned.arg(owner).arg(&folder).status().unwrap().success());
        let mut server = Self {
            flavor,
            folder,
            port: ports::lasting().unwrap(),
            number,
            options: options.iter().map(ToString::to_string).collect(),
            process: None,
        };
        server.start_afresh().await;
        server
    }

    /// Starts it without any data. To others it is a new server: a replica leaves out the changes
    /// that it takes for its own.
    pub async fn start_afresh(&mut self) {
        self.kill();
        self.number = rand::random_range(1..u32::MAX);
        for data in fs::read_dir(&self.folder).unwrap() {
            let data = data.unwrap().path();
            if data.is_dir() {
                fs::remove_dir_all(data).unwrap();
            } else {
                fs::remove_file(data).unwrap();
            }
        }
        self.flavor.install(&self.folder);
        self.start_again().await;
        let inside = self.flavor.inside(&self.folder);
        let sql = format!(
            "SET SESSION TRANSACTION READ WRITE; \
             SET SESSION sql_log_bin = 0, sql_mode = '', autocommit = 1; \
             CREATE USER '{OPERATOR}'@'%' IDENTIFIED BY '{PASSWORD}'; \
             GRANT ALL ON *.* TO '{OPERATOR}'@'%' WITH GRANT OPTION; \
             CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}'; \
             GRANT ALL ON `{USER}%`.* TO '{USER}'@'%'; GRANT PROCESS ON *.* TO '{USER}'@'%'"
        );
        let made = self
            .flavor
            .client()
            .arg("--no-defaults")
            .arg(format!("--socket={inside}/socket"))
            .args(["--user=root", "--execute", &sql])
            .status()
            .unwrap();
        assert!(made.success(), "the users of the tests were not made");
    }

    /// Starts it with the data that it has, and waits until it answers.
    pub async fn start_again(&mut self) {
        let inside = self.flavor.inside(&self.folder);
        let mut command = match &self.flavor {
            Flavor::MariaDb => self.flavor.command("mariadbd"),
            Flavor::MySql(_) => self.flavor.command("mysqld"),
        };
        command
            .args(["--no-defaults", "--bind-address=127.0.0.1"])
            .arg(format!("--datadir={inside}/data"))
            .arg(format!("--socket={inside}/socket"))
            .arg(format!("--pid-file={inside}/pid"))
            .arg(format!("--tmpdir={inside}/tmp"))
            .arg(format!("--port={}", self.port))
            .arg(format!("--server-id={}", self.number))
            .arg(format!("--log-bin={inside}/binlog"))
            .args(["--innodb-buffer-pool-size=64M", "--max-connections=200"]);
        match self.flavor {
            Flavor::MariaDb => command.args(["--innodb-log-file-size=8M", "--log-slave-updates"]),
            Flavor::MySql(_) => command.args([
                "--mysqlx=OFF",
                "--plugin-load-add=semisync_source.so;semisync_replica.so",
                "--gtid-mode=ON",
                "--enforce-gtid-consistency=ON",
                "--innodb-redo-log-capacity=16M",
            ]),
        };
        let log = self.folder.join("log");
        let log = File::options().append(true).create(true).open(log).unwrap();
        let started = command
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.process = Some(started.expect("the server's programs are installed"));
        let socket = self.folder.join("socket");
        let address = ("127.0.0.1", self.port);
        let answers = async {
            while !socket.exists() || tokio::net::TcpStream::connect(address).await.is_err() {
                let ended = self.process.as_mut().unwrap().try_wait().unwrap();
                assert!(ended.is_none(), "see {}/log", self.folder.display());
                sleep(LOOK_AGAIN).await;
            }
        };
        let answering = timeout(DEADLINE, answers).await;
        answering.expect("a database server answers");
    }

    /// Kills the server without a shutdown, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
        let _none_is_left = fs::remove_file(self.folder.join("socket"));
    }

    /// `mysql://user:password@host:port`
    #[must_use]
    pub fn url(&self) -> String {
        format!("mysql://{USER}:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    /// The same with a database.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        format!("{}/{database}", self.url())
    }

    /// The address as `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Runs statements.
    pub async fn execute(&self, sql: &str) {
        self.connect().await.execute(sql).await.unwrap();
    }

    /// The number that a query returns.
    pub async fn number(&self, sql: &str) -> i64 {
        let mut connection = self.connect().await;
        sqlx::query_scalar(sql)
            .fetch_one(&mut connection)
            .await
            .unwrap()
    }

    /// Takes no changes any more, and says so.
    pub async fn demote(&self) {
        self.execute(match self.flavor {
            Flavor::MariaDb => "SET GLOBAL read_only = ON",
            Flavor::MySql(_) => "SET GLOBAL super_read_only = ON",
        })
        .await;
    }

    /// As before it was demoted.
    pub async fn take_changes_again(&self) {
        self.execute(match self.flavor {
            Flavor::MariaDb => "SET GLOBAL read_only = OFF",
            Flavor::MySql(_) => "SET GLOBAL super_read_only = OFF, GLOBAL read_only = OFF",
        })
        .await;
    }

    /// Ends following another one, once it has all that it received, and takes changes.
    pub async fn promote(&self) {
        match self.flavor {
            Flavor::MariaDb => {
                self.execute("STOP SLAVE IO_THREAD").await;
                let applied = async {
                    while self
                        .follows("Slave_SQL_Running_State", "has read all")
                        .await
                        .is_none()
                    {
                        sleep(LOOK_AGAIN).await;
                    }
                };
                let applying = timeout(DEADLINE, applied).await;
                applying.expect("the relay log is applied");
                self.execute("STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only = OFF")
                    .await;
            }
            Flavor::MySql(_) => {
                self.execute("STOP REPLICA IO_THREAD").await;
                let missing = "SELECT COUNT(*) FROM \
                    performance_schema.replication_connection_status WHERE NOT \
                    GTID_SUBSET(received_transaction_set, @@global.gtid_executed)";
                let applied = async {
                    while self.number(missing).await > 0 {
                        sleep(LOOK_AGAIN).await;
                    }
                };
                let applying = timeout(DEADLINE, applied).await;
                applying.expect("the relay log is applied");
                self.execute(
                    "STOP REPLICA; RESET REPLICA ALL; \
                     SET GLOBAL super_read_only = OFF; SET GLOBAL read_only = OFF",
                )
                .await;
            }
        }
    }

    /// Some row of the replication's state, if that column contains `part`.
    async fn follows(&self, column: &str, part: &str) -> Option<String> {
        use sqlx::Row;

        let mut connection = self.connect().await;
        let sql = match self.flavor {
            Flavor::MariaDb => "SHOW ALL SLAVES STATUS",
            Flavor::MySql(_) => "SHOW REPLICA STATUS",
        };
        let row = sqlx::query(sql)
            .fetch_optional(&mut connection)
            .await
            .unwrap()?;
        let text: String = row.try_get(column).unwrap();
        text.contains(part).then_some(text)
    }

    /// Why it does not follow.
    async fn errors(&self) -> Vec<Option<String>> {
        let mut errors = Vec::new();
        for column in ["Last_IO_Error", "Last_SQL_Error"] {
            errors.push(self.follows(column, "").await);
        }
        errors
    }

    /// Follows `primary` from now on, and takes no changes of others.
    pub async fn follow(&self, primary: &Self) {
        self.demote().await;
        let port = primary.port;
        let source = format!("'127.0.0.1', {{}}PORT = {port}, {{}}USER = '{OPERATOR}'");
        let sql = match self.flavor {
            Flavor::MariaDb => format!(
                "STOP SLAVE; SET GLOBAL gtid_slave_pos = @@global.gtid_current_pos; \
                 CHANGE MASTER TO MASTER_HOST = {}, MASTER_PASSWORD = '{PASSWORD}', \
                 MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1; START SLAVE",
                source.replace("{}", "MASTER_")
            ),
            Flavor::MySql(_) => format!(
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST = {}, SOURCE_PASSWORD = '{PASSWORD}', \
                 SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1, SOURCE_CONNECT_RETRY = 1; \
                 START REPLICA",
                source.replace("{}", "SOURCE_")
            ),
        };
        self.execute(&sql).await;
    }

    /// Waits until it has every change that `primary` has now.
    pub async fn catch_up(&self, primary: &Self) {
        let caught_up = match self.flavor {
            Flavor::MariaDb => {
                let position: String = primary.text("SELECT @@global.gtid_binlog_pos").await;
                format!("SELECT MASTER_GTID_WAIT('{position}', 30)")
            }
            Flavor::MySql(_) => {
                let done: String = primary.text("SELECT @@global.gtid_executed").await;
                format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{done}', 30)")
            }
        };
        let done = self.number(&caught_up).await == 0;
        assert!(done, "the replica is behind: {:?}", self.errors().await);
    }

    async fn text(&self, sql: &str) -> String {
        let mut connection = self.connect().await;
        sqlx::query_scalar(sql)
            .fetch_one(&mut connection)
            .await
            .unwrap()
    }

    /// Whether commits wait until a replica has them, for as long as that takes.
    pub async fn wait_for_replicas(&self, waits: bool) {
        let waits = if waits { "ON" } else { "OFF" };
        self.execute(&match self.flavor {
            Flavor::MariaDb => format!(
                "SET GLOBAL rpl_semi_sync_master_wait_point = 'AFTER_SYNC', \
                 GLOBAL rpl_semi_sync_master_timeout = 1000000000, \
                 GLOBAL rpl_semi_sync_master_enabled = {waits}"
            ),
            Flavor::MySql(_) => format!(
                "SET GLOBAL rpl_semi_sync_source_timeout = 1000000000, \
                 GLOBAL rpl_semi_sync_source_enabled = {waits}"
            ),
        })
        .await;
    }

    /// Says what it has received, once it follows another one.
    pub async fn acknowledge(&self) {
        self.execute(match self.flavor {
            Flavor::MariaDb => "SET GLOBAL rpl_semi_sync_slave_enabled = ON",
            Flavor::MySql(_) => "SET GLOBAL rpl_semi_sync_replica_enabled = ON",
        })
        .await;
    }

    /// A connection that does nothing, unless the server has none left.
    pub async fn try_connect(&self) -> Option<MySqlConnection> {
        MySqlConnection::connect(&self.url()).await.ok()
    }

    async fn connect(&self) -> MySqlConnection {
        let url = self
            .url()
            .replace(&format!("//{USER}:"), &format!("//{OPERATOR}:"));
        database::connect(&url).await.unwrap()
    }
}

impl Drop for DatabaseServer {
    fn drop(&mut self) {
        self.kill();
        let _gone = fs::remove_dir_all(&self.folder);
    }
}
