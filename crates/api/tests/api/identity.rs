//! Who may: tokens and rights.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::application::Role;
use api::clock::SystemClock;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::time::Timestamp;
use http_api::{Needs, routes};
use reqwest::{Method, RequestBuilder};
use ring::hmac;
use serde_json::{Value, json};

use crate::backend::Backend;
use crate::helpers::{Answer, SHOW, TestService, USER, send};

const SECRET: &str = "a secret that issuer and service share";
pub(crate) const ADMIN: &str = "the administration's own token";
pub(crate) const HOUR: i64 = 3_600;

/// A service that asks for tokens.
pub(crate) async fn guarded(more: &[(&str, &str)]) -> TestService {
    let mut variables = vec![
        ("APP__AUTH__MODE", "jwt"),
        ("APP__AUTH__ISSUER", "https://issuer"),
        ("APP__AUTH__AUDIENCE", "tickets"),
        ("APP__AUTH__ALGORITHMS", "HS256"),
        ("APP__AUTH__HMAC_SECRET", SECRET),
        ("APP__ADMIN__TOKEN", ADMIN),
        ("APP__TICKETS__ID_SECRETS", "a secret that signs"),
    ];
    variables.extend(more);
    TestService::with(Role::All, &variables).await
}

pub(crate) fn seconds() -> i64 {
    let now: Timestamp = jiff::Timestamp::now().to_string().parse().unwrap();
    now.as_micros() / 1_000_000
}

pub(crate) fn claims(user: &str, roles: &str) -> Value {
    json!({"iss": "https://issuer", "aud": "tickets", "exp": seconds() + HOUR,
        "sub": user, "roles": roles})
}

pub(crate) fn signed(claims: &Value) -> String {
    signed_with(SECRET, claims)
}

fn signed_with(secret: &str, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let said = format!("{}.{}", part(&json!({"alg": "HS256"})), part(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = hmac::sign(&key, said.as_bytes());
    format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature))
}

pub(crate) fn buyer(user: &str) -> String {
    signed(&claims(user, ""))
}

/// The method's request with a token, or without one.
pub(crate) fn asking(
    service: &TestService,
    token: &str,
    method: Method,
    path: &str,
) -> RequestBuilder {
    let request = service.request(method, path);
    if token.is_empty() {
        return request;
    }
    request.bearer_auth(token)
}

pub(crate) async fn post(service: &TestService, token: &str, path: &str, body: Value) -> Answer {
    Answer::to(asking(service, token, Method::POST, path).json(&body)).await
}

pub(crate) async fn get(service: &TestService, token: &str, path: &str) -> Answer {
    Answer::to(asking(service, token, Method::GET, path)).await
}

/// The ticket of an order, once it is decided.
pub(crate) async fn decided(service: &TestService, token: &str, order: Value) -> String {
    let placed = post(service, token, "/tickets", order).await;
    assert_eq!(placed.status, 202, "{:?}", placed.body);
    let id = placed.text("ticket_id");
    loop {
        let read = get(service, token, &format!("/tickets/{id}")).await;
        if read.text("status") != "processing" {
            return id;
        }
    }
}

/// A path of each route, with ids in it of which none exists.
pub(crate) fn written(path: &str) -> String {
    let ticket = "/tickets/0199a2b4-7d3e-8001-8a5f-3c0d9e412b77";
    path.replace("/tickets/{id}", ticket).replace("{id}", "7")
}

