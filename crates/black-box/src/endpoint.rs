//! Where connections go, over TCP or TLS.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_native_certs::load_native_certs;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

/// A connection, plain or encrypted.
pub type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// An address to connect to, and whom to take for the other side if it speaks TLS.
#[derive(Clone)]
pub struct Endpoint {
    /// The address.
    pub address: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Without TLS.
impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }
}

impl Endpoint {
    /// With TLS, to the server that has a certificate for `host`: by an authority that this
    /// machine trusts, or by one in `ca_file`.
    ///
    /// # Errors
    /// When the file has no certificates, or `host` is neither a name nor an address.
    pub fn tls(address: SocketAddr, host: &str, ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(load_native_certs().certs);
        if let Some(file) = ca_file {
            let certificates = CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .with_context(|| format!("reading the certificates in {}", file.display()))?;
            for certificate in certificates {
                roots.add(certificate)?;
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned())?;
        Ok(Self {
            address,
            tls: Some((TlsConnector::from(Arc::new(config)), name)),
        })
    }

    /// Connects without Nagle's delay.
    pub async fn connect(&self) -> io::Result<Stream> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(match &self.tls {
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await?;
                Either::Right(Box::new(stream))
            }
            None => Either::Left(stream),
        })
    }
}
