use std::fmt;

use actix_web::http::header::HeaderMap;

/// Ties a client's problem to the log.
pub(crate) struct RequestId(String);

impl RequestId {
    /// The client's `X-Request-Id`, if it is one that can be logged: 1 to 64
    /// visible ASCII characters.
    pub(crate) fn given_by(headers: &HeaderMap) -> Option<Self> {
        let id = headers.get("x-request-id")?.to_str().ok()?;
        let fits = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(id.to_owned()))
    }

    pub(crate) fn random() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
