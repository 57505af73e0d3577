//! Shows and users.

use api::application::Role;
use reqwest::Method;
use serde_json::json;

use crate::backend::Backend;
use crate::helpers::{Answer, SHOW, TestService};

const TOKEN: &str = "the administration's own token";

#[tokio::test]
async fn a_show_is_created_with_defaults_and_read_back() {
    let service = TestService::start().await;
    let show = json!({"id": 7, "title": "Seven", "capacity": 100});
    let created = service.post("/shows", show.clone()).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.header("location"), "/shows/7");
    assert_eq!(
        created.body,
        json!({"id": "7", "title": "Seven", "capacity": 100, "available": 100, "held": 0,
            "sold": 0, "max_per_user": 10, "hold_seconds": 0, "sales_open_at": null,
            "sales_close_at": null, "seq": 1})
    );
    assert_eq!(service.get("/shows/7").await.body, created.body);
    service
        .post("/shows", show)
        .await
        .assert_problem(409, "show_exists");
    service
        .get("/shows/8")
        .await
        .assert_problem(404, "show_not_found");
    service
        .get("/shows/a%20b")
        .await
        .assert_invalid_parameter("id");
}

#[tokio::test]
async fn a_shows_faults_are_named() {
    let service = TestService::start().await;
    let show = json!({"id": "a b", "title": " ", "capacity": 10_000_001, "max_per_user": 0,
        "hold_seconds": 604_801, "sales_open_at": "tomorrow", "sales_close_at": 5, "x": 1});
    service.post("/shows", show).await.assert_invalid_fields(&[
        "/id",
        "/title",
        "/capacity",
        "/max_per_user",
        "/hold_seconds",
        "/sales_open_at",
        "/sales_close_at",
        "/x",
    ]);
    let reversed = json!({"id": "r", "title": "R", "capacity": 1,
        "sales_open_at": "2030-01-02T00:00:00Z", "sales_close_at": "2030-01-01T00:00:00Z"});
    service
        .post("/shows", reversed)
        .await
        .assert_invalid_fields(&["/sales_close_at"]);
}

#[tokio::test]
async fn a_show_is_changed_by_merging() {
    let service = TestService::start().await;
    service
        .create_show(json!({"id": "m", "title": "M", "capacity": 5,
            "sales_open_at": "2020-01-01T00:00:00Z", "sales_close_at": "2030-01-01T00:00:00Z"}))
        .await;
    let changed = service
        .patch(
            "/shows/m",
            json!({"capacity": 8, "title": "MM", "sales_close_at": null}),
        )
        .await;
    assert_eq!(changed.status, 200, "{:?}", changed.body);
    let body = &changed.body;
    assert_eq!(
        (&body["capacity"], &body["available"]),
        (&json!(8), &json!(8))
    );
    assert_eq!(body["title"], "MM");
    assert_eq!(body["sales_open_at"], "2020-01-01T00:00:00.000000Z");
    assert_eq!(
        (&body["sales_close_at"], &body["seq"]),
        (&json!(null), &json!(2))
    );
    let nothing = service.patch("/shows/m", json!({})).await;
    assert_eq!((nothing.status, nothing.body), (200, changed.body));
    service
        .patch("/shows/m", json!({"id": "n", "capacity": null}))
        .await
        .assert_invalid_fields(&["/capacity", "/id"]);
    service
        .patch("/shows/none", json!({"capacity": 1}))
        .await
        .assert_problem(404, "show_not_found");
}

#[tokio::test]
async fn capacity_never_falls_below_what_buyers_have() {
    let service = TestService::start().await;
    let order = json!({"show_id": SHOW, "user_id": 1, "quantity": 3});
    let id = service.placed(order).await;
    service.decided(&id).await;
    let path = format!("/shows/{SHOW}");
    let refused = service.patch(&path, json!({"capacity": 2})).await;
    refused.assert_problem(409, "capacity_in_use");
    let lowered = service.patch(&path, json!({"capacity": 3})).await;
    assert_eq!(
        (lowered.status, &lowered.body["available"]),
        (200, &json!(0))
    );
}

