//! `/shows/{id}/tickets`, for those who run the show.

use reqwest::Method;
use serde_json::{Value, json};

use api::application::Role;

use crate::helpers::{TestService, send};

const SEATS: usize = 2_100;

/// A show with a hold whose seats are all ordered, and some orders too many; a confirmed ticket.
async fn a_show_with_tickets(service: &TestService, seats: usize) -> Vec<String> {
    let show = json!({"id": "big", "title": "Big", "capacity": seats, "max_per_user": 100_000,
        "hold_seconds": 600});
    assert_eq!(service.post("/shows", show).await.status, 201);
    let mut placed = Vec::new();
    for _ in 0..seats {
        let order = json!({"show_id": "big", "user_id": 1});
        placed.push(service.placed(order).await);
    }
    for id in &placed {
        service.decided(id).await;
    }
    let confirmed = service
        .post(&format!("/tickets/{}/confirm", placed[1]), json!({}))
        .await;
    assert_eq!(confirmed.status, 200);
    placed
}

async fn text(service: &TestService, path: &str, accept: &str) -> (String, String) {
    let request = service.request(Method::GET, path).header("Accept", accept);
    let answer = send(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let media_type = answer.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    (media_type, answer.text().await.unwrap())
}

#[tokio::test]
async fn a_shows_tickets_come_in_the_sequence_of_their_decisions() {
    let service = TestService::start().await;
    let placed = a_show_with_tickets(&service, 7).await;
    let mut read = Vec::new();
    let mut cursor = String::new();
    for expected in [3, 3, 1] {
        let page = service
            .get(&format!("/shows/big/tickets?limit=3{cursor}"))
            .await;
        assert_eq!(page.status, 200, "{:?}", page.body);
        let tickets = page.body["tickets"].as_array().unwrap();
        assert_eq!(tickets.len(), expected);
        let ids = tickets.iter().map(|t| t["ticket_id"].as_str().unwrap());
        read.extend(ids.map(str::to_owned));
        let next = page.body["next_cursor"].as_str();
        cursor = next.map_or_else(String::new, |next| format!("&cursor={next}"));
    }
    assert_eq!((read, cursor), (placed.clone(), String::new()));

    let confirmed = service.get("/shows/big/tickets?status=confirmed").await;
    let confirmed = confirmed.body["tickets"].as_array().unwrap();
    assert_eq!(confirmed.len(), 1);
    assert_eq!(confirmed[0]["ticket_id"], placed[1].as_str());
    let none = service.get("/shows/big/tickets?status=rejected").await;
    assert_eq!(none.body, json!({"tickets": [], "next_cursor": null}));

    for (query, parameter) in [
        ("status=sold", "status"),
        ("cursor=x", "cursor"),
        ("page=1", "page"),
    ] {
        let answer = service.get(&format!("/shows/big/tickets?{query}")).await;
        answer.assert_invalid_parameter(parameter);
    }
    service
        .get("/shows/small/tickets")
        .await
        .assert_problem(404, "show_not_found");
}

/// More than one piece of the stream.
#[tokio::test]
async fn all_of_a_shows_tickets_are_streamed_as_lines() {
    let service = TestService::start().await;
    let placed = a_show_with_tickets(&service, SEATS).await;
    let (media_type, csv) = text(&service, "/shows/big/tickets", "text/csv").await;
    assert!(media_type.starts_with("text/csv"), "{media_type}");
    let mut lines = csv.split_terminator("\r\n");
    let header: Vec<_> = lines.next().unwrap().split(',').collect();
    assert_eq!(
        header[..5],
        ["ticket_id", "show_id", "user_id", "quantity", "status"]
    );
    let lines: Vec<Vec<_>> = lines.map(|line| line.split(',').collect()).collect();
    assert!(lines.iter().all(|line| line.len() == header.len()));
    let ids: Vec<_> = lines.iter().map(|line| line[0]).collect();
    assert_eq!(ids, placed);
    assert_eq!(lines[1][4], "confirmed");

    let path = "/shows/big/tickets?status=reserved";
    let (media_type, lines) = text(&service, path, "application/x-ndjson").await;
    assert_eq!(media_type, "application/x-ndjson");
    let tickets: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(tickets.len(), SEATS - 1);
    assert!(tickets.iter().all(|ticket| ticket["status"] == "reserved"));
}

#[tokio::test]
async fn a_shows_tickets_are_for_those_who_run_it() {
    let token = "0123456789abcdef";
    let service = TestService::with(Role::All, &[("APP__ADMIN__TOKEN", token)]).await;
    service
        .get("/shows/230920/tickets")
        .await
        .assert_problem(401, "unauthorized");
    let request = service
        .request(Method::GET, "/shows/230920/tickets")
        .bearer_auth(token);
    assert_eq!(send(request).await.unwrap().status(), 200);
}
