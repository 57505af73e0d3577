//! A cluster of MariaDB servers that all take changes, of which one is there: it shows what such
//! a cluster refuses.

use domain::ports::{Dependency, Examination};
use test_servers::DatabaseServer;

use crate::scene::{self, DATABASE, prepare};

every_contract!();

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_contract_holds_on_galera() {
    let server = DatabaseServer::start_mariadb(&[
        "--wsrep-on=ON",
        "--wsrep-provider=/usr/lib/galera/libgalera_smm.so",
        "--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:24567",
        "--wsrep-node-address=127.0.0.1",
        "--wsrep-new-cluster",
        "--wsrep-cluster-address=gcomm://",
        "--binlog-format=ROW",
        "--innodb-autoinc-lock-mode=2",
        "--sync-binlog=1",
    ])
    .await;
    let ours = scene::store(vec![server.url_of(DATABASE)]);
    prepare(&ours, 10).await;
    ours.check().await.unwrap();
    assert_eq!(ours.examine().await, []);
    every_contract_holds(&server).await;
}
