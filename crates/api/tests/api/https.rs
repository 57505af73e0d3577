//! HTTPS itself; `api_over_tls` has what it has in common with plain HTTP.

use api::application::Role;
use api::clock::SystemClock;
use rustls::version::{TLS12, TLS13};
use rustls::{DEFAULT_VERSIONS, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::backend::Backend;
use crate::helpers::{TestService, send};
use crate::live::{until, within};
use crate::raw::Connection;
use crate::tls::{TestCertificate, connect};

const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

async fn serving(certificate: &TestCertificate, mode: &str, more: &[(&str, &str)]) -> TestService {
    let variables = certificate.variables(mode);
    let variables = variables.iter().map(|(name, value)| (&**name, &**value));
    let variables: Vec<_> = variables.chain(more.iter().copied()).collect();
    TestService::with(Role::All, &variables).await
}

async fn open(
    certificate: &TestCertificate,
    service: &TestService,
    versions: &[&'static SupportedProtocolVersion],
) -> TlsStream<TcpStream> {
    let client = certificate.client(versions, b"http/1.1");
    let opened = within("the handshake", connect(&client, service.https.unwrap())).await;
    opened.unwrap()
}

/// Asks once; the connection stays open.
async fn ask_over(stream: &mut TlsStream<TcpStream>, request: &[u8]) -> String {
    stream.write_all(request).await.unwrap();
    stream.flush().await.unwrap();
    let mut heard = String::new();
    loop {
        if let Some((head, body)) = heard.split_once("\r\n\r\n") {
            let mut lines = head.lines();
            let length = lines.find_map(|line| line.strip_prefix("content-length: "));
            if length.and_then(|length| length.parse().ok()) == Some(body.len()) {
                return heard;
            }
        }
        let mut some = [0; 1_024];
        let read = within("an answer", stream.read(&mut some)).await.unwrap();
        assert_ne!(read, 0, "closed after {heard:?}");
        heard.push_str(std::str::from_utf8(&some[..read]).unwrap());
    }
}

#[tokio::test]
async fn both_versions_are_served_beside_plain_http() {
    let certificate = TestCertificate::new();
    let service = serving(&certificate, "on", &[]).await;
    for version in [&TLS12, &TLS13] {
        let mut stream = open(&certificate, &service, &[version]).await;
        let agreed = stream.get_ref().1.protocol_version();
        assert_eq!(agreed, Some(version.version));
        assert!(
            ask_over(&mut stream, HEALTH)
                .await
                .starts_with("HTTP/1.1 200")
        );
    }
    assert_eq!(service.get("/health").await.status, 200);
}

/// Nothing at all, half of a handshake, a byte now and then, and plain HTTP.
#[tokio::test]
async fn a_handshake_that_does_not_come_to_its_end_is_given_up() {
    let certificate = TestCertificate::new();
    let limit = [("APP__SERVER__REQUEST_TIMEOUT_MS", "300")];
    let service = serving(&certificate, "on", &limit).await;
    let half = [22, 3, 1, 2, 0, 1, 0, 1, 0xfc];
    for (beginning, drop) in [
        (&b""[..], &b""[..]),
        (&half, b""),
        (&half, b"a"),
        (HEALTH, b""),
    ] {
        let mut client = TcpStream::connect(service.https.unwrap()).await.unwrap();
        client.write_all(beginning).await.unwrap();
        let (mut reader, mut writer) = client.split();
        let mut heard = Vec::new();
        let dropping = async {
            while writer.write_all(drop).await.is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            std::future::pending::<()>().await;
        };
        let ended = within("the end", async {
            tokio::select! {
                ended = reader.read_to_end(&mut heard) => ended,
                () = dropping => Ok(0),
            }
        });
        // What was sent and not read turns the end into a reset.
        let _reset = ended.await;
        assert!(
            !String::from_utf8_lossy(&heard).contains("HTTP"),
            "{heard:?}"
        );
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_old_ones_stay() {
    let mut certificate = TestCertificate::new();
    let service = serving(&certificate, "on", &[]).await;
    let mut old = open(&certificate, &service, DEFAULT_VERSIONS).await;
    ask_over(&mut old, HEALTH).await;
    certificate.renew();
    let client = certificate.client(DEFAULT_VERSIONS, b"http/1.1");
    until("the new certificate", async || {
        connect(&client, service.https.unwrap()).await.is_ok()
    })
    .await;
    let answer = ask_over(&mut old, HEALTH).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_pair_that_does_not_fit_is_not_used() {
    let certificate = TestCertificate::new();
    let service = serving(&certificate, "on", &[]).await;
    let other = TestCertificate::new();
    std::fs::copy(other.file("certificate"), certificate.file("certificate")).unwrap();
    // By then the files were looked at more than twice.
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    let mut stream = open(&certificate, &service, DEFAULT_VERSIONS).await;
    assert!(
        ask_over(&mut stream, HEALTH)
            .await
            .starts_with("HTTP/1.1 200")
    );
    // Once its key is there, it is.
    std::fs::copy(other.file("key"), certificate.file("key")).unwrap();
    let client = other.client(DEFAULT_VERSIONS, b"http/1.1");
    until("the new certificate", async || {
        connect(&client, service.https.unwrap()).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_https_is_required_plain_http_leads_there_or_refuses() {
    let certificate = TestCertificate::new();
    let variables = certificate.variables("required");
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let clock = std::sync::Arc::new(SystemClock);
    let backend = Backend::start().await;
    let service = TestService::by_clock(clock, &backend, Role::All, &variables).await;
    let ask = |request: &str| {
        let mut connection = Connection::open(&service.url);
        connection.send(request);
        connection.receive()
    };
    let port = service.https.unwrap().port();
    let (head, _) = ask("GET /tickets?user_id=1 HTTP/1.1\r\nHost: x:1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 308"), "{head}");
    let location = format!("location: https://x:{port}/tickets?user_id=1\r\n");
    assert!(head.contains(&location), "{head}");
    for refused in [
        "POST /tickets HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
        "GET /admin/audit HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n\r\n",
        "GET /tickets/7/events?ticket=secret HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
        "GET /%77s HTTP/1.1\r\nHost: x\r\n\r\n",
        "OPTIONS /tickets HTTP/1.1\r\nHost: x\r\nOrigin: https://x\r\n\
         Access-Control-Request-Method: POST\r\n\r\n",
        "TRACE /shows HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let (head, body) = ask(refused);
        assert!(
            head.starts_with("HTTP/1.1 403") || head.starts_with("HTTP/1.0 403"),
            "{head}"
        );
        assert!(body.contains("\"code\":\"https_required\""), "{body}");
    }
    let (head, _) = ask("HEAD /shows HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 308"), "{head}");
    // Probes ask by address.
    let (head, _) = ask("GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(!head.contains("strict-transport-security"), "{head}");
    let mut stream = open(&certificate, &service, DEFAULT_VERSIONS).await;
    let head = ask_over(&mut stream, b"GET /shows HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(
        head.contains("strict-transport-security: max-age=31536000\r\n"),
        "{head}"
    );
}

#[tokio::test]
async fn over_https_pages_of_plain_http_are_of_another_site() {
    let certificate = TestCertificate::new();
    let service = serving(&certificate, "on", &[]).await;
    for (host, origins, status) in [
        ("x", "Origin: https://x", 426),
        ("x:443", "Origin: https://x", 426),
        ("x:1", "Origin: https://x:1", 426),
        ("x", "Origin: http://x", 403),
        ("x:443", "Origin: https://x:1", 403),
        (
            "x",
            "Origin: https://x\r\nOrigin: https://evil.example",
            403,
        ),
    ] {
        let mut stream = open(&certificate, &service, DEFAULT_VERSIONS).await;
        let request = format!("GET /ws HTTP/1.1\r\nHost: {host}\r\n{origins}\r\n\r\n");
        let head = ask_over(&mut stream, request.as_bytes()).await;
        let expected = format!("HTTP/1.1 {status}");
        assert!(head.starts_with(&expected), "{host}, {origins}: {head}");
    }
    // A proxy may have taken HTTPS away, which the service cannot see.
    for origin in ["https://x", "http://x"] {
        let asked = service.request(reqwest::Method::GET, "/ws");
        let asked = asked.header("Host", "x").header("Origin", origin);
        assert_eq!(send(asked).await.unwrap().status(), 426, "{origin}");
    }
}

#[tokio::test]
async fn a_client_of_https_has_to_ask_by_one_name_of_the_service() {
    let certificate = TestCertificate::new();
    let service = serving(&certificate, "on", &[]).await;
    for (request, status) in [
        ("HTTP/1.1\r\nHost: x:1", 200),
        ("HTTP/1.1\r\nHost: evil@x", 421),
        ("HTTP/1.1\r\nHost: x:abc", 421),
        ("HTTP/1.0", 421),
    ] {
        let mut stream = open(&certificate, &service, DEFAULT_VERSIONS).await;
        let asked = format!("GET /shows {request}\r\n\r\n");
        let head = ask_over(&mut stream, asked.as_bytes()).await;
        let answered = head.split(' ').nth(1).unwrap();
        assert_eq!(answered, status.to_string(), "{request}: {head}");
    }
}
