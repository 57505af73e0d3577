//! The face to the outside: [`serve`] answers requests by use cases of the domain, and [`Live`]
//! tells buyers over WebSocket and Server-Sent Events.

mod access;
mod admin_token;
mod admission;
mod audit_report;
mod certificate;
mod client_limits;
mod client_stream;
mod frames;
mod given_up;
mod guard;
mod health;
mod https;
mod json;
mod lists;
mod live;
mod live_tickets;
mod open_connections;
mod openapi;
mod page;
mod parameters;
mod patience;
mod problem;
mod request_counts;
mod request_log;
mod routes;
mod server;
mod state;
mod streams;
mod traffic;
mod watch;
mod web_policy;

pub use self::access::Needs;
pub use self::audit_report::{AuditReport, AuditedRejections, AuditedShow, AuditedVerdicts};
pub use self::certificate::{CertificateError, CertificateFiles, Certificates};
pub use self::client_limits::{ClientLimitSettings, ClientLimits};
pub use self::guard::{Guard, Tokens};
pub use self::health::Health;
pub use self::https::Https;
pub use self::live::{Live, LiveSettings};
pub use self::open_connections::ConnectionLimits;
pub use self::request_counts::{Answered, RequestCounts};
pub use self::routes::{Route, openapi, routes};
pub use self::server::{ServeError, Served, Serving, serve};
pub use self::state::{AcceptingState, ProcessState};
pub use self::web_policy::WebPolicy;
