//! `server.*`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::reader::Reader;

/// Where HTTP is served.
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
}

impl ServerSettings {
    /// Where a process on this machine reaches this one, unless its port is 0.
    #[must_use]
    pub const fn own_address(&self) -> SocketAddr {
        let host = match self.host {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            host => host,
        };
        SocketAddr::new(host, self.port)
    }
}

pub(super) fn read(reader: &mut Reader) -> Option<ServerSettings> {
    let host = reader.take("server.host", |text| {
        text.parse()
            .map_err(|_| "must be an IP address such as 127.0.0.1, 0.0.0.0 or ::1".to_owned())
    });
    let port = reader.number("server.port", 0, u16::MAX);
    let deadline = reader.number("server.shutdown_deadline_seconds", 1_u64, 3_600);
    let lame_duck = reader.number("server.lame_duck_seconds", 0_u64, 3_600);
    let request_timeout = reader.duration_ms("server.request_timeout_ms", 100);
    let keep_alive = reader.number("server.keep_alive_seconds", 1_u64, 3_600);
    Some(ServerSettings {
        host: host?,
        port: port?,
        shutdown_deadline: Duration::from_secs(deadline?),
        lame_duck: Duration::from_secs(lame_duck?),
        request_timeout: request_timeout?,
        keep_alive: Duration::from_secs(keep_alive?),
    })
}
