//! `GET /tickets/{id}/events`.

use api::application::Role;
use reqwest::Method;

use crate::helpers::{Answer, TestService, send};
use crate::live::{SseClient, WITH_RECEIPTS, change, hold, order, receipt, with_holds};

fn state(status: &str, id: &str) -> (String, String) {
    (status.to_owned(), id.to_owned())
}

#[tokio::test]
async fn a_stream_tells_the_state_and_every_change_and_ends_with_the_last() {
    let service = with_holds().await;
    let id = receipt("held");
    let mut stream = SseClient::connect(&service, &id, None).await;
    assert_eq!(stream.status().await, state("processing", "0"));
    service.keyed("held", hold()).await;
    assert_eq!(stream.status().await, state("reserved", "1"));
    change(&service, &id, "confirm").await;
    assert_eq!(stream.status().await, state("confirmed", "2"));
    change(&service, &id, "cancel").await;
    assert_eq!(stream.status().await, state("cancelled", "3"));
    stream.assert_end().await;
}

#[tokio::test]
async fn who_comes_back_is_told_what_was_missed_and_nothing_twice() {
    let service = with_holds().await;
    let id = service.placed(hold()).await;
    service.decided(&id).await;
    let mut stream = SseClient::connect(&service, &id, None).await;
    assert_eq!(stream.status().await, state("reserved", "1"));
    drop(stream);
    change(&service, &id, "confirm").await;
    let mut stream = SseClient::connect(&service, &id, Some("1")).await;
    assert_eq!(stream.status().await, state("confirmed", "2"));
    drop(stream);
    // What is known is not told again.
    let mut stream = SseClient::connect(&service, &id, Some("2")).await;
    change(&service, &id, "cancel").await;
    assert_eq!(stream.status().await, state("cancelled", "3"));
    stream.assert_end().await;
    let mut stream = SseClient::connect(&service, &id, Some("2")).await;
    assert_eq!(stream.status().await, state("cancelled", "3"));
    stream.assert_end().await;
    // A browser asks again after every end, until it gets this.
    let answer = SseClient::request(&service, &id, Some("3")).await;
    assert_eq!(answer.status(), 204);
}

/// Clients that cannot send headers put it into the query; some send it empty at first.
#[tokio::test]
async fn what_is_known_may_stand_in_the_query_and_may_be_empty() {
    let service = with_holds().await;
    let id = service.placed(hold()).await;
    service.decided(&id).await;
    for (query, header) in [("", Some("")), ("?lastEventId=", None), ("", None)] {
        let with_query = format!("{id}/events{query}");
        let request = service.request(Method::GET, &format!("/tickets/{with_query}"));
        let request = match header {
            Some(last) => request.header("Last-Event-ID", last),
            None => request,
        };
        let mut stream = SseClient::of(send(request).await.unwrap());
        assert_eq!(stream.status().await, state("reserved", "1"));
    }
    change(&service, &id, "cancel").await;
    for (query, header, status) in [
        ("2", None, 204),
        ("1", Some("2"), 204),
        ("2", Some("1"), 200),
        ("1", Some(""), 200),
    ] {
        let path = format!("/tickets/{id}/events?lastEventId={query}");
        let request = service.request(Method::GET, &path);
        let request = match header {
            Some(last) => request.header("Last-Event-ID", last),
            None => request,
        };
        assert_eq!(send(request).await.unwrap().status(), status, "{query}");
    }
    for other in ["x", "%2B1", "0000000001"] {
        let path = format!("/tickets/{id}/events?lastEventId={other}");
        service
            .get(&path)
            .await
            .assert_invalid_parameter("lastEventId");
    }
}

#[tokio::test]
async fn a_state_that_never_was_is_not_believed() {
    let service = with_holds().await;
    let id = service.placed(hold()).await;
    service.decided(&id).await;
    let mut stream = SseClient::connect(&service, &id, Some("7")).await;
    assert_eq!(stream.status().await, state("reserved", "1"));
    let waiting = receipt("nobody");
    let mut stream = SseClient::connect(&service, &waiting, Some("7")).await;
    assert_eq!(stream.status().await, state("processing", "0"));
}

#[tokio::test]
async fn while_nothing_changes_there_are_heartbeats() {
    let mut variables = WITH_RECEIPTS.to_vec();
    variables.push(("APP__LIVE__HEARTBEAT_SECONDS", "1"));
    let service = TestService::with(Role::All, &variables).await;
    let mut response = SseClient::request(&service, &receipt("quiet"), None).await;
    let mut text = String::new();
    while text.matches(": heartbeat\n\n").count() < 2 {
        let chunk = crate::live::within("a heartbeat", response.chunk()).await;
        text.push_str(std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap());
    }
    assert!(
        text.starts_with("retry: 1000\n\nevent: ticket\nid: 0\ndata: {"),
        "{text}"
    );
}

#[tokio::test]
async fn what_cannot_be_streamed_gets_a_problem() {
    let service = TestService::start().await;
    let path = "/tickets/0199a2b4-7d3e-8001-8a5f-3c0d9e412b77/events";
    service
        .get(path)
        .await
        .assert_problem(404, "ticket_not_found");
    service
        .get("/tickets/7/events")
        .await
        .assert_invalid_parameter("id");
    let id = service.placed(order()).await;
    let path = format!("/tickets/{id}/events");
    let answer = service.get(&format!("{path}?priority=vip")).await;
    answer.assert_invalid_parameter("priority");
    let request = service.request(Method::GET, &path);
    let answer = Answer::to(request.header("Last-Event-ID", "x")).await;
    answer.assert_problem(400, "invalid_parameter");
    assert_eq!(answer.body["errors"][0]["header"], "Last-Event-ID");
    service
        .post(&path, order())
        .await
        .assert_problem(405, "method_not_allowed");
}
