//! The deployment that requests go to.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use tokio::net::lookup_host;

use crate::endpoint::Endpoint;
use crate::http::Head;

const A_URL: &str = "is neither http://host:port nor https://host:port";

/// Where a deployment listens. It may hold administration's token, so that it
/// has no `Debug`.
#[derive(Clone)]
pub struct Target {
    /// Where to connect to.
    pub endpoint: Endpoint,
    /// As the URL names it.
    pub host: String,
    /// Of administration, where one is needed.
    pub token: Option<String>,
}

impl Target {
    /// Of a process on this machine.
    #[must_use]
    pub(crate) fn local(endpoint: Endpoint, token: &str) -> Self {
        Self {
            host: endpoint.address.to_string(),
            endpoint,
            token: Some(token.to_owned()),
        }
    }

    /// Of `http://host:port` or `https://host:port`. The certificate may be by an authority in
    /// `ca_file`, too.
    ///
    /// # Errors
    /// When it is neither, or nobody knows the host, or the file cannot be read.
    pub async fn of(
        url: &str,
        token: Option<String>,
        ca_file: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let (rest, is_https) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (rest, false),
            (_, Some(rest)) => (rest, true),
            _ => bail!("{url} {A_URL}"),
        };
        let host = rest.trim_end_matches('/');
        ensure!(
            !host.is_empty() && !host.contains(['/', '?', '@']),
            "{url} {A_URL}"
        );
        let port = host.rsplit_once(':').filter(|(_, port)| {
            !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit())
        });
        let (name, authority) = match port {
            Some((name, _)) => (name, host.to_owned()),
            None => (host, format!("{host}:{}", if is_https { 443 } else { 80 })),
        };
        let mut addresses = lookup_host(&authority)
            .await
            .with_context(|| format!("looking up {host}"))?;
        let address = addresses
            .next()
            .with_context(|| format!("no address of {host}"))?;
        let endpoint = if is_https {
            Endpoint::tls(address, name.trim_matches(['[', ']']), ca_file)?
        } else {
            address.into()
        };
        Ok(Self {
            endpoint,
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
        for (url, address, host) in [
            ("http://127.0.0.1:3001/", "127.0.0.1:3001", "127.0.0.1:3001"),
            ("http://127.0.0.1", "127.0.0.1:80", "127.0.0.1"),
            ("https://127.0.0.1", "127.0.0.1:443", "127.0.0.1"),
            ("https://[::1]:3443", "[::1]:3443", "[::1]:3443"),
        ] {
            let target = Target::of(url, None, None).await.unwrap();
            assert_eq!(target.endpoint.address.to_string(), address);
            assert_eq!(target.host, host);
        }
        for wrong in [
            "ftp://x",
            "127.0.0.1:3001",
            "http://",
            "https://x/path",
            "http://u@x",
        ] {
            assert!(Target::of(wrong, None, None).await.is_err(), "{wrong}");
        }
    }
}
