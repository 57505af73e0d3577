//! Why nothing can be examined.

use crate::error::InvalidUrl;

/// Why nothing can be examined.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// `rabbitmq.urls`.
    #[error("rabbitmq.urls")]
    InvalidUrl(#[from] InvalidUrl),
    /// A URL of the management API.
    #[error("rabbitmq.management_urls")]
    InvalidManagementUrl(#[from] InvalidManagementUrl),
    /// This process cannot make HTTP requests.
    #[error("the HTTP client")]
    Client(#[source] reqwest::Error),
}

/// The URL itself is not repeated: it holds the password.
#[derive(Debug, thiserror::Error)]
#[error("must be like http://user:password@host:15672, at least one")]
pub struct InvalidManagementUrl;
