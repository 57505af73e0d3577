//! TLS between TCP and HTTP.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_http::Protocol;
use actix_web::rt::net::TcpStream;
use rustls::ServerConfig;
use rustls::crypto::ring;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::certificate::Certificates;

/// Where and how HTTPS is served.
#[derive(Debug, Clone)]
pub struct Https {
    /// Address to listen on.
    pub address: SocketAddr,
    /// Whether clients may speak HTTP/2.
    pub http2: bool,
    /// What clients know the service by.
    pub certificates: Arc<Certificates>,
}

/// What a client names HTTP/2 when it says what it speaks (RFC 9113, section 3.1).
const HTTP_2: &[u8] = b"h2";
/// WebSockets need it.
const HTTP_1_1: &[u8] = b"http/1.1";

impl Https {
    /// TLS 1.2 and 1.3. Clients that come again may resume, so that a connection costs no
    /// signature.
    pub(crate) fn acceptor(&self) -> Result<Acceptor, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)?
            .with_no_client_auth()
            .with_cert_resolver(self.certificates.clone());
        config.ticketer = ring::Ticketer::new()?;
        config.alpn_protocols = if self.http2 {
            vec![HTTP_2.to_vec(), HTTP_1_1.to_vec()]
        } else {
            vec![HTTP_1_1.to_vec()]
        };
        Ok(Acceptor(TlsAcceptor::from(Arc::new(config))))
    }
}

/// Shakes hands with clients.
#[derive(Clone)]
pub(crate) struct Acceptor(TlsAcceptor);

impl Acceptor {
    /// A client that takes longer is cut off.
    pub(crate) async fn shake_hands(
        &self,
        tcp: TcpStream,
        limit: Duration,
    ) -> io::Result<(TlsStream<TcpStream>, Protocol)> {
        let shaken = timeout(limit, self.0.accept(tcp)).await;
        let stream = shaken.map_err(|_| io::Error::from(ErrorKind::TimedOut))??;
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(HTTP_2) => Protocol::Http2,
            _ => Protocol::Http1,
        };
        Ok((stream, protocol))
    }
}
