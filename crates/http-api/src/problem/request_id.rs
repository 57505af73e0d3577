use std::fmt;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

/// Where a client names its request, and where the service does.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Ties what a client sees to the log.
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The client's `X-Request-Id`, if it is one that can be logged: 1 to 64 visible ASCII
    /// characters. Else a random one, which is the request's from here on.
    pub(crate) fn name(headers: &mut HeaderMap) -> Self {
        Self::of(headers).unwrap_or_else(|| {
            let random = Self::random();
            headers.insert(X_REQUEST_ID, random.0.clone());
            random
        })
    }

    /// The request's, if it has one that can be logged.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let id = headers.get(X_REQUEST_ID)?;
        let fits = (1..=64).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
        fits.then(|| Self(id.clone()))
    }

    pub(crate) fn random() -> Self {
        let digits = format!("{:032x}", rand::random::<u128>());
        // Digits and letters are a header's value.
        Self(HeaderValue::try_from(digits).unwrap_or(HeaderValue::from_static("none")))
    }

    /// For the answer.
    pub(crate) fn into_value(self) -> HeaderValue {
        self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().unwrap_or_default())
    }
}
