//! Where a set of keys comes from: a file or a URL.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use runtime::read_bounded;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_native_certs::load_native_certs;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use url::Url;

use crate::StartError;
use crate::key_set::KeySetError;

/// The longest JWKS, in bytes: a hundred times what providers have.
pub(crate) const MAX_LENGTH: usize = 256 * 1024;

/// Why there is no set of keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("the file with the key set cannot be read")]
    File(#[from] io::Error),
    #[error("the key set's URL does not answer")]
    Exchange(#[source] Box<dyn Error + Send + Sync>),
    #[error("the key set's URL does not answer within {0:?}")]
    TimedOut(Duration),
    #[error("the key set's URL answers {0}, not 200; redirects are not followed")]
    Status(StatusCode),
    #[error("the key set is longer than {MAX_LENGTH} bytes")]
    TooLong,
    #[error("the key set cannot be used")]
    KeySet(#[from] KeySetError),
    #[error("the key set has no key for the accepted algorithms")]
    NoUsableKey,
}

type HttpsClient = Client<HttpsConnector<HttpConnector>, String>;

/// A file or a URL with a JWKS.
pub(crate) enum KeySource {
    File(PathBuf),
    Url { client: Box<HttpsClient>, uri: Uri },
}

impl KeySource {
    /// Over TLS it trusts the certificates that this machine trusts, so that a company's own
    /// authority needs no setting here.
    pub(crate) fn url(url: &Url) -> Result<Self, StartError> {
        let mut roots = RootCertStore::empty();
        if url.scheme() == "https" {
            roots.add_parsable_certificates(load_native_certs().certs);
            if roots.is_empty() {
                return Err(StartError::NoCertificates);
            }
        }
        Self::trusting(roots, url)
    }

    pub(crate) fn trusting(roots: RootCertStore, url: &Url) -> Result<Self, StartError> {
        let uri = url.as_str().parse().map_err(|_| StartError::Url)?;
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(StartError::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new())
            // The next request comes after minutes.
            .pool_max_idle_per_host(0)
            .build(connector);
        let client = Box::new(client);
        Ok(Self::Url { client, uri })
    }

    /// The JWKS as it is now.
    pub(crate) async fn read(&self, time_limit: Duration) -> Result<Vec<u8>, SourceError> {
        match self {
            Self::File(path) => {
                let path = path.clone();
                let read = spawn_blocking(move || read_bounded(&path, MAX_LENGTH)).await;
                Ok(read.map_err(io::Error::from)??)
            }
            Self::Url { client, uri } => timeout(time_limit, get(client, uri))
                .await
                .map_err(|_| SourceError::TimedOut(time_limit))?,
        }
    }
}

async fn get(client: &HttpsClient, uri: &Uri) -> Result<Vec<u8>, SourceError> {
    let answer = client.get(uri.clone()).await;
    let answer = answer.map_err(|error| SourceError::Exchange(error.into()))?;
    if answer.status() != StatusCode::OK {
        return Err(SourceError::Status(answer.status()));
    }
    let body = Limited::new(answer.into_body(), MAX_LENGTH).collect().await;
    let body = body.map_err(
        |error| match error.is::<http_body_util::LengthLimitError>() {
            true => SourceError::TooLong,
            false => SourceError::Exchange(error),
        },
    )?;
    Ok(body.to_bytes().to_vec())
}
