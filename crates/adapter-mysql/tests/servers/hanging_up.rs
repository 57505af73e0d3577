//! Clients that ask and hang up at once.

use std::time::Duration;

use domain::ports::{ShowRepository, TicketLedger, TicketPage, UserRepository};
use port_contracts::fixtures;
use tcp_proxy::{TcpProxy, Weather};
use test_servers::DatabaseServer;
use tokio::time::timeout;

use crate::scene::{DATABASE, SHOW, USER, config, prepare, store};

/// Each way takes longer than a client waits.
const SLOW: Weather = Weather::Slow(Duration::from_millis(5));
const PATIENCE: Duration = Duration::from_millis(2);
const CLIENTS: usize = 100;

/// A connection whose reading is dropped half-way has to be closed, and each new one is a login.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn those_who_hang_up_do_not_have_connections_opened() {
    let server = DatabaseServer::start(&[]).await;
    let proxy = TcpProxy::start(&server.address()).await.unwrap();
    let ours = store(vec![proxy.url(&server.url_of(DATABASE))]);
    prepare(&ours, 10).await;
    let connections = "SELECT CAST(CONNECTION_ID() AS SIGNED)";
    let before = server.number(connections).await;
    proxy.set(SLOW);
    let (user, show) = (fixtures::user_id(USER), fixtures::show_id(SHOW));
    let shows = [show.clone(), fixtures::show_id("b")];
    let page = TicketPage {
        after: None,
        limit: 10,
    };
    for _ in 0..CLIENTS {
        drop(timeout(PATIENCE, UserRepository::list(&*ours, None, 10)).await);
        drop(timeout(PATIENCE, ShowRepository::list(&*ours, None, 10)).await);
        drop(timeout(PATIENCE, ours.standings(&shows)).await);
        drop(timeout(PATIENCE, ours.list_by_user(&user, page)).await);
        drop(timeout(PATIENCE, ours.history(&show, 0, 10)).await);
    }
    proxy.set(Weather::Fair);
    // They are all of use to others.
    port_contracts::within("a list is read", async {
        while UserRepository::list(&*ours, None, 10).await.is_err() {}
    })
    .await;
    let opened = server.number(connections).await - before;
    let most = i64::from(config(Vec::new()).max_connections);
    assert!(opened <= most, "{opened} connections were opened");
}
