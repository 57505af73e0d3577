//! `server.*`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use fields::{Fields, all, text, whole};
use limits::TrustedProxies;

use super::reader::{millis, seconds, setting};

/// The section `server`: the address of the HTTP server and its limits.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// How long a graceful stop may take.
    pub shutdown_deadline: Duration,
    /// How long before that readiness says that the process stops, and all is served as before.
    pub lame_duck: Duration,
    /// From a request's first byte to its last.
    pub request_timeout: Duration,
    /// Between an answer and the next request of a connection.
    pub keep_alive: Duration,
    /// The names that clients may ask for.
    pub allowed_hosts: Vec<String>,
    /// Of which it is believed whom they speak for.
    pub trusted_proxies: TrustedProxies,
}

impl ServerSettings {
    /// Where a process on this machine reaches this one.
    #[must_use]
    pub const fn own_host(&self) -> IpAddr {
        match self.host {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            host => host,
        }
    }
}

pub(super) fn read(fields: &mut Fields<'_, '_>) -> Option<ServerSettings> {
    all!(ServerSettings {
        host: setting(fields, "server.host", text(host)),
        port: setting(fields, "server.port", whole(0..=u16::MAX)),
        shutdown_deadline: setting(fields, "server.shutdown_deadline_seconds", seconds(1)),
        lame_duck: setting(fields, "server.lame_duck_seconds", seconds(0)),
        request_timeout: setting(fields, "server.request_timeout_ms", millis(100)),
        keep_alive: setting(fields, "server.keep_alive_seconds", seconds(1)),
        allowed_hosts: setting(fields, "server.allowed_hosts", text(hosts)),
        trusted_proxies: setting(fields, "server.trusted_proxies", text(str::parse)),
    })
}

fn hosts(text: &str) -> Result<Vec<String>, &'static str> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let is_name = |name: &str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        !name.is_empty() && name.chars().all(is_plain)
    };
    let names: Vec<_> = text.split(',').map(|name| name.trim().to_owned()).collect();
    if names.iter().all(|name| is_name(name)) {
        Ok(names)
    } else {
        Err("must be names such as tickets.example, without a port, separated by commas")
    }
}

pub(super) fn host(text: &str) -> Result<IpAddr, &'static str> {
    text.parse()
        .map_err(|_| "must be an IP address such as 127.0.0.1, 0.0.0.0 or ::1")
}
