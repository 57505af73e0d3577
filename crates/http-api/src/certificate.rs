//! The certificate of HTTPS, read from two files at the start and when they change.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use runtime::error_chain;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::sleep;
use tracing::{info, warn};

/// Between two looks at the files.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Where the certificate and its key are, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// `tls.certificate_file`: the certificate, then those that vouch for it.
    pub certificate: PathBuf,
    /// `tls.key_file`: the private key.
    pub key: PathBuf,
}

/// Why a certificate cannot be used: the setting, its file, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {}: {what}", file.display())]
pub struct CertificateError {
    setting: &'static str,
    file: PathBuf,
    what: &'static str,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The certificate that new connections get. Those that are open keep theirs.
pub struct Certificates {
    files: CertificateFiles,
    current: ArcSwap<CertifiedKey>,
    /// What the current one was made of.
    used: Mutex<Contents>,
}

/// Of both files.
#[derive(Clone, PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Certificates {
    /// Reads both files.
    ///
    /// # Errors
    /// When one of them is unreadable or not PEM, or when they do not belong together.
    pub fn load(files: CertificateFiles) -> Result<Self, CertificateError> {
        let contents = files.read()?;
        Ok(Self {
            current: ArcSwap::from_pointee(files.parse(&contents)?),
            used: Mutex::new(contents),
            files,
        })
    }

    /// Looks at the files for as long as it is polled, and takes a new pair once both stay as
    /// they are. A pair that cannot be used is logged once, and the one before stays.
    pub async fn watch(self: Arc<Self>) {
        let mut seen = None;
        let mut logged = String::new();
        loop {
            sleep(LOOK_AGAIN).await;
            let this = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || this.look(seen)).await;
            let problem;
            (seen, problem) = match looked {
                Ok(Ok(seen)) => (seen, String::new()),
                Ok(Err(error)) => (None, error_chain(&error)),
                Err(panicked) => (None, error_chain(&panicked)),
            };
            if !problem.is_empty() && problem != logged {
                warn!(
                    error = problem,
                    "the new certificate is not used; connections get the one before"
                );
            }
            // A change that is not finished yet says nothing of the fault before it.
            if !problem.is_empty() || seen.is_none() {
                logged = problem;
            }
        }
    }

    /// Takes what is in the files if it is new and the same as what was `seen` before. Returns
    /// what is new and has to be seen again: nobody writes two files at once.
    fn look(&self, seen: Option<Contents>) -> Result<Option<Contents>, CertificateError> {
        let contents = self.files.read()?;
        if *self.used.lock() == contents {
            return Ok(None);
        }
        if seen.as_ref() != Some(&contents) {
            return Ok(Some(contents));
        }
        self.current.store(Arc::new(self.files.parse(&contents)?));
        *self.used.lock() = contents;
        info!(
            tls.certificate_file = %self.files.certificate.display(),
            "the certificate has changed; new connections get the new one"
        );
        Ok(None)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files.fmt(f)
    }
}

impl CertificateFiles {
    fn read(&self) -> Result<Contents, CertificateError> {
        let unreadable = "cannot be read; name a PEM file that this process may read";
        let read = |path: &Path| std::fs::read(path);
        Ok(Contents {
            certificate: read(&self.certificate)
                .map_err(|error| self.certificate_error(unreadable, Some(error.into())))?,
            key: read(&self.key).map_err(|error| self.key_error(unreadable, Some(error.into())))?,
        })
    }

    fn parse(&self, contents: &Contents) -> Result<CertifiedKey, CertificateError> {
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(&contents.certificate).collect();
        let chain = chain.map_err(|error| {
            self.certificate_error("is not PEM; write it anew", Some(error.into()))
        })?;
        if chain.is_empty() {
            let what = "has no certificate in it; write it as PEM, the certificate first";
            return Err(self.certificate_error(what, None));
        }
        let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|error| {
            let what = "has no private key in it; write it as PEM, without a password";
            self.key_error(what, Some(error.into()))
        })?;
        let pair = CertifiedKey::from_der(chain, key, &ring::default_provider());
        pair.map_err(|error| {
            let what = "does not fit the certificate of tls.certificate_file; \
                        name the key that the certificate was made for";
            self.key_error(what, Some(error.into()))
        })
    }

    fn certificate_error(
        &self,
        what: &'static str,
        source: Option<Box<dyn Error + Send + Sync>>,
    ) -> CertificateError {
        CertificateError {
            setting: "tls.certificate_file",
            file: self.certificate.clone(),
            what,
            source,
        }
    }

    fn key_error(
        &self,
        what: &'static str,
        source: Option<Box<dyn Error + Send + Sync>>,
    ) -> CertificateError {
        CertificateError {
            setting: "tls.key_file",
            file: self.key.clone(),
            what,
            source,
        }
    }
}