#[tokio::test]
async fn users_are_created_changed_and_read() {
    let service = TestService::start().await;
    let user = json!({"id": 77, "name": "Ada"});
    let created = service.post("/users", user.clone()).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.header("location"), "/users/77");
    assert_eq!(
        created.body,
        json!({"id": "77", "name": "Ada", "priority": "standard"})
    );
    service
        .post("/users", user)
        .await
        .assert_problem(409, "user_exists");
    let changed = service
        .patch("/users/77", json!({"priority": "high"}))
        .await;
    assert_eq!(
        changed.body,
        json!({"id": "77", "name": "Ada", "priority": "high"})
    );
    let mut read = service.get("/users/77").await.body;
    for author in ["created_by", "changed_by"] {
        read.as_object_mut().unwrap().remove(author).unwrap();
    }
    assert_eq!(read, changed.body);
    service
        .get("/users/78")
        .await
        .assert_problem(404, "user_not_found");
    service
        .patch("/users/78", json!({"name": "B"}))
        .await
        .assert_problem(404, "user_not_found");
    service
        .post("/users", json!({"id": "x", "name": "", "priority": "vip"}))
        .await
        .assert_invalid_fields(&["/name", "/priority"]);
}

#[tokio::test]
async fn shows_and_users_are_listed_in_pages() {
    let service = TestService::start().await;
    for id in ["b", "a", "c"] {
        service.create_user(id).await;
        service
            .create_show(json!({"id": id, "title": id, "capacity": 1}))
            .await;
    }
    for kind in ["users", "shows"] {
        let ids = |answer: &Answer| -> Vec<String> {
            let items = answer.body[kind].as_array().unwrap();
            items
                .iter()
                .map(|item| item["id"].as_str().unwrap().to_owned())
                .collect()
        };
        let first = service.get(&format!("/{kind}?limit=3")).await;
        assert_eq!(ids(&first)[1..], ["a", "b"]);
        let cursor = first.text("next_cursor");
        let last = service
            .get(&format!("/{kind}?limit=3&cursor={cursor}"))
            .await;
        assert_eq!(
            (ids(&last), &last.body["next_cursor"]),
            (vec!["c".to_owned()], &json!(null))
        );
    }
}

#[tokio::test]
async fn administration_needs_the_token() {
    let service = TestService::with(Role::All, &[("APP__ADMIN__TOKEN", TOKEN)]).await;
    let user = json!({"id": "2", "name": "Ada"});
    let attempts = [
        (Method::POST, "/users"),
        (Method::PATCH, "/users/1"),
        (Method::GET, "/users"),
        (Method::GET, "/users/1"),
        (Method::POST, "/shows"),
        (Method::PATCH, "/shows/230920"),
        (Method::GET, "/admin/audit"),
    ];
    for (method, path) in attempts {
        let request = service.request(method.clone(), path).json(&user);
        let answer = Answer::to(request).await;
        answer.assert_problem(401, "unauthorized");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
        let wrong = service
            .request(method, path)
            .json(&user)
            .bearer_auth("the wrong token");
        Answer::to(wrong).await.assert_problem(401, "unauthorized");
    }
    let request = service.request(Method::POST, "/users").json(&user);
    assert_eq!(Answer::to(request.bearer_auth(TOKEN)).await.status, 201);
    // Buyers need none.
    assert_eq!(service.get("/shows").await.status, 200);
    let order = service.order(json!({"show_id": SHOW, "user_id": 2})).await;
    assert_eq!(order.status, 202);
}

