//! The graceful stop, as live connections see it.

use std::time::Instant;

use api::application::Role;
use port_contracts::measured;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::helpers::TestService;
use crate::live::{SseClient, WITH_RECEIPTS, WsClient, clog, receipt, within};

#[tokio::test(flavor = "multi_thread")]
async fn live_connections_are_told_and_closed_and_hold_the_stop_up_no_longer() {
    let service = TestService::with(Role::All, &WITH_RECEIPTS).await;
    let id = receipt("waits");
    let mut client = WsClient::connect(&service).await;
    client.subscribe(&[&id], &[]).await;
    assert_eq!(client.ticket().await["status"], "processing");
    let mut stream = SseClient::connect(&service, &id, None).await;
    assert_eq!(stream.status().await.0, "processing");
    let started = Instant::now();
    let stopped = tokio::spawn(service.stop());
    let closing = client.closing().await;
    assert_eq!(closing, ("shutting_down".to_owned(), CloseCode::Away));
    let (_, data) = stream.hear_a("closing").await;
    assert_eq!(data["code"], "shutting_down");
    stream.assert_end().await;
    // Nothing else holds it up either: the deadline of these tests is far away.
    within("the stop", stopped).await.unwrap().unwrap();
    measured("stop with live connections", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_does_not_hold_the_stop_up() {
    let variables = [
        &WITH_RECEIPTS[..],
        // A quarter of it is for connections to end. It must not be over before the rest
        // is done, on a busy machine either.
        &[("APP__SERVER__SHUTDOWN_DEADLINE_SECONDS", "40")],
        // Later than this test waits.
        &[("APP__LIVE__HEARTBEAT_SECONDS", "3600")],
    ];
    let service = TestService::with(Role::All, &variables.concat()).await;
    let mut client = WsClient::with_buffer(&service, Some(4_096)).await;
    assert!(!clog(&mut client).await);
    within("the stop", service.stop()).await.unwrap();
}
