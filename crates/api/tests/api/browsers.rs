//! What pages of other sites may ask, and by which name.

use api::application::Role;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::json;

use crate::helpers::{Answer, SHOW, TestService};
use crate::identity::guarded;

const SHOP: &str = "https://shop.example";
const EVIL: &str = "https://evil.example";

async fn open_to_a_shop() -> TestService {
    let variables = [("APP__CORS__ALLOWED_ORIGINS", SHOP)];
    TestService::with(Role::All, &variables).await
}

async fn ask(service: &TestService, method: Method, path: &str, origin: &str) -> Answer {
    Answer::to(service.request(method, path).header("Origin", origin)).await
}

fn cors(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let headers = headers.iter();
    let of_cors = headers.filter(|(name, _)| name.as_str().starts_with("access-control-"));
    let mut told: Vec<_> = of_cors
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    told.sort_unstable();
    told
}

#[tokio::test]
async fn a_browser_is_told_what_a_page_of_an_allowed_site_may_send() {
    let service = open_to_a_shop().await;
    let preflight = |origin: &str| {
        let request = service.request(Method::OPTIONS, "/tickets");
        Answer::to(
            request
                .header("Origin", origin)
                .header("Access-Control-Request-Method", "POST"),
        )
    };
    let answer = preflight(SHOP).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("allow"), "GET, HEAD, POST");
    assert_eq!(
        cors(&answer.headers),
        [
            (
                "access-control-allow-headers",
                "authorization, content-type, idempotency-key, last-event-id, traceparent, x-request-id"
            ),
            ("access-control-allow-methods", "GET, HEAD, POST"),
            ("access-control-allow-origin", SHOP),
            ("access-control-max-age", "600"),
        ]
    );
    assert_eq!(answer.header("vary"), "origin");
    let answer = preflight(EVIL).await;
    assert_eq!((answer.status, cors(&answer.headers)), (204, Vec::new()));
    // Administration is asked for no token by a browser that only asks whether it may.
    let answer = Answer::to(service.request(Method::OPTIONS, "/admin/audit")).await;
    assert_eq!((answer.status, answer.header("allow")), (204, "GET, HEAD"));
}

/// A browser that only asks whether it may sends no token, and orders nothing.
#[tokio::test]
async fn a_preflight_needs_no_token_and_takes_none_of_an_addresses_orders() {
    let service = guarded(&[
        ("APP__CORS__ALLOWED_ORIGINS", SHOP),
        ("APP__LIMITS__ORDERS_PER_ADDRESS", "1/h"),
    ])
    .await;
    for _ in 0..3 {
        let preflight = service.request(Method::OPTIONS, "/tickets");
        let preflight = preflight.header("Origin", SHOP);
        let asked = preflight.header("Access-Control-Request-Method", "POST");
        assert_eq!(Answer::to(asked).await.status, 204);
    }
    // Both refusals can be read by the page.
    for (status, code) in [(401, "unauthorized"), (429, "rate_limited")] {
        let refused = ask(&service, Method::POST, "/tickets", SHOP).await;
        refused.assert_problem(status, code);
        assert_eq!(refused.header("access-control-allow-origin"), SHOP);
    }
}

#[tokio::test]
async fn answers_and_problems_can_be_read_by_pages_of_allowed_sites_only() {
    let service = open_to_a_shop().await;
    for (path, status) in [
        (format!("/shows/{SHOW}"), 200),
        ("/shows/none".to_owned(), 404),
    ] {
        let answer = ask(&service, Method::GET, &path, SHOP).await;
        assert_eq!(answer.status, status);
        assert_eq!(
            cors(&answer.headers),
            [
                ("access-control-allow-origin", SHOP),
                (
                    "access-control-expose-headers",
                    "location, retry-after, ratelimit, ratelimit-policy, traceparent, www-authenticate, x-request-id"
                ),
            ]
        );
        let answer = ask(&service, Method::GET, &path, EVIL).await;
        assert_eq!((answer.status, cors(&answer.headers)), (status, Vec::new()));
        assert_eq!(answer.header("vary"), "origin");
    }
}

/// Without CORS, too: a request that needs no leave would be sent, and change something.
#[tokio::test]
async fn a_page_of_another_site_changes_nothing_and_opens_no_websocket() {
    for service in [TestService::start().await, open_to_a_shop().await] {
        let id = service.placed(json!({"show_id": SHOW, "user_id": 1})).await;
        service.decided(&id).await;
        let cancel = format!("/tickets/{id}/cancel");
        for (method, path) in [
            (Method::POST, &*cancel),
            (Method::POST, "/%74ickets"),
            (Method::DELETE, "/users/1"),
            (Method::GET, "/ws"),
            (Method::GET, "/%77s"),
        ] {
            for origin in [EVIL, "null"] {
                let answer = ask(&service, method.clone(), path, origin).await;
                answer.assert_problem(403, "origin_not_allowed");
            }
        }
        // Its own pages, and clients that are no browsers.
        let own = service.url.clone();
        let answer = ask(&service, Method::GET, "/ws", &own).await;
        answer.assert_problem(426, "not_a_websocket");
        let answer = ask(&service, Method::POST, &cancel, &own).await;
        assert_eq!(answer.status, 200);
        assert_eq!(service.post(&cancel, json!({})).await.status, 200);
    }
    let service = open_to_a_shop().await;
    let answer = ask(&service, Method::GET, "/ws", SHOP).await;
    answer.assert_problem(426, "not_a_websocket");
}

/// A name of another site may lead to this machine (DNS rebinding); then its page is of the
/// same origin.
#[tokio::test]
async fn an_open_service_answers_to_addresses_and_names_that_it_knows() {
    let named = |service: &TestService, host: &str| {
        Answer::to(service.request(Method::GET, "/shows").header("Host", host))
    };
    let service = TestService::start().await;
    for host in [
        "localhost",
        "LOCALHOST:3001",
        "127.0.0.1:1",
        "[::1]:1",
        "10.0.0.7",
        "x:80",
    ] {
        assert_eq!(named(&service, host).await.status, 200, "{host}");
    }
    for host in [
        "evil.example:3001",
        "localhost.evil.example",
        "x.evil.example",
    ] {
        named(&service, host)
            .await
            .assert_problem(421, "host_not_allowed");
    }
    let probe = service
        .request(Method::GET, "/health/ready")
        .header("Host", "pod.cluster");
    assert_eq!(Answer::to(probe).await.status, 200);
    // With a token a page has nothing to send.
    let guarded = [
        ("APP__ADMIN__TOKEN", "0123456789abcdef"),
        ("APP__SERVER__ALLOWED_HOSTS", ""),
    ];
    let service = TestService::with(Role::All, &guarded).await;
    assert_eq!(named(&service, "tickets.example").await.status, 200);
    // The same route, the same rights.
    for path in [
        "/admin/audit",
        "/%61dmin/audit",
        "/admin/%61udit",
        "/%61dmin%2faudit",
    ] {
        let answer = service.get(path).await;
        assert!(
            [401, 404].contains(&answer.status),
            "{path}: {}",
            answer.status
        );
    }
    let asked = service.request(Method::GET, "/%61dmin/audit");
    let answer = Answer::to(asked.bearer_auth("0123456789abcdef")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn every_answer_says_that_it_is_no_page() {
    let service = TestService::start().await;
    for path in ["/health", "/shows", "/none", "/tickets/none"] {
        let answer = service.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        let policy = "default-src 'none'; frame-ancestors 'none'";
        assert_eq!(answer.header("content-security-policy"), policy);
        assert!(!answer.headers.contains_key("vary"));
    }
}
