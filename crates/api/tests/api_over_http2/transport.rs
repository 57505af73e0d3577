//! How the clients of these tests reach a service: over a relay that speaks HTTP/2 with it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::LazyLock;

use api::application::Application;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Request, Uri, client, server};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::DEFAULT_VERSIONS;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use crate::tls::{TestCertificate, connect_from};

/// Of all relays: some tests block their own.
static RELAYS: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

pub(crate) struct Transport(TestCertificate);

impl Transport {
    pub(crate) fn new() -> Self {
        Self(TestCertificate::new())
    }

    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        self.0.variables("on")
    }

    pub(crate) fn way_to(&self, application: &Application) -> SocketAddr {
        let service = application.https_address().unwrap();
        let tls = self.0.client(DEFAULT_VERSIONS, b"h2");
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        RELAYS.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((plain, from)) = listener.accept().await {
                tokio::spawn(relay(plain, from.ip(), tls.clone(), service));
            }
        });
        address
    }
}

/// A connection of HTTP/2 for each of HTTP/1.1, so that both end together.
async fn relay(plain: TcpStream, from: IpAddr, tls: TlsConnector, service: SocketAddr) {
    plain.set_nodelay(true).unwrap();
    let encrypted = TokioIo::new(connect_from(from, &tls, service).await.unwrap());
    let http2 = client::conn::http2::handshake(TokioExecutor::new(), encrypted);
    let (sender, connection) = http2.await.unwrap();
    tokio::spawn(connection);
    let pass_on = service_fn(move |request: Request<Incoming>| {
        let mut sender = sender.clone();
        async move { sender.send_request(of_http2(request)).await }
    });
    let plain = TokioIo::new(plain);
    let relayed = server::conn::http1::Builder::new().serve_connection(plain, pass_on);
    // Whichever side goes, the other one sees it.
    let _gone = relayed.await;
}

fn of_http2(mut request: Request<Incoming>) -> Request<Incoming> {
    let host = request.headers_mut().remove(HOST).unwrap();
    for name in [CONNECTION, TRANSFER_ENCODING] {
        request.headers_mut().remove(name);
    }
    let path = request.uri().path_and_query().unwrap().clone();
    let uri = Uri::builder()
        .scheme("https")
        .authority(host.as_bytes())
        .path_and_query(path);
    *request.uri_mut() = uri.build().unwrap();
    *request.version_mut() = hyper::Version::HTTP_2;
    request
}
