//! What was said before, said again by somebody else.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::helpers::{Answer, SHOW, TestService, USER, send};
use crate::identity::{ADMIN, asking, buyer, decided, get, guarded, post};

async fn keyed(service: &TestService, token: &str, key: &str, body: &Value) -> Answer {
    let request = asking(service, token, Method::POST, "/tickets");
    Answer::to(request.header("Idempotency-Key", key).json(body)).await
}

#[tokio::test]
async fn an_order_that_somebody_else_repeats_is_their_own_or_none() {
    let service = guarded(&[]).await;
    service.create_user_by(ADMIN, "2").await;
    let (owner, thief) = (buyer(USER), buyer("2"));
    let (unnamed, named) = (
        json!({"show_id": SHOW}),
        json!({"show_id": SHOW, "user_id": USER}),
    );
    let first = keyed(&service, &owner, "k", &unnamed).await;
    let id = first.text("ticket_id");
    while keyed(&service, &owner, "k", &unnamed).await.status != 200 {}
    let refused = keyed(&service, &thief, "k", &named).await;
    refused.assert_problem(403, "forbidden");
    let refused = keyed(&service, "", "k", &named).await;
    refused.assert_problem(401, "unauthorized");
    let other = keyed(&service, &thief, "k", &unnamed).await;
    assert_eq!(other.status, 202);
    assert_ne!(other.text("ticket_id"), id);
    while keyed(&service, &thief, "k", &unnamed).await.status != 200 {}
    let again = keyed(&service, &owner, "k", &unnamed).await;
    assert_eq!((again.status, again.text("ticket_id")), (200, id));
    let show = get(&service, "", &format!("/shows/{SHOW}")).await;
    assert_eq!(show.body["sold"], 2);
}

#[tokio::test]
async fn of_many_who_use_a_ticket_of_a_stream_at_once_one_gets_in() {
    const THIEVES: usize = 20;
    let service = guarded(&[]).await;
    let id = decided(&service, &buyer(USER), json!({"show_id": SHOW})).await;
    let issued = post(&service, &buyer(USER), "/live-tickets", Value::Null).await;
    let stream = format!("/tickets/{id}/events?ticket={}", issued.text("ticket"));
    let opened = (0..THIEVES).map(|_| send(service.request(Method::GET, &stream)));
    let opened = join_all(opened).await;
    let statuses = opened
        .into_iter()
        .map(|answer| answer.unwrap().status().as_u16());
    let (inside, refused): (Vec<_>, Vec<_>) = statuses.partition(|status| *status == 200);
    assert_eq!(inside.len(), 1);
    assert!(refused.iter().all(|status| *status == 401), "{refused:?}");
}
