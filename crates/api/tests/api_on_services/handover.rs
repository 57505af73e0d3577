//! Roles in processes of their own.

use api::application::Role;
use serde_json::json;

use crate::backend::Backend;
use crate::helpers::{SHOW, TestService};

#[tokio::test]
async fn a_worker_decides_what_an_api_process_accepted_before_it_ended() {
    let backend = Backend::start().await;
    let demo = [("APP__STORE__SEED_DEMO", "true")];
    let api = TestService::on(&backend, Role::Api, &demo).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(api.placed(json!({"show_id": SHOW, "user_id": 1})).await);
    }
    api.stop().await.unwrap();
    let worker = TestService::on(&backend, Role::Worker, &[]).await;
    let reader = TestService::on(&backend, Role::Api, &[]).await;
    for id in &ids {
        assert_eq!(reader.decided(id).await["status"], "confirmed");
    }
    worker.stop().await.unwrap();
    reader.stop().await.unwrap();
}
