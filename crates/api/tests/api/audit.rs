//! The audit of a running process.

use api::cli::fetch_audit;
use api::client::Trust;
use secrecy::SecretString;
use serde_json::json;

use crate::backend::Backend;
use crate::helpers::{SHOW, TestService};

#[tokio::test]
async fn an_audit_counts_every_verdict_and_finds_nothing() {
    let service = TestService::start().await;
    service
        .create_show(
            json!({"id": "a", "title": "A", "capacity": 2, "max_per_user": 1,
            "hold_seconds": 600}),
        )
        .await;
    service.create_user("2").await;
    service.create_user("3").await;
    for user in [1, 1, 2, 3] {
        let id = service
            .placed(json!({"show_id": "a", "user_id": user}))
            .await;
        service.decided(&id).await;
    }
    let token = Backend::token().map(SecretString::from);
    let report = fetch_audit(&service.url, token.as_ref(), &Trust::ThisMachine)
        .await
        .unwrap();
    assert_eq!(report.violations, 0, "{report}");
    assert_eq!(report.shows.len(), 2);
    let show = report
        .shows
        .iter()
        .find(|show| show.show_id == "a")
        .unwrap();
    assert_eq!(
        (show.capacity, show.available, show.held, show.sold),
        (2, 0, 2, 0)
    );
    assert_eq!((show.verdicts.reserved, show.verdicts.confirmed), (2, 0));
    let rejected = show.verdicts.rejected;
    assert_eq!((rejected.limit_exceeded, rejected.sold_out), (1, 1));
    assert_eq!(show.changes, 5);
    let table = report.to_string();
    assert!(
        table.contains(SHOW) && table.ends_with("2 shows, 0 violations"),
        "{table}"
    );
}

#[tokio::test]
async fn the_audit_says_what_it_needs() {
    let token = [("APP__ADMIN__TOKEN", "the administration's own token")];
    let service = TestService::with(api::application::Role::All, &token).await;
    let refused = fetch_audit(&service.url, None, &Trust::ThisMachine)
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("APP__ADMIN__TOKEN"),
        "{refused}"
    );
}
