//! A key set over TLS.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use url::Url;

use crate::key_source::{KeySource, SourceError};

const IDENTITY: &[u8] = include_bytes!("tls_test_identity.pem");

fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(IDENTITY).unwrap()
}

/// Answers every request with `{}`.
async fn server() -> Url {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate()],
            PrivateKeyDer::from_pem_slice(IDENTITY).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            // The client may refuse the certificate.
            if let Ok(mut stream) = acceptor.accept(connection).await {
                let _read = stream.read(&mut [0; 1_024]).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                stream.write_all(answer).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        }
    });
    format!("https://localhost:{port}/jwks").parse().unwrap()
}

#[tokio::test]
async fn only_a_trusted_server_is_believed() {
    let url = server().await;
    let limit = Duration::from_secs(20);
    let mut roots = RootCertStore::empty();
    roots.add(certificate()).unwrap();
    let trusting = KeySource::trusting(roots.clone(), &url).unwrap();
    assert_eq!(trusting.read(limit).await.unwrap(), b"{}");

    let strangers = KeySource::trusting(RootCertStore::empty(), &url).unwrap();
    let machine = KeySource::url(&url).unwrap();
    for source in [strangers, machine] {
        let error = source.read(limit).await.unwrap_err();
        assert!(matches!(error, SourceError::Exchange(_)), "{error:?}");
    }
    let mut misnamed = url;
    misnamed.set_host(Some("127.0.0.2")).unwrap();
    let misnamed = KeySource::trusting(roots, &misnamed).unwrap();
    let error = misnamed.read(limit).await.unwrap_err();
    assert!(matches!(error, SourceError::Exchange(_)), "{error:?}");
}
