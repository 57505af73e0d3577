//! What commands ask a serving process: one `GET` over HTTP or HTTPS.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use runtime::read_bounded;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_native_certs::load_native_certs;
use secrecy::{ExposeSecret, SecretString};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::either::Either;

/// A process that says nothing for so long does not answer: it hangs, or is frozen.
pub(crate) const NO_ANSWER: Duration = Duration::from_secs(5);

/// The longest `--ca-file`, in bytes: several times what a machine trusts.
const MAX_AUTHORITIES: usize = 1_024 * 1_024;
const NOT_PLAIN: &str =
    "it does not speak plain HTTP; if that is the port of HTTPS, begin the URL with https://";
const A_URL: &str = "a URL begins with http:// or https:// and a host";

/// Whom to take for the process, over HTTPS.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Everybody: the process on this machine, whose certificate names another address.
    ThisMachine,
    /// Who has a certificate by one of these.
    Authorities(Arc<RootCertStore>),
}

/// An answer, whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// Asks for `url`, past any proxy: what commands ask is on this machine or named.
pub(crate) async fn get(
    url: &str,
    token: Option<&SecretString>,
    trust: &Trust,
) -> anyhow::Result<Answer> {
    let uri: Uri = url.parse().context(A_URL)?;
    let is_https = uri.scheme_str() == Some("https");
    let authority = uri.authority().context(A_URL)?;
    if !is_https && uri.scheme_str() != Some("http") {
        bail!(A_URL);
    }
    let host = authority.host().trim_matches(['[', ']']);
    let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
    let tcp = TcpStream::connect((host, port)).await?;
    let alive = TcpKeepalive::new()
        .with_time(NO_ANSWER)
        .with_interval(NO_ANSWER);
    SockRef::from(&tcp).set_tcp_keepalive(&alive)?;
    let stream = if is_https {
        let connector = TlsConnector::from(Arc::new(trust.config()?));
        let name = ServerName::try_from(host.to_owned())?;
        Either::Right(connector.connect(name, tcp).await.map_err(explained)?)
    } else {
        Either::Left(tcp)
    };
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = Request::get(uri.path()).header(HOST, authority.as_str());
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
    }
    let answer = sender.send_request(request.body(Empty::<Bytes>::new())?);
    let answer = answer
        .await
        .map_err(|error| match error.is_parse() && !is_https {
            true => anyhow::Error::new(error).context(NOT_PLAIN),
            false => error.into(),
        })?;
    Ok(Answer {
        status: answer.status(),
        body: answer.into_body().collect().await?.to_bytes(),
    })
}

/// What to do about a handshake that failed.
fn explained(error: io::Error) -> anyhow::Error {
    use rustls::{CertificateError, Error as Tls, InvalidMessage};

    let cause = error.get_ref().and_then(|error| error.downcast_ref());
    let advice = match cause {
        Some(Tls::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "this machine does not know the authority of its certificate; name that with --ca-file"
        }
        Some(Tls::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "it does not speak TLS; if that is the port of plain HTTP, begin the URL with http://"
        }
        _ => return error.into(),
    };
    anyhow::Error::new(error).context(advice)
}

impl Trust {
    /// The authorities that this machine trusts, and those in `file`.
    ///
    /// # Errors
    /// When the file has no certificates.
    pub fn authorities(file: Option<&Path>) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(load_native_certs().certs);
        if let Some(file) = file {
            add(file, &mut roots).with_context(|| format!("--ca-file {}", file.display()))?;
        }
        Ok(Self::Authorities(Arc::new(roots)))
    }

    fn config(&self) -> anyhow::Result<ClientConfig> {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)?;
        let config = match self {
            Self::ThisMachine => config
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))),
            Self::Authorities(roots) => config.with_root_certificates(Arc::clone(roots)),
        };
        Ok(config.with_no_client_auth())
    }
}

/// Adds the certificates of a PEM file.
fn add(file: &Path, roots: &mut RootCertStore) -> anyhow::Result<()> {
    let content = read_bounded(file, MAX_AUTHORITIES)?;
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(&content).collect::<Result<_, _>>()?;
    if certificates.is_empty() {
        bail!("has no certificate in it; name a PEM file with that of an authority");
    }
    for certificate in certificates {
        roots.add(certificate)?;
    }
    Ok(())
}

/// Encrypts without asking who the other side is.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
