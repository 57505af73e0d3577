//! A server whose every default is another one than this adapter needs.

use domain::ports::{Examination, Level};
use test_servers::DatabaseServer;

use crate::scene::{self, DATABASE, prepare};

const DEFAULTS: &[&str] = &[
    "--autocommit=0",
    "--completion-type=CHAIN",
    "--transaction-isolation=SERIALIZABLE",
    "--transaction-read-only=ON",
    "--innodb-lock-wait-timeout=1",
    "--wait-timeout=3",
    "--interactive-timeout=3",
    "--sql-mode=ANSI,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH",
    "--default-time-zone=+13:00",
    "--character-set-server=latin1",
    "--default-storage-engine=MyISAM",
    "--innodb-rollback-on-timeout=ON",
    "--init-connect=SET sql_safe_updates = 1, sql_auto_is_null = 1, sql_select_limit = 2, \
     unique_checks = 0",
];
/// Set when the tests' own users have been made.
const OF_MARIADB: &str = "SET GLOBAL check_constraint_checks = OFF, \
     GLOBAL max_statement_time = 0.05, GLOBAL lock_wait_timeout = 0, \
     GLOBAL idle_write_transaction_timeout = 1, GLOBAL alter_algorithm = 'INSTANT'";
const OF_MYSQL: &str = "SET GLOBAL max_execution_time = 50, GLOBAL lock_wait_timeout = 1";

every_contract!();

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_contract_holds_on_a_server_whose_defaults_are_hostile() {
    let of_its_kind = if std::env::var_os("TICKETS_TEST_MYSQL_ROOT").is_some() {
        OF_MYSQL
    } else {
        OF_MARIADB
    };
    let server = DatabaseServer::start(DEFAULTS).await;
    server.execute(of_its_kind).await;
    let ours = scene::store(vec![server.url_of(DATABASE)]);
    prepare(&ours, 10).await;
    let strange =
        format!("SET SESSION TRANSACTION READ WRITE; CREATE TABLE {DATABASE}.strange (id INT)");
    server.execute(&strange).await;
    let found = ours.examine().await;
    let is_tried = |subject: &str| ["CHECK", "FOR UPDATE", "isolation"].contains(&subject);
    let broken: Vec<_> = found
        .iter()
        .filter(|finding| is_tried(&finding.subject) || finding.level == Level::Unknown)
        .collect();
    assert!(broken.is_empty(), "{broken:?}");
    let of_another_engine: Vec<_> = found
        .iter()
        .filter(|finding| finding.what.contains("MyISAM"))
        .map(|finding| finding.subject.as_str())
        .collect();
    assert_eq!(of_another_engine, ["strange"]);
    drop(ours);
    every_contract_holds(&server).await;
}
