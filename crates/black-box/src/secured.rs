//! What a process needs that asks for tokens and speaks HTTPS.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;

use crate::issuer::Issuer;

/// Of the certificate, which clients go to by its address.
pub(crate) const HOST: &str = "127.0.0.1";
const ISSUER: &str = "https://onsale.test";
const AUDIENCE: &str = "tickets";

/// A key for tokens and a certificate, both new, in a folder that ends with this.
pub struct Secured {
    folder: TempDir,
    /// Signs the tokens that are taken.
    pub issuer: Issuer,
}

impl Secured {
    /// Writes the files.
    pub fn new() -> anyhow::Result<Self> {
        let secured = Self {
            folder: TempDir::new()?,
            issuer: Issuer::new(ISSUER, AUDIENCE)?,
        };
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([HOST.to_owned()])?;
        fs::write(secured.certificate(), cert.pem())?;
        fs::write(secured.file("key.pem"), signing_key.serialize_pem())?;
        fs::write(secured.file("keys.json"), secured.issuer.key_set())?;
        Ok(secured)
    }

    /// The settings with which a process asks for tokens.
    #[must_use]
    pub fn tokens(&self) -> BTreeMap<String, String> {
        let keys = self.file("keys.json").display().to_string();
        let settings = [
            ("auth.mode", "jwt"),
            ("auth.issuer", ISSUER),
            ("auth.audience", AUDIENCE),
            ("auth.algorithms", "EdDSA"),
            ("auth.jwks_file", &keys),
        ];
        settings
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    /// What clients trust.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.file("certificate.pem")
    }

    pub(crate) fn certificate_key(&self) -> PathBuf {
        self.file("key.pem")
    }

    fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }
}
