//! Paths that are written otherwise: whatever they lead to, it is not more than the caller may.

use http_api::{Needs, routes};

use crate::helpers::{SHOW, USER};
use crate::identity::{ADMIN, buyer, guarded, written};
use crate::raw::Connection;

fn percent(path: &str, is_encoded: impl Fn(u8) -> bool) -> String {
    let bytes = path.bytes().map(|byte| match byte {
        _ if is_encoded(byte) => format!("%{byte:02x}"),
        _ => char::from(byte).to_string(),
    });
    bytes.collect()
}

fn spellings(path: &str) -> Vec<String> {
    let rest = &path[1..];
    let all = percent(path, |byte| byte != b'/');
    vec![
        path.to_owned(),
        all.clone(),
        all.to_uppercase(),
        all.replace('%', "%25"),
        percent(path, |byte| byte == b'/'),
        format!("/{}", percent(rest, |byte| byte == b'/')),
        format!("/%2f{rest}"),
        format!("/{path}"),
        format!("//{path}"),
        path.replace('/', "//"),
        format!("{path}/"),
        format!("{path}//"),
        format!("{path}/."),
        format!("/.{path}"),
        format!("/%2e{path}"),
        format!("/health/..{path}"),
        format!("/health/live/../..{path}"),
        format!("/shows/%2e%2e{path}"),
        format!("/shows/..%2f{rest}"),
        format!("{path};a=b"),
        format!("{path}%3bhealth"),
        format!("{path}?"),
        format!("{path}?/health"),
        format!("{path}%3f"),
        format!("{path}%23"),
        format!("{path}#/health"),
        format!("{path}%00"),
        format!("{path}%20"),
        format!("{path}%0d%0aX:%20y"),
        format!("{path}.json"),
        path.to_uppercase(),
        format!("/{}{}", rest[..1].to_uppercase(), &rest[1..]),
        path.replace('/', "\\"),
        format!(
            "/{}",
            percent(rest, |byte| byte == b'a').replace("%61", "%c1%a1")
        ),
        format!("/\u{ff0f}{rest}"),
        format!("http://x{path}"),
        format!("http://x/health/..{path}"),
        format!("http://evil.example{path}"),
        format!("x{path}"),
        rest.to_owned(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_path_gives_more_rights() {
    let service = guarded(&[]).await;
    let ask = |token: &str, method: &str, target: &str| {
        let mut connection = Connection::open(&service.url);
        let authorization = match token {
            "" => String::new(),
            token => format!("Authorization: Bearer {token}\r\n"),
        };
        connection.send(&format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\n{authorization}\
             Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
        ));
        let (head, _) = connection.receive();
        head["HTTP/1.1 ".len()..][..3].parse::<u16>().unwrap()
    };
    let buyer = buyer(USER);
    let routes = routes()
        .into_iter()
        .filter(|route| route.method != "HEAD" && route.needs != Needs::Nothing);
    for route in routes {
        // Of what is there: who gets past the guard gets something.
        let path = written(route.path).replace("/users/7", "/users/1");
        let path = path.replace("/shows/7", &format!("/shows/{SHOW}"));
        for target in spellings(&path) {
            for (who, token) in [("nobody", ""), ("a buyer", &buyer)] {
                if who == "a buyer" && route.needs != Needs::Operator {
                    continue;
                }
                let status = ask(token, route.method, &target);
                let is_refused = [400, 401, 403, 404, 405, 421].contains(&status);
                assert!(is_refused, "{who}: {} {target}: {status}", route.method);
            }
        }
    }
    // What is asked for otherwise is the same route, so that the above is about routes at all.
    for target in ["/%61dmin/%61udit", "http://x/admin/audit", "/admin/audit?"] {
        let status = ask(ADMIN, "GET", target);
        assert!([200, 400].contains(&status), "{target}: {status}");
    }
    assert_eq!(ask(ADMIN, "GET", "/%61dmin/%61udit"), 200);
}
