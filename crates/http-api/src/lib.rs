//! The face to the outside: [`serve`] answers requests by use cases of the domain, and [`Live`]
//! tells buyers over WebSocket and Server-Sent Events.

mod access;
mod admin_token;
mod audit_report;
mod certificate;
mod client_stream;
mod given_up;
mod health;
mod https;
mod json;
mod lists;
mod live;
mod open_connections;
mod parameters;
mod problem;
mod routes;
mod server;
mod state;
mod streams;
mod traffic;
mod watch;
mod web_policy;

pub use self::audit_report::{AuditReport, AuditedRejections, AuditedShow, AuditedVerdicts};
pub use self::certificate::{CertificateError, CertificateFiles, Certificates};
pub use self::health::Health;
pub use self::https::Https;
pub use self::live::{Live, LiveSettings};
pub use self::open_connections::ConnectionLimits;
pub use self::server::{ServeError, Served, Serving, serve};
pub use self::state::{AcceptingState, ProcessState};
pub use self::web_policy::WebPolicy;
