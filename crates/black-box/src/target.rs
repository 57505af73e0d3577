//! The deployment that requests go to.

use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use tokio::net::lookup_host;

use crate::http::Head;

/// Where a deployment listens. It may hold administration's token, so that it
/// has no `Debug`.
#[derive(Clone)]
pub struct Target {
    /// Where to connect to.
    pub address: SocketAddr,
    /// As the URL names it.
    pub host: String,
    /// Of administration, where one is needed.
    pub token: Option<String>,
}

impl Target {
    /// Of a process on this machine.
    #[must_use]
    pub fn local(address: SocketAddr, token: &str) -> Self {
        Self {
            address,
            host: address.to_string(),
            token: Some(token.to_owned()),
        }
    }

    /// Of `http://host:port`.
    ///
    /// # Errors
    /// When it is none, or nobody knows the host.
    pub async fn of(url: &str, token: Option<String>) -> anyhow::Result<Self> {
        let Some(rest) = url.strip_prefix("http://") else {
            bail!(
                "{url} is not http://host:port; TLS ends before the service, so name \
                 what is behind it"
            );
        };
        let host = rest.trim_end_matches('/');
        ensure!(
            !host.is_empty() && !host.contains(['/', '?', '@']),
            "{url} is not http://host:port"
        );
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| {
            !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit())
        });
        let authority = if has_port {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let mut addresses = lookup_host(&authority)
            .await
            .with_context(|| format!("looking up {host}"))?;
        Ok(Self {
            address: addresses
                .next()
                .with_context(|| format!("no address of {host}"))?,
            host: host.to_owned(),
            token,
        })
    }

    /// A request without a body's headers and without rights.
    #[must_use]
    pub fn head<'a>(&'a self, method: &'a str, path: &'a str) -> Head<'a> {
        Head {
            host: &self.host,
            ..Head::new(method, path)
        }
    }

    /// A request of administration.
    #[must_use]
    pub fn admin_head<'a>(&'a self, method: &'a str, path: &'a str) -> Head<'a> {
        Head {
            bearer: self.token.as_deref(),
            ..self.head(method, path)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_url_names_host_and_port() {
        let target = Target::of("http://127.0.0.1:3001/", None).await.unwrap();
        assert_eq!(target.address.to_string(), "127.0.0.1:3001");
        assert_eq!(target.host, "127.0.0.1:3001");
        let without = Target::of("http://127.0.0.1", None).await.unwrap();
        assert_eq!(
            (without.address.port(), without.host.as_str()),
            (80, "127.0.0.1")
        );
        for wrong in [
            "https://x",
            "127.0.0.1:3001",
            "http://",
            "http://x/path",
            "http://u@x",
        ] {
            assert!(Target::of(wrong, None).await.is_err(), "{wrong}");
        }
    }
}
