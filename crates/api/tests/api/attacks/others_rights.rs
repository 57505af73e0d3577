//! Who asks in somebody else's name, or for more than he may.

use http_api::{Needs, routes};
use reqwest::Method;
use serde_json::{Value, json};

use crate::helpers::{Answer, SHOW, TestService, USER};
use crate::identity::{ADMIN, asking, buyer, claims, decided, get, guarded, post, signed};

/// A route is added here by hand: one that forgets to ask for a token is not.
#[test]
fn no_route_is_open_but_these() {
    let of = |needs: Needs| -> Vec<_> {
        let routes = routes().into_iter().filter(|route| route.needs == needs);
        let mut named: Vec<_> = routes
            .filter(|route| route.method != "HEAD")
            .map(|route| format!("{} {}", route.method, route.path))
            .collect();
        named.sort_unstable();
        named
    };
    assert_eq!(
        of(Needs::Nothing),
        [
            "GET /docs",
            "GET /docs/{file}",
            "GET /health",
            "GET /health/live",
            "GET /health/ready",
            "GET /health/startup",
            "GET /openapi.json",
            "GET /shows",
            "GET /shows/{id}",
        ]
    );
    assert_eq!(of(Needs::Listener), ["GET /tickets/{id}/events", "GET /ws"]);
    assert_eq!(
        of(Needs::Caller),
        [
            "GET /tickets",
            "GET /tickets/{id}",
            "POST /live-tickets",
            "POST /tickets",
            "POST /tickets/{id}/cancel",
            "POST /tickets/{id}/confirm",
        ]
    );
}

async fn tickets_of(service: &TestService, user: &str) -> usize {
    let listed = get(service, &buyer(user), "/tickets").await;
    listed.body["tickets"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_foreign_user_id_is_refused_wherever_it_stands() {
    let service = guarded(&[]).await;
    service.create_user_by(ADMIN, "2").await;
    let (thief, victim) = (buyer(USER), buyer("2"));
    let id = decided(&service, &victim, json!({"show_id": SHOW})).await;
    let order = |body: &str, path: &str| {
        let request = asking(&service, &thief, Method::POST, path);
        let request = request.header("Content-Type", "application/json");
        Answer::to(request.body(body.to_owned()))
    };
    for (body, status) in [
        (r#"{"show_id":"230920","user_id":"2"}"#, 403),
        (r#"{"show_id":"230920","user_id":2}"#, 403),
        (r#"{"show_id":"230920","user_id":"1","user_id":"2"}"#, 422),
        (r#"{"show_id":"230920","user_id":"2","user_id":"1"}"#, 422),
        (r#"{"show_id":"230920","\u0075ser_id":"2"}"#, 403),
        (r#"{"show_id":"230920","User_Id":"2"}"#, 422),
        (r#"{"show_id":"230920","user_id":["1","2"]}"#, 422),
        (r#"{"show_id":"230920","user_id":"2\u0000"}"#, 422),
    ] {
        assert_eq!(order(body, "/tickets").await.status, status, "{body}");
    }
    for (query, status) in [
        ("user_id=2", 403),
        ("user_id=%32", 403),
        ("user%5fid=2", 403),
        ("user_id=1&user_id=2", 400),
        ("user_id=2&user_id=1", 400),
        ("user_id[]=2", 400),
        ("User_Id=2", 400),
    ] {
        let listed = get(&service, &thief, &format!("/tickets?{query}")).await;
        assert_eq!(listed.status, status, "{query}: {:?}", listed.body);
    }
    for (method, path) in [
        (Method::GET, "/users/2".to_owned()),
        (Method::PATCH, "/users/2".to_owned()),
        (Method::DELETE, "/users/2".to_owned()),
        (Method::GET, format!("/shows/{SHOW}/tickets")),
    ] {
        let change = json!({"name": "x", "priority": "high"});
        let refused = Answer::to(asking(&service, &thief, method, &path).json(&change)).await;
        refused.assert_problem(403, "forbidden");
    }
    for (method, rest) in [
        (Method::GET, ""),
        (Method::GET, "/events"),
        (Method::GET, "/events?user_id=2"),
        (Method::POST, "/confirm"),
        (Method::POST, "/cancel"),
    ] {
        let path = format!("/tickets/{id}{rest}");
        let refused = Answer::to(asking(&service, &thief, method, &path)).await;
        assert!([400, 404].contains(&refused.status), "{path}: {refused:?}");
    }
    assert_eq!(tickets_of(&service, USER).await, 0);
    assert_eq!(tickets_of(&service, "2").await, 1);
}

/// What some proxies and frameworks believe.
#[tokio::test]
async fn no_header_gives_another_name_or_more_rights() {
    let service = guarded(&[]).await;
    service.create_user_by(ADMIN, "2").await;
    for (name, value) in [
        ("X-User-Id", "2"),
        ("X-Forwarded-User", "2"),
        ("Remote-User", "2"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Real-Ip", "127.0.0.1"),
        ("X-Original-Url", "/shows"),
        ("X-Rewrite-Url", "/shows"),
        ("X-Http-Method-Override", "GET"),
        ("X-Roles", "operator"),
    ] {
        let with = |token: &str, method: Method, path: &str| {
            Answer::to(asking(&service, token, method, path).header(name, value))
        };
        let mine = with(&buyer(USER), Method::GET, "/tickets").await;
        assert_eq!(mine.body["tickets"], json!([]), "{name}");
        let refused = with("", Method::GET, "/tickets").await;
        refused.assert_problem(401, "unauthorized");
        for (method, path) in [(Method::GET, "/admin/audit"), (Method::DELETE, "/users/2")] {
            let refused = with(&buyer(USER), method, path).await;
            refused.assert_problem(403, "forbidden");
        }
        let order = asking(&service, &buyer(USER), Method::POST, "/tickets").header(name, value);
        let placed = Answer::to(order.json(&json!({"show_id": SHOW, "user_id": "2"}))).await;
        placed.assert_problem(403, "forbidden");
    }
    assert_eq!(tickets_of(&service, "2").await, 0);
}

/// A token of an operator orders for nobody, and one of an agent administers nothing.
#[tokio::test]
async fn a_role_gives_its_own_rights_only() {
    let service = guarded(&[]).await;
    let of = |roles: &str| signed(&claims("boss", roles));
    let order = json!({"show_id": SHOW, "user_id": USER});
    let refused = post(&service, &of("operator"), "/tickets", order.clone()).await;
    refused.assert_problem(403, "forbidden");
    for roles in [
        "agent",
        "Operator",
        "operators",
        "operator,agent",
        "admin",
        "",
    ] {
        let refused = get(&service, &of(roles), "/admin/audit").await;
        refused.assert_problem(403, "forbidden");
    }
    for roles in ["Agent", "agents", "buyer", ""] {
        let refused = post(&service, &of(roles), "/tickets", order.clone()).await;
        refused.assert_problem(403, "forbidden");
    }
    let listed = get(&service, &buyer(USER), "/tickets").await;
    assert_eq!(listed.body["tickets"], Value::Array(Vec::new()));
}
