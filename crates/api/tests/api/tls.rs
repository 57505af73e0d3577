//! A certificate that nobody but these tests trusts, and clients that do.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Whom the certificates are for.
const NAME: &str = "tickets.test";

/// Two files of a service.
pub(crate) struct TestCertificate {
    directory: TempDir,
    /// What is in the file, and what clients trust.
    pub(crate) certificate: CertificateDer<'static>,
}

impl TestCertificate {
    pub(crate) fn new() -> Self {
        let mut made = Self {
            directory: TempDir::new().unwrap(),
            certificate: CertificateDer::from(Vec::new()),
        };
        made.renew();
        made
    }

    /// Writes another pair, one file after the other.
    pub(crate) fn renew(&mut self) {
        self.renew_until(4_096);
    }

    /// The same; it ends when that year begins.
    pub(crate) fn renew_until(&mut self, year: i32) {
        let names = [NAME.to_owned(), "localhost".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(self.file("certificate"), certificate.pem()).unwrap();
        std::fs::write(self.file("key"), key.serialize_pem()).unwrap();
        self.certificate = certificate.der().clone();
    }

    /// `certificate` or `key`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name).with_extension("pem")
    }

    pub(crate) fn variables(&self, mode: &str) -> Vec<(String, String)> {
        let file = |name| self.file(name).to_str().unwrap().to_owned();
        [
            ("APP__TLS__MODE", mode.to_owned()),
            ("APP__TLS__PORT", "0".to_owned()),
            ("APP__TLS__CERTIFICATE_FILE", file("certificate")),
            ("APP__TLS__KEY_FILE", file("key")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// A client that resumes nothing, so that it is shown the certificate.
    pub(crate) fn client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        protocol: &[u8],
    ) -> TlsConnector {
        let mut trusted = RootCertStore::empty();
        trusted.add(self.certificate.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(trusted)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![protocol.to_vec()];
        TlsConnector::from(Arc::new(config))
    }
}

/// Over TLS to a service on this machine.
#[allow(dead_code, reason = "one of the programs that have this file uses it")]
pub(crate) async fn connect(
    client: &TlsConnector,
    address: SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    connect_from(Ipv4Addr::LOCALHOST.into(), client, address).await
}

/// The same, from an address of this machine.
pub(crate) async fn connect_from(
    from: IpAddr,
    client: &TlsConnector,
    address: SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let service = (Ipv4Addr::LOCALHOST, address.port());
    let tcp = socket.connect(service.into()).await?;
    tcp.set_nodelay(true)?;
    client
        .connect(ServerName::try_from(NAME).unwrap(), tcp)
        .await
}
