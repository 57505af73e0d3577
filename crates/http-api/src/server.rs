//! Connections and threads: everything below routes.

use std::future::ready;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive};
use actix_server::{GracefulShutdownSignal, Server};
use actix_service::{
    IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config,
};
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use actix_web::{App, web};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::admission::Admission;
use crate::client_stream::{ClientStream, Patience};
use crate::open_connections::{ConnectionLimits, OpenConnections};
use crate::parameters::malformed_path;
use crate::problem::MAX_BODY;
use crate::routes;
use crate::state::{AcceptingState, Process, ProcessState, State};
use crate::watch::watch;

/// For a client that was answered before it had said all to read the answer.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The timeouts and limits of the HTTP server.
#[derive(Debug, Clone, Copy)]
pub struct Serving {
    /// A peer that takes nothing of what is sent to it for so long is cut off.
    pub peer_timeout: Duration,
    /// From a request's first byte to its last.
    pub request_timeout: Duration,
    /// Between an answer and the next request.
    pub keep_alive: Duration,
    /// How many clients at the same time.
    pub connections: ConnectionLimits,
}

/// Serves at `address` and returns the one that it got, which differs for port
/// 0. Signals are the caller's. A process that is not `accepting` serves only its health.
///
/// # Errors
/// When the address cannot be listened on.
pub fn serve(
    address: SocketAddr,
    process: Arc<ProcessState>,
    accepting: Option<Arc<AcceptingState>>,
    serving: Serving,
) -> io::Result<(Server, SocketAddr)> {
    /// The caller stops when no request is in flight; what is left is writing
    /// the last answers, and idle connections that their clients keep open.
    const LAST_ANSWERS_SECONDS: u64 = 1;

    let threads = available_parallelism().map_or(1, usize::from);
    let connections = Arc::new(OpenConnections::new(serving.connections));
    // The server counts by thread.
    let accepted_by_thread = (serving.connections.accepted / threads).max(1);
    let listener = listen(address)?;
    let address = listener.local_addr()?;
    let server = Server::build()
        .workers(threads)
        .max_concurrent_connections(accepted_by_thread)
        .disable_signals()
        .shutdown_timeout(LAST_ANSWERS_SECONDS);
    let stopping = server.graceful_shutdown_signal();
    let server = server.listen("http", listener, move || {
        let accepting = accepting.clone();
        thread(&process, accepting, &connections, serving, stopping.clone())
    })?;
    Ok((server.run(), address))
}

/// A socket that takes connections.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    /// When a sale opens, thousands connect in the same instant; who finds the
    /// queue full tries again a second later. The system may allow fewer.
    const WAITING_CONNECTIONS: i32 = 4_096;

    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(WAITING_CONNECTIONS)?;
    Ok(socket.into())
}

/// What each thread of the server does with a connection.
fn thread(
    process: &Arc<ProcessState>,
    accepting: Option<Arc<AcceptingState>>,
    connections: &Arc<OpenConnections>,
    serving: Serving,
    stopping: GracefulShutdownSignal,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()>
+ use<> {
    let process = Process::new(Arc::clone(process));
    let watched = process.clone();
    let limits = Arc::clone(&process.limits);
    let app = App::new()
        .app_data(process.clone())
        .app_data(web::PayloadConfig::new(MAX_BODY))
        .app_data(web::PathConfig::default().error_handler(malformed_path))
        .wrap(Admission(Arc::clone(&limits)))
        .wrap_fn(move |request, inner| watch(watched.clone(), request, inner))
        .configure(|services| routes::serve(services, accepting.map(State::new)))
        .default_service(web::to(routes::not_found))
        .into_factory()
        .map_err(actix_web::Error::from);
    let patience = Patience {
        request: serving.request_timeout,
        answer: serving.peer_timeout,
    };
    let http = HttpService::build()
        .keep_alive(KeepAlive::Timeout(serving.keep_alive))
        // `ClientStream` has this for all requests, not only the first.
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(LAST_WORDS)
        // Who closes has given up: a request that waits is dropped with its
        // connection, instead of piling up while impatient clients send again.
        .h1_allow_half_closed(false)
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
        .on_connect_ext(|stream: &ClientStream, extensions| {
            extensions.insert(Rc::clone(stream.client()));
        })
        .h1(map_config(app, |()| AppConfig::default()))
        .map_err(move |error| {
            process.failures.broken_off(&error);
            error
        });
    let connections = Arc::clone(connections);
    fn_service(move |tcp: TcpStream| {
        let peer = tcp.peer_addr().ok();
        let place = peer.map(|peer| limits.enter_connection(peer.ip()));
        let Ok(place) = place.transpose() else {
            return ready(Err(DispatchError::Io(ErrorKind::QuotaExceeded.into())));
        };
        prepare(&tcp, serving.peer_timeout);
        let connection = connections.enter(place.flatten());
        let stream = ClientStream::new(tcp, connection, patience);
        ready(Ok((stream, peer)))
    })
    .and_then(http)
}

/// Two things that the server leaves to the system's defaults.
///
/// A message is sent at once, not when the one before it is acknowledged: that
/// would add 40 ms to a verdict.
///
/// While a peer takes nothing, the server only waits, with no limit of its own: a
/// stream to a machine that was switched off, or to a client that stopped reading,
/// would stay for ever. Linux ends such a connection itself (`TCP_USER_TIMEOUT`, RFC 5482).
fn prepare(stream: &TcpStream, peer_timeout: Duration) {
    // Without either the connection works all the same.
    let _at_once = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _limited = SockRef::from(stream).set_tcp_user_timeout(Some(peer_timeout));
}
