//! How the clients of these tests reach a service: over plain HTTP.

use std::net::SocketAddr;

use api::application::Application;

pub(crate) struct Transport;

impl Transport {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    pub(crate) fn way_to(&self, application: &Application) -> SocketAddr {
        application.address()
    }
}