/// Nobody could ask for them: in a path they mean another path.
#[tokio::test]
async fn ids_that_no_path_can_have_are_refused() {
    let service = TestService::start().await;
    for id in [".", ".."] {
        let show = json!({"id": id, "title": "x", "capacity": 1});
        let answer = service.post("/shows", show).await;
        answer.assert_invalid_fields(&["/id"]);
        let user = json!({"id": id, "name": "x"});
        let answer = service.post("/users", user).await;
        answer.assert_invalid_fields(&["/id"]);
    }
}

#[tokio::test]
async fn an_erased_user_is_gone_and_the_tickets_stay() {
    let service = TestService::start().await;
    let user = json!({"id": "gone", "name": "Somebody"});
    assert_eq!(service.post("/users", user).await.status, 201);
    let order = json!({"show_id": SHOW, "user_id": "gone"});
    let id = service.placed(order.clone()).await;
    service.decided(&id).await;
    let erase = async || {
        let request = service.request(Method::DELETE, "/users/gone");
        Answer::to(request).await
    };
    let erased = erase().await;
    assert_eq!(erased.status, 200, "{:?}", erased.body);
    assert_eq!(erased.body, json!({"id": "gone", "anonymised_tickets": 1}));
    for path in ["/users/gone", "/tickets?user_id=gone"] {
        service
            .get(path)
            .await
            .assert_problem(404, "user_not_found");
    }
    erase().await.assert_problem(404, "user_not_found");
    let refused = service.order(order).await;
    refused.assert_problem(404, "user_not_found");
    let ticket = service.get(&format!("/tickets/{id}")).await;
    assert_eq!(ticket.text("status"), "confirmed");
    let alias = ticket.text("user_id");
    assert!(alias.starts_with("erased-"), "{alias}");
    // Nobody is created who looks like somebody who was erased.
    let imitator = service
        .post("/users", json!({"id": alias, "name": "x"}))
        .await;
    imitator.assert_invalid_fields(&["/id"]);
}

#[tokio::test]
async fn a_show_tells_operators_all_its_terms() {
    let service = TestService::start().await;
    let show = json!({"id": "club", "title": "Club", "capacity": 5, "hold_seconds": 60});
    service.create_show(show).await;
    service.create_user("2").await;
    let changed = service.patch("/shows/club", json!({"capacity": 7})).await;
    assert_eq!(changed.status, 200);
    let renamed = service.patch("/shows/club", json!({"title": "C"})).await;
    assert_eq!(renamed.status, 200);
    let by = match Backend::token() {
        Some(_) => "admin.token",
        None => "anybody",
    };
    let first = service.get("/shows/club/terms?limit=1").await;
    assert_eq!(first.status, 200, "{:?}", first.body);
    let mut terms = first.body["terms"][0].clone();
    let at = terms.as_object_mut().unwrap().remove("at").unwrap();
    assert!(at.as_str().unwrap().ends_with('Z'), "{at}");
    assert_eq!(
        terms,
        json!({"seq": 1, "by": by, "capacity": 5, "max_per_user": 10, "hold_seconds": 60,
            "sales_open_at": null, "sales_close_at": null})
    );
    let next = first.text("next_cursor");
    let rest = service
        .get(&format!("/shows/club/terms?cursor={next}"))
        .await;
    assert_eq!(rest.body["terms"].as_array().unwrap().len(), 1);
    assert_eq!(rest.body["terms"][0]["capacity"], 7);
    assert_eq!(rest.body["terms"][0]["by"], by);
    assert_eq!(rest.body["next_cursor"], json!(null));
    let unknown = service.get("/shows/none/terms").await;
    unknown.assert_problem(404, "show_not_found");

    let user = service.get("/users/2").await.body;
    assert_eq!(
        (&user["created_by"], &user["changed_by"]),
        (&json!(by), &json!(null))
    );
    let changed = service.patch("/users/2", json!({"name": "Two"})).await;
    assert_eq!(changed.status, 200);
    let user = service.get("/users/2").await.body;
    assert_eq!(user["changed_by"], by);
}
