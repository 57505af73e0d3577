//! Requests over HTTP/2 whose clients give up.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics is a test that fails"
)]

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::ports::{Dependency, DependencyDown};
use futures_util::FutureExt;
use h2::Reason;
use h2::client::{ResponseFuture, SendRequest};
use http_api::{
    CertificateFiles, Certificates, ClientLimitSettings, ClientLimits, ConnectionLimits, Health,
    Https, ProcessState, Serving, WebPolicy, serve,
};
use hyper::Request;
use hyper::body::Bytes;
use limits::TrustedProxies;
use port_contracts::DEADLINE;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, DEFAULT_VERSIONS, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

/// Answers never, so that readiness waits until its time is over.
struct Silent;

#[async_trait]
impl Dependency for Silent {
    fn name(&self) -> &'static str {
        "silent"
    }

    async fn check(&self) -> Result<(), DependencyDown> {
        pending().await
    }
}

/// A process whose readiness takes two seconds, and how to reach it.
async fn served() -> (Arc<ProcessState>, SocketAddr, TlsConnector) {
    const LONG: Duration = Duration::from_secs(600);
    let names = ["localhost".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let files = CertificateFiles {
        certificate: directory.path().join("certificate.pem"),
        key: directory.path().join("key.pem"),
    };
    std::fs::write(&files.certificate, cert.pem()).unwrap();
    std::fs::write(&files.key, signing_key.serialize_pem()).unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let https = Https {
        address: any,
        http2: true,
        certificates: Arc::new(Certificates::load(files).unwrap()),
    };
    let serving = Serving {
        peer_timeout: LONG,
        request_timeout: LONG,
        keep_alive: LONG,
        connections: ConnectionLimits::of(100),
    };
    let health = Health::new(vec![Arc::new(Silent)], Vec::new());
    let limits = ClientLimits::new(
        &ClientLimitSettings::default(),
        TrustedProxies::default(),
        None,
    );
    let process = Arc::new(ProcessState::new(health, Arc::new(limits), None));
    let policy = Arc::new(WebPolicy::default());
    let served = serve(
        any,
        Some(&https),
        Arc::clone(&process),
        None,
        &policy,
        serving,
    )
    .unwrap();
    tokio::spawn(served.server);
    let mut trusted = RootCertStore::empty();
    trusted.add(cert.der().clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(DEFAULT_VERSIONS)
        .unwrap()
        .with_root_certificates(trusted)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let client = TlsConnector::from(Arc::new(config));
    (process, served.https.unwrap(), client)
}

struct Asking {
    answer: ResponseFuture,
    stream: h2::SendStream<Bytes>,
    connection: JoinHandle<()>,
    _client: SendRequest<Bytes>,
}

async fn ask(address: SocketAddr, client: &TlsConnector) -> Asking {
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let tls = client.connect(name, tcp).await.unwrap();
    let (mut client, connection) = h2::client::handshake(tls).await.unwrap();
    let connection = tokio::spawn(async move {
        let _ended = connection.await;
    });
    let ready = Request::get("https://localhost/health/ready")
        .body(())
        .unwrap();
    let (answer, stream) = client.send_request(ready, true).unwrap();
    Asking {
        answer,
        stream,
        connection,
        _client: client,
    }
}

async fn until_in_flight(process: &ProcessState, count: usize) {
    let waiting = async {
        while process.traffic.in_flight() != count {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(DEADLINE, waiting).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_dropped_when_it_is_reset_or_its_connection_ends() {
    for is_reset in [true, false] {
        // Another one, because what readiness found counts for a second.
        let (process, address, client) = served().await;
        let mut given_up = ask(address, &client).await;
        let mut stays = ask(address, &client).await;
        until_in_flight(&process, 2).await;
        if is_reset {
            given_up.stream.send_reset(Reason::CANCEL);
        } else {
            given_up.connection.abort();
        }
        until_in_flight(&process, 1).await;
        // The other one asked for the same at the same time.
        assert!((&mut stays.answer).now_or_never().is_none());
        assert_eq!(stays.answer.await.unwrap().status(), 503);
        until_in_flight(&process, 0).await;
    }
}
