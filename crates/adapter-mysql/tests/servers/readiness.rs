//! Readiness says whether changes are taken, and what to do if not.

use adapter_mysql::MySqlStore;
use domain::ports::{Dependency, Examination, Level, TicketLedger};
use port_contracts::fixtures::OrderSource;
use test_servers::DatabaseServer;

use crate::scene::{DATABASE, orders, prepare, store};

async fn reason(of: &dyn Dependency) -> String {
    of.check().await.unwrap_err().reason
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_or_user_that_takes_no_changes_is_not_ready() {
    let server = DatabaseServer::start(&["--max-connections=16"]).await;
    let ours = store(vec![server.url_of(DATABASE)]);
    let told = reason(&*ours).await;
    assert!(told.contains("tickets migrate"), "{told}");
    prepare(&ours, 100).await;
    ours.check().await.unwrap();
    let subjects = async |of: &MySqlStore| {
        let found = of.examine().await.into_iter();
        found
            .map(|finding| (finding.level, finding.subject))
            .collect::<Vec<_>>()
    };
    // What a server has by default.
    let risk = (Level::Risk, "sync_binlog".to_owned());
    let found = subjects(&ours).await;
    assert!(found.is_empty() || found == [risk], "{found:?}");

    // A user who may only look.
    server
        .execute(
            "CREATE USER 'looks'@'%' IDENTIFIED BY 'of-a-test-only'; \
             GRANT SELECT ON *.* TO 'looks'@'%'",
        )
        .await;
    let url = server.url_of(DATABASE);
    let looks = store(vec![url.replace("//tickets:", "//looks:")]);
    let told = reason(&*looks).await;
    assert!(
        told.contains("nothing can be decided") && told.contains("UPDATE"),
        "{told}"
    );
    // Orders can be dated, and wait for somebody who may.
    looks.check_clock().await.unwrap();
    // The schema is there, so nothing has to be allowed.
    looks.migrate().await.unwrap();
    let found = subjects(&looks).await;
    for table in ["users", "shows", "tickets", "holds", "journal", "workers"] {
        let broken = (Level::Broken, table.to_owned());
        assert!(found.contains(&broken), "{table} in {found:?}");
    }
    drop(looks);

    // A primary that was demoted, or a whole server for maintenance.
    server.demote().await;
    let source = OrderSource::new(1);
    let deciding = async { while ours.decide(&orders(&source, 1), None).await.is_ok() {} };
    port_contracts::within("no connection to it is used any more", deciding).await;
    let told = reason(&*ours).await;
    assert!(told.contains("read_only"), "{told}");
    server.take_changes_again().await;
    port_contracts::within("it is used again", async {
        while ours.check().await.is_err() {}
    })
    .await;

    // Others have all its connections.
    drop(ours);
    let mut others = Vec::new();
    while let Some(other) = server.try_connect().await {
        others.push(other);
    }
    let late = store(vec![server.url_of(DATABASE)]);
    let told = reason(&*late).await;
    assert!(told.contains("max_connections"), "{told}");
    drop(others);
    port_contracts::within("there is room again", async {
        while late.check().await.is_err() {}
    })
    .await;
}
