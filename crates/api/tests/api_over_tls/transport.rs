//! How the clients of these tests reach a service: over a relay that speaks TLS with it, from the
//! address of each client.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::LazyLock;

use api::application::Application;
use rustls::DEFAULT_VERSIONS;
use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::tls::{TestCertificate, connect_from};

/// Of all relays: some tests block their own.
static RELAYS: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

pub(crate) struct Transport(TestCertificate);

impl Transport {
    pub(crate) fn new() -> Self {
        Self(TestCertificate::new())
    }

    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        self.0.variables("on")
    }

    pub(crate) fn way_to(&self, application: &Application) -> SocketAddr {
        let service = application.https_address().unwrap();
        let client = self.0.client(DEFAULT_VERSIONS, b"http/1.1");
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        RELAYS.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((mut plain, from)) = listener.accept().await {
                let client = client.clone();
                tokio::spawn(async move {
                    plain.set_nodelay(true)?;
                    let mut encrypted = connect_from(from.ip(), &client, service).await?;
                    copy_bidirectional(&mut plain, &mut encrypted).await
                });
            }
        });
        address
    }
}