/// One table, from the routes: what each kind of caller gets.
#[tokio::test]
async fn every_route_asks_for_what_it_needs() {
    let service = guarded(&[]).await;
    let callers = [
        ("nobody", String::new()),
        ("a forger", format!("{}x", buyer(USER))),
        ("a buyer", buyer(USER)),
        ("an agent", signed(&claims("shop", "agent"))),
        ("an operator", signed(&claims("boss", "operator"))),
        ("admin.token", ADMIN.to_owned()),
    ];
    let routes = routes();
    assert!(routes.len() > 15);
    for (who, token) in &callers {
        for route in &routes {
            let path = written(route.path);
            let answer = asking(&service, token, route.method.parse().unwrap(), &path);
            let answer = send(answer).await.unwrap();
            let status = answer.status().as_u16();
            let proves = !matches!(*who, "nobody" | "a forger");
            let administers = matches!(*who, "an operator" | "admin.token");
            let refused = match route.needs {
                Needs::Nothing => None,
                Needs::Caller | Needs::Listener => (!proves).then_some(401),
                Needs::Operator if !proves => Some(401),
                Needs::Operator => (!administers).then_some(403),
            };
            let what = format!("{who}: {} {path}", route.method);
            match refused {
                Some(refused) => assert_eq!(status, refused, "{what}"),
                // Rights over whom are the use case's: nobody's ticket is changed by an operator.
                None if status == 403 => assert!(
                    administers && route.needs == Needs::Caller && route.method == "POST",
                    "{what}"
                ),
                None => assert_ne!(status, 401, "{what}"),
            }
            if status == 401 {
                let challenge = &answer.headers()["www-authenticate"];
                assert!(challenge.to_str().unwrap().starts_with("Bearer "), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_buyer_acts_for_itself_alone() {
    let service = guarded(&[]).await;
    service.create_user_by(ADMIN, "2").await;
    let (one, two) = (buyer(USER), buyer("2"));
    let order = json!({"show_id": SHOW});
    let id = decided(&service, &one, order.clone()).await;
    let foreign = json!({"show_id": SHOW, "user_id": "2"});
    let refused = post(&service, &one, "/tickets", foreign).await;
    refused.assert_problem(403, "forbidden");
    for path in ["", "/events"] {
        let read = get(&service, &two, &format!("/tickets/{id}{path}")).await;
        read.assert_problem(404, "ticket_not_found");
    }
    for change in ["confirm", "cancel"] {
        let path = format!("/tickets/{id}/{change}");
        let refused = post(&service, &two, &path, Value::Null).await;
        refused.assert_problem(404, "ticket_not_found");
    }
    let own = get(&service, &one, "/tickets").await;
    assert_eq!(own.body["tickets"][0]["ticket_id"], json!(id));
    assert_eq!(
        get(&service, &two, "/tickets").await.body["tickets"],
        json!([])
    );
    let list = format!("/tickets?user_id={USER}");
    get(&service, &two, &list)
        .await
        .assert_problem(403, "forbidden");
    let operator = signed(&claims("boss", "operator"));
    for other in [signed(&claims("shop", "agent")), operator.clone()] {
        let listed = get(&service, &other, &list).await;
        assert_eq!(listed.body["tickets"].as_array().unwrap().len(), 1);
        let read = get(&service, &other, &format!("/tickets/{id}")).await;
        assert_eq!(read.status, 200);
    }
    let path = format!("/tickets/{id}/cancel");
    let refused = post(&service, &operator, &path, Value::Null).await;
    refused.assert_problem(404, "ticket_not_found");
    let refused = post(&service, ADMIN, &path, Value::Null).await;
    refused.assert_problem(403, "forbidden");
    let cancelled = post(&service, &one, &path, Value::Null).await;
    assert_eq!(cancelled.text("status"), "cancelled");
}

#[tokio::test]
async fn agents_order_for_everybody_and_say_for_whom() {
    let service = guarded(&[]).await;
    let agent = signed(&claims("shop", "agent other"));
    let unsaid = post(&service, &agent, "/tickets", json!({"show_id": SHOW})).await;
    unsaid.assert_invalid_fields(&["/user_id"]);
    let order = json!({"show_id": SHOW, "user_id": USER});
    decided(&service, &agent, order).await;
}

#[tokio::test]
async fn a_buyer_who_is_not_known_yet_is_created_if_that_is_configured() {
    let order = json!({"show_id": SHOW});
    let service = guarded(&[]).await;
    let refused = post(&service, &buyer("new"), "/tickets", order.clone()).await;
    refused.assert_problem(404, "user_not_found");
    let service = guarded(&[
        ("APP__AUTH__CREATE_USERS", "true"),
        ("APP__AUTH__PRIORITY_CLAIM", "class"),
    ])
    .await;
    let mut first = claims("new", "");
    first["class"] = json!("high");
    decided(&service, &signed(&first), order).await;
    let user = get(&service, ADMIN, "/users/new").await;
    assert_eq!(
        user.body,
        json!({"id": "new", "name": "new", "priority": "high", "created_by": null,
            "changed_by": null})
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_said() {
    let service = guarded(&[]).await;
    let changed = |field: &str, value: Value| {
        let mut claims = claims(USER, "");
        claims[field] = value;
        signed(&claims)
    };
    let long = changed("more", json!("x".repeat(9_000)));
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = format!(
        "{}.{}.",
        part(json!({"alg": "none"})),
        part(claims(USER, "operator"))
    );
    let wrong = [
        (changed("iss", json!("https://other")), "issuer"),
        (changed("aud", json!("other")), "audience"),
        (changed("exp", json!(seconds() - HOUR)), "expired"),
        (changed("nbf", json!(seconds() + HOUR)), "not valid yet"),
        (changed("sub", json!("a b")), "`sub`"),
        (changed("sub", json!("erased-ada")), "`sub`"),
        (changed("iss", json!(["https://issuer"])), "`iss`"),
        (changed("exp", Value::Null), "`exp`"),
        (long, "longer"),
        (unsigned, "token"),
        (format!("{}A", buyer(USER)), "token"),
        ("x.y.z".to_owned(), "token"),
    ];
    let mut said = BTreeSet::new();
    for (token, what) in wrong {
        let refused = get(&service, &token, "/tickets").await;
        refused.assert_problem(401, "unauthorized");
        let detail = refused.text("detail");
        assert!(detail.contains(what), "{what}: {detail}");
        said.insert(detail);
        let challenge = refused.header("www-authenticate");
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    }
    assert!(said.len() >= 7, "{said:?}");
    let twice = asking(&service, &buyer(USER), Method::GET, "/tickets").bearer_auth(buyer("2"));
    Answer::to(twice).await.assert_problem(401, "unauthorized");
    let basic = service
        .request(Method::GET, "/tickets")
        .basic_auth(USER, Some("x"));
    Answer::to(basic).await.assert_problem(401, "unauthorized");
}

/// Signed by the same secret: without this, the forgotten one would give rights to everybody.
#[tokio::test]
async fn a_ticket_of_a_process_that_asks_for_nothing_is_good_for_nothing() {
    let secret = ("APP__TICKETS__ID_SECRETS", "a secret that signs");
    let open = TestService::with(Role::All, &[secret]).await;
    let issued = open.post("/live-tickets", Value::Null).await;
    let service = guarded(&[]).await;
    let id = decided(&service, &buyer(USER), json!({"show_id": SHOW})).await;
    let stream = format!("/tickets/{id}/events?ticket={}", issued.text("ticket"));
    let refused = service.get(&stream).await;
    refused.assert_problem(404, "ticket_not_found");
}

/// A secret that only verifies ids may be known to somebody by now.
#[tokio::test]
async fn a_ticket_of_an_older_secret_is_not_taken() {
    let old = guarded(&[("APP__TICKETS__ID_SECRETS", "a secret of last year")]).await;
    let issued = post(&old, &buyer(USER), "/live-tickets", Value::Null).await;
    let both = (
        "APP__TICKETS__ID_SECRETS",
        "a secret that signs,a secret of last year",
    );
    let service = guarded(&[both]).await;
    let refused = service
        .get(&format!("/ws?ticket={}", issued.text("ticket")))
        .await;
    refused.assert_problem(401, "unauthorized");
}

/// Either may be the one that the issuer signs with, so the two sides need not change together.
#[tokio::test]
async fn tokens_of_the_old_secret_are_taken_while_it_is_named() {
    const OTHER: &str = "a secret that they shared last year";
    let tokens = [buyer(USER), signed_with(OTHER, &claims(USER, ""))];
    for (old, status) in [(OTHER, 200), ("", 401)] {
        let service = guarded(&[("APP__AUTH__OLD_HMAC_SECRET", old)]).await;
        assert_eq!(get(&service, &tokens[0], "/tickets").await.status, 200);
        let answer = get(&service, &tokens[1], "/tickets").await;
        assert_eq!(answer.status, status, "{:?}", answer.body);
    }
}

/// Its neighbours may have keys.
#[tokio::test]
async fn a_process_without_keys_is_not_ready() {
    // Port 1 answers nobody.
    let variables = [
        ("APP__AUTH__MODE", "jwt"),
        ("APP__AUTH__ISSUER", "https://issuer"),
        ("APP__AUTH__AUDIENCE", "tickets"),
        ("APP__AUTH__ALGORITHMS", "EdDSA"),
        ("APP__AUTH__JWKS_URL", "http://127.0.0.1:1/jwks.json"),
        ("APP__ADMIN__TOKEN", ADMIN),
        ("APP__TICKETS__ID_SECRETS", "a secret that signs"),
    ];
    let backend = Backend::start().await;
    let clock = Arc::new(SystemClock);
    let service = TestService::by_clock(clock, &backend, Role::All, &variables).await;
    let readiness = service.get("/health/ready").await;
    assert_eq!(readiness.status, 503);
    assert!(
        readiness.body.to_string().contains("auth.jwks_url"),
        "{}",
        readiness.body
    );
    let refused = get(&service, &buyer(USER), "/tickets").await;
    refused.assert_problem(401, "unauthorized");
}

/// Neither the buyer's limit nor anybody's seat is used up by somebody who may not order.
#[tokio::test]
async fn who_may_not_order_uses_up_nobodys_limit() {
    let service = guarded(&[("APP__LIMITS__ORDERS_PER_USER", "1/h")]).await;
    let order = json!({"show_id": SHOW, "user_id": USER});
    for _ in 0..3 {
        let refused = post(&service, ADMIN, "/tickets", order.clone()).await;
        refused.assert_problem(403, "forbidden");
    }
    assert_eq!(
        post(&service, &buyer(USER), "/tickets", order.clone())
            .await
            .status,
        202
    );
    let again = post(&service, &buyer(USER), "/tickets", order).await;
    again.assert_problem(429, "rate_limited");
}

/// Operators see it, also when the author is gone; nobody else does.
#[tokio::test]
async fn an_operator_is_the_author_of_its_changes_until_it_is_erased() {
    let service = guarded(&[]).await;
    let boss = signed(&claims("boss", "operator"));
    let show = json!({"id": "club", "title": "Club", "capacity": 5});
    assert_eq!(post(&service, &boss, "/shows", show).await.status, 201);
    let path = "/shows/club/terms";
    let terms = get(&service, &boss, path).await;
    assert_eq!(terms.body["terms"][0]["by"], "user:boss");
    for token in [buyer(USER), signed(&claims("shop", "agent"))] {
        get(&service, &token, path)
            .await
            .assert_problem(403, "forbidden");
        let show = get(&service, &token, "/shows/club").await;
        assert!(!show.body.to_string().contains("boss"), "{}", show.body);
    }
    let erased = Answer::to(asking(&service, ADMIN, Method::DELETE, "/users/boss")).await;
    assert_eq!(erased.status, 200, "{:?}", erased.body);
    let terms = get(&service, ADMIN, path).await;
    let by = terms.body["terms"][0]["by"].as_str().unwrap();
    assert!(by.starts_with("user:erased-"), "{by}");
}

/// The limit is asked before the body is read.
#[tokio::test]
async fn a_buyers_order_that_cannot_be_read_counts() {
    let service = guarded(&[("APP__LIMITS__ORDERS_PER_USER", "1/h")]).await;
    let unreadable = post(&service, &buyer(USER), "/tickets", json!({})).await;
    assert_eq!(unreadable.status, 422, "{:?}", unreadable.body);
    let order = json!({"show_id": SHOW});
    let refused = post(&service, &buyer(USER), "/tickets", order).await;
    refused.assert_problem(429, "rate_limited");
}
