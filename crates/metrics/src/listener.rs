//! `GET /metrics`, at an address of its own, so that what buyers reach does not show it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{App, HttpResponse, HttpServer, web};

use crate::Metrics;

/// A listener that is to be run, and where it listens: for port 0, at a port that it got.
pub struct Served {
    /// Ends when it is stopped by its handle.
    pub server: Server,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Answers `GET /metrics` at `address`, in a thread of its own. Signals are the caller's.
///
/// # Errors
/// When it cannot listen there.
pub fn serve(address: SocketAddr, metrics: Arc<Metrics>) -> io::Result<Served> {
    /// Whoever reads metrics is a machine of the operator's, of which there are few.
    const CONNECTIONS: usize = 64;
    const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

    let listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    let metrics = web::Data::from(metrics);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(metrics.clone())
            .route("/metrics", web::get().to(read))
    })
    .workers(1)
    .max_connections(CONNECTIONS)
    .client_request_timeout(REQUEST_TIMEOUT)
    .shutdown_timeout(1)
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
