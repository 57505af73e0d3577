//! `metrics.*`

use std::net::SocketAddr;

use fields::{Fields, Value, text, whole};

use super::reader::setting;
use super::server::{ServerSettings, host};
use super::tls::TlsSettings;

/// Where metrics are read; `None` in it if nowhere. The others are served by the same process.
pub(super) fn read(
    fields: &mut Fields<'_, '_>,
    http: Option<&ServerSettings>,
    https: Option<&TlsSettings>,
) -> Option<Option<SocketAddr>> {
    let host = setting(fields, "metrics.host", text(host));
    let port = setting(fields, "metrics.port", port);
    let taken = [
        ("server.port", http.map(|http| http.port)),
        ("tls.port", https.map(|https| https.port)),
    ];
    let same = taken.into_iter().find(|(_, taken)| {
        let taken = taken.filter(|taken| *taken != 0);
        taken.is_some() && Some(taken) == port
    });
    if let Some((other, _)) = same {
        let what = format_args!("is {other}, too; set one of them to a free port");
        fields.fault("metrics.port", what);
        return None;
    }
    let (host, port) = (host?, port?);
    Some(port.map(|port| SocketAddr::new(host, port)))
}

/// `None` if it is empty.
fn port(value: &Value<'_>) -> Result<Option<u16>, String> {
    if value.as_text() == Some("") {
        return Ok(None);
    }
    let port = whole(0..=u16::MAX)(value);
    port.map(Some).map_err(|what| what + ", or empty for none")
}
