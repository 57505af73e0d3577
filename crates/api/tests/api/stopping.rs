//! The graceful stop, from inside of the process.

use api::application::Role;
use serde_json::json;

use crate::helpers::{SHOW, TestService};

#[tokio::test]
async fn the_deadline_ends_a_stop_and_says_what_is_left() {
    let variables = [("APP__SERVER__SHUTDOWN_DEADLINE_SECONDS", "1")];
    let service = TestService::with(Role::Api, &variables).await;
    for _ in 0..3 {
        service.placed(json!({"show_id": SHOW, "user_id": 1})).await;
    }
    let error = service.stop().await.unwrap_err().to_string();
    assert!(
        error.contains("server.shutdown_deadline_seconds"),
        "{error}"
    );
    assert!(
        error.contains("3 accepted orders are left undecided"),
        "{error}"
    );
}

#[tokio::test]
async fn an_idle_service_stops_without_an_error() {
    let service = TestService::start().await;
    let id = service.placed(json!({"show_id": SHOW, "user_id": 1})).await;
    service.decided(&id).await;
    service.stop().await.unwrap();
}
