//! Values that would be something else to a database, a page or a template.

use api::application::Role;
use reqwest::Method;
use serde_json::json;

use crate::helpers::{Answer, SHOW, TestService};
use crate::identity::ADMIN;

const HOSTILE: [&str; 9] = [
    "'; DROP TABLE tickets; --",
    "\" OR \"\"=\"",
    "x' UNION SELECT * FROM users -- ",
    "\\'; SELECT SLEEP(9); #",
    "%_\\%\\_",
    "<script>alert(1)</script>",
    "${jndi:ldap://127.0.0.1:1/x} {{7*7}} $(id)",
    "=cmd|' /C calc'!A0",
    "\u{1f600} \u{202e}\u{feff}\u{fffd}",
];

#[tokio::test]
async fn a_hostile_value_is_kept_as_it_is_or_refused() {
    let service = TestService::with(Role::All, &[("APP__ADMIN__TOKEN", ADMIN)]).await;
    let ask = |method: Method, path: String| service.request(method, &path).bearer_auth(ADMIN);
    for (number, text) in HOSTILE.into_iter().enumerate() {
        let user = json!({"id": format!("u{number}"), "name": text});
        let created = ask(Method::POST, "/users".to_owned()).json(&user);
        assert_eq!(Answer::to(created).await.status, 201, "{text}");
        let read = ask(Method::GET, format!("/users/u{number}"));
        assert_eq!(Answer::to(read).await.text("name"), text);
        let show = json!({"id": format!("s{number}"), "title": text, "capacity": 1});
        let created = ask(Method::POST, "/shows".to_owned()).json(&show);
        assert_eq!(Answer::to(created).await.status, 201, "{text}");
        let read = service.found(&format!("/shows/s{number}")).await;
        assert_eq!(read.text("title"), text);
        // Where an id is asked for, none of it is one.
        for path in ["/users", "/shows"] {
            let named = json!({"id": text, "name": "x"});
            let refused = Answer::to(ask(Method::POST, path.to_owned()).json(&named)).await;
            refused.assert_problem(422, "invalid_fields");
        }
        let order = json!({"show_id": text, "user_id": text});
        let refused = service.order(order).await;
        refused.assert_invalid_fields(&["/show_id", "/user_id"]);
        for path in ["/shows", "/users", "/tickets"] {
            for parameter in ["cursor", "user_id", "limit"] {
                let value: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
                let request = ask(Method::GET, format!("{path}?{parameter}={value}"));
                let refused = Answer::to(request).await;
                refused.assert_problem(400, "invalid_parameter");
            }
        }
    }
    let id = service.placed(json!({"show_id": SHOW, "user_id": 1})).await;
    assert_eq!(service.decided(&id).await["status"], "confirmed");
}
