//! The certificate of HTTPS, read from two files at the start and when they change.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use runtime::{error_chain, read_bounded};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::sleep;
use tracing::{info, warn};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// Between two looks at the files.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The longest file, in bytes: a hundred times what authorities hand out.
const MAX_LENGTH: usize = 1_024 * 1_024;

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

    /// When the first of those ends that new connections get, in seconds since 1970: without an
    /// intermediate one clients trust the server's no more. `None` if no end can be read.
    #[must_use]
    pub fn not_after(&self) -> Option<u64> {
        let end = |certificate: &CertificateDer<'_>| {
            let (_, read) = X509Certificate::from_der(certificate).ok()?;
            Some(read.validity().not_after.timestamp())
        };
        let first = self.current.load().cert.iter().filter_map(end).min()?;
        Some(u64::try_from(first).unwrap_or_default())
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
        Ok(Contents {
            certificate: read_bounded(&self.certificate, MAX_LENGTH)
                .map_err(|error| self.certificate_error(unreadable, Some(error.into())))?,
            key: read_bounded(&self.key, MAX_LENGTH)
                .map_err(|error| self.key_error(unreadable, Some(error.into())))?,
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
        let key = any_supported_type(&key).map_err(|error| {
            let what = "has a key of a type that is not supported; take RSA of 2048 to 4096 bits, \
                        ECDSA on P-256 or P-384, or Ed25519";
            self.key_error(what, Some(error.into()))
        })?;
        let is_for = |certificate: &CertificateDer<'static>| {
            CertifiedKey::new(vec![certificate.clone()], key.clone()).keys_match()
        };
        let Err(error) = chain.first().map_or(Ok(()), is_for) else {
            return Ok(CertifiedKey::new(chain, key));
        };
        if chain.iter().skip(1).any(|later| is_for(later).is_ok()) {
            let what = "is in the wrong order; put the server's own certificate first, \
                        then those that vouch for it";
            return Err(self.certificate_error(what, None));
        }
        let what = "does not fit the certificate of tls.certificate_file; \
                    name the key that the certificate was made for";
        Err(self.key_error(what, Some(error.into())))
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

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd, generate_simple_self_signed};
    use tempfile::TempDir;

    use super::*;

    /// On the curve P-521, and of nobody.
    const UNSUPPORTED: &str = "-----BEGIN PRIVATE KEY-----\n\
        MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIBbOIGUraEh3DEHE9r\n\
        0dO5Ti4d7xv1vAEwrGc9s906UNlEytq+pp8dTwlpCDOY4+vikkMwCYD1NU5rhDaZ\n\
        ICrK6FKhgYkDgYYABADDkYcXiy6ESzwQk6C5Xa44phnCOBBLDrPEyCUtk9avGBfF\n\
        wrLaVg+K47WfDsyw8kxoj/O8E1sCxYe/xLONdcTq+QFPV5fPD01gcYNREPnBNGgJ\n\
        5nRyiPNMk3pqDOTkYGCsaotvcP1frgbK0DKB2WREod05KEhv5iD2i5uE9yoYzJqQ\n\
        tA==\n\
        -----END PRIVATE KEY-----\n";

    /// A certificate and its key, as PEM.
    fn pair() -> (String, String) {
        let pair = generate_simple_self_signed(["tickets.test".to_owned()]).unwrap();
        (pair.cert.pem(), pair.signing_key.serialize_pem())
    }

    fn loaded(certificate: &str, key: &str) -> Result<Certificates, String> {
        let directory = TempDir::new().unwrap();
        let files = CertificateFiles {
            certificate: directory.path().join("certificate.pem"),
            key: directory.path().join("key.pem"),
        };
        std::fs::write(&files.certificate, certificate).unwrap();
        std::fs::write(&files.key, key).unwrap();
        Certificates::load(files).map_err(|error| error_chain(&error))
    }

    #[test]
    fn a_key_or_a_chain_that_cannot_be_used_is_told_for_what_it_is() {
        let ((own, key), (other, _)) = (pair(), pair());
        assert!(loaded(&(own.clone() + &other), &key).is_ok());
        for (certificate, key, setting, what) in [
            (
                own.clone(),
                UNSUPPORTED,
                "tls.key_file",
                "not supported; take RSA",
            ),
            (
                other.clone() + &own,
                &key,
                "tls.certificate_file",
                "own certificate first",
            ),
            (other, &key, "tls.key_file", "does not fit the certificate"),
        ] {
            let told = loaded(&certificate, key).unwrap_err();
            assert!(told.starts_with(setting) && told.contains(what), "{told}");
        }
    }

    /// The chain ends with the first of it.
    #[test]
    fn the_first_end_of_the_chain_is_told() {
        let ending = |year| {
            let mut params = CertificateParams::new(["tickets.test".to_owned()]).unwrap();
            params.not_after = date_time_ymd(year, 1, 1);
            let key = KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap().pem();
            (certificate, key.serialize_pem())
        };
        let (own, key) = ending(2035);
        let (intermediate, _) = ending(2030);
        let certificates = loaded(&own, &key).unwrap();
        assert_eq!(certificates.not_after(), Some(2_051_222_400));
        let certificates = loaded(&(own + &intermediate), &key).unwrap();
        assert_eq!(certificates.not_after(), Some(1_893_456_000));
    }

    #[test]
    fn files_without_an_end_are_given_up() {
        let (certificate, key) = pair();
        let endless = " ".repeat(2 * 1_024 * 1_024);
        let told = loaded(&(certificate.clone() + &endless), &key).unwrap_err();
        assert!(told.starts_with("tls.certificate_file"), "{told}");
        assert!(told.ends_with("longer than 1048576 bytes"), "{told}");
        let told = loaded(&certificate, &(key + &endless)).unwrap_err();
        assert!(told.starts_with("tls.key_file"), "{told}");
    }
}
