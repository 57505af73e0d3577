//! `GET /metrics`, at an address of its own, so that what buyers reach does not show it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::KeepAlive;
use actix_web::http::header::{ALLOW, CONTENT_TYPE};
use actix_web::{App, HttpResponse, HttpServer, web};

use crate::Metrics;

/// A listener that is to be run, and where it listens: for port 0, at a port that it got.
pub struct Served {
    /// Ends when it is stopped by its handle.
    pub server: Server,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Answers `GET /metrics` at `address`, in a thread of its own. Signals are the caller's. Must be
/// called inside of a tokio runtime.
///
/// # Errors
/// When it cannot listen there.
pub fn serve(address: SocketAddr, metrics: Metrics) -> io::Result<Served> {
    /// Only a few machines of the operator's read metrics.
    const CONNECTIONS: usize = 16;
    const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

    let listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    let metrics = web::Data::from(Arc::new(metrics));
    let server = HttpServer::new(move || {
        let path = web::resource("/metrics")
            .route(web::get().to(read))
            .default_service(web::to(other_method));
        App::new().app_data(metrics.clone()).service(path)
    })
    .workers(1)
    .max_connections(CONNECTIONS)
    .client_request_timeout(REQUEST_TIMEOUT)
    // Who asks again and again without reading would keep the others out.
    .keep_alive(KeepAlive::Disabled)
    .disable_signals()
    .listen(listener)?
    .run();
    Ok(Served { server, address })
}

async fn read(metrics: web::Data<Metrics>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, Metrics::CONTENT_TYPE))
        .body(metrics.text())
}

async fn other_method() -> HttpResponse {
    let mut answer = HttpResponse::MethodNotAllowed();
    answer.insert_header((ALLOW, "GET")).finish()
}
