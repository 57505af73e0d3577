//! HTTP: parse, call a use case, answer. Routes are in [`routes`].

mod admin;
mod body;
mod health;
mod parameters;
mod problem;
mod shows;
mod tickets;
mod traffic;
mod users;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, HttpServer, Resource, Route, guard, web};
use domain::ports::Dependency;
use domain::use_cases::BoxOffice;
use secrecy::SecretString;

use self::admin::AdminToken;
use self::parameters::malformed_path;
use self::problem::{ApiError, FailureLog};
use self::traffic::Traffic;

/// More than any request of this API needs, in bytes.
const MAX_BODY: usize = 16 * 1_024;

type Answer = Result<HttpResponse, ApiError>;
type State = web::Data<HttpState>;

/// What handlers share.
pub(crate) struct HttpState {
    pub(crate) office: BoxOffice,
    pub(crate) traffic: Traffic,
    dependencies: Vec<Arc<dyn Dependency>>,
    admin_token: Option<AdminToken>,
    failures: FailureLog,
}

impl HttpState {
    pub(crate) fn new(
        office: BoxOffice,
        dependencies: Vec<Arc<dyn Dependency>>,
        admin_token: Option<&SecretString>,
    ) -> Self {
        Self {
            office,
            traffic: Traffic::default(),
            dependencies,
            admin_token: admin_token.map(AdminToken::new),
            failures: FailureLog::default(),
        }
    }
}

/// Serves at `address` and returns the one that it got, which differs for port
/// 0; only health unless the process `accepts` orders. Signals are the caller's.
pub(crate) fn serve(
    address: SocketAddr,
    state: Arc<HttpState>,
    accepts: bool,
) -> io::Result<(Server, SocketAddr)> {
    /// When a sale opens, thousands connect in the same instant; who finds the
    /// queue full tries again a second later. The system may allow fewer.
    const WAITING_CONNECTIONS: u32 = 4_096;

    /// The caller stops when no request is in flight; what is left is writing
    /// the last answers, and idle connections that their clients keep open.
    const LAST_ANSWERS_SECONDS: u64 = 1;

    let state = web::Data::from(state);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .app_data(web::PayloadConfig::new(MAX_BODY))
            .app_data(web::PathConfig::default().error_handler(malformed_path))
            .wrap(from_fn(traffic::watch))
            .configure(|services| routes(services, accepts))
            .default_service(web::to(route_not_found))
    })
    .disable_signals()
    .shutdown_timeout(LAST_ANSWERS_SECONDS)
    .backlog(WAITING_CONNECTIONS)
    .bind(address)?;
    let address = server.addrs().first().copied().unwrap_or(address);
    Ok((server.run(), address))
}

fn routes(services: &mut web::ServiceConfig, accepts: bool) {
    services
        .service(resource("/health", "GET, HEAD").route(get().to(health::up)))
        .service(resource("/health/live", "GET, HEAD").route(get().to(health::up)))
        .service(resource("/health/ready", "GET, HEAD").route(get().to(health::ready)));
    if !accepts {
        return;
    }
    services
        .service(
            resource("/tickets", "GET, HEAD, POST")
                .route(web::post().to(tickets::place))
                .route(get().to(tickets::list)),
        )
        .service(resource("/tickets/{id}", "GET, HEAD").route(get().to(tickets::read)))
        .service(resource("/tickets/{id}/confirm", "POST").route(web::post().to(tickets::confirm)))
        .service(resource("/tickets/{id}/cancel", "POST").route(web::post().to(tickets::cancel)))
        .service(
            resource("/shows", "GET, HEAD, POST")
                .route(web::post().to(shows::create))
                .route(get().to(shows::list)),
        )
        .service(
            resource("/shows/{id}", "GET, HEAD, PATCH")
                .route(web::patch().to(shows::change))
                .route(get().to(shows::read)),
        )
        .service(
            resource("/users", "GET, HEAD, POST")
                .route(web::post().to(users::create))
                .route(get().to(users::list)),
        )
        .service(
            resource("/users/{id}", "GET, HEAD, PATCH")
                .route(web::patch().to(users::change))
                .route(get().to(users::read)),
        )
        .service(resource("/admin/audit", "GET, HEAD").route(get().to(admin::audit)));
}

/// A resource that answers other methods than those it `allows` with 405.
fn resource(path: &str, allows: &'static str) -> Resource {
    let refuse = move || async move { Answer::Err(ApiError::MethodNotAllowed { allows }) };
    web::resource(path).default_service(web::to(refuse))
}

fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

async fn route_not_found() -> Answer {
    Err(ApiError::RouteNotFound)
}
