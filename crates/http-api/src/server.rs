//! Connections and threads: everything below routes.

use std::future::ready;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive, Protocol};
use actix_server::{GracefulShutdownSignal, Server};
use actix_service::{
    IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config,
};
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use actix_web::{App, web};
use socket2::{Domain, SockRef, Socket, Type};
use tokio_util::either::Either;

use crate::admission::Admission;
use crate::client_stream::{ClientStream, Stop};
use crate::https::{Acceptor, Https};
use crate::open_connections::{ConnectionLimits, OpenConnection, OpenConnections};
use crate::parameters::malformed_path;
use crate::patience::Patience;
use crate::problem::MAX_BODY;
use crate::routes;
use crate::state::{AcceptingState, Process, ProcessState, State};
use crate::watch::watch;
use crate::web_policy::{Rules, WebPolicy, admit, tell};

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

/// A server that is to be run, and where it listens: for port 0, at a port that it got.
pub struct Served {
    /// Ends when it is stopped by its handle.
    pub server: Server,
    /// Of plain HTTP.
    pub http: SocketAddr,
    /// Of HTTPS.
    pub https: Option<SocketAddr>,
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Its address is in use, or not this machine's.
    #[error("server.host, server.port: cannot listen on {0}")]
    Http(SocketAddr, #[source] io::Error),
    /// Its address is in use, or not this machine's.
    #[error("server.host, tls.port: cannot listen on {0}")]
    Https(SocketAddr, #[source] io::Error),
    /// The system has no random numbers for keys.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// Serves plain HTTP at `address`, and HTTPS. Signals are the caller's. A process that is not
/// `accepting` serves only its health.
///
/// # Errors
/// When an address cannot be listened on.
pub fn serve(
    address: SocketAddr,
    https: Option<&Https>,
    process: Arc<ProcessState>,
    accepting: Option<Arc<AcceptingState>>,
    policy: &Arc<WebPolicy>,
    serving: Serving,
) -> Result<Served, ServeError> {
    /// The caller stops when no request is in flight; what is left is writing
    /// the last answers, and idle connections that their clients keep open.
    const LAST_ANSWERS_SECONDS: u64 = 1;

    let threads = available_parallelism().map_or(1, usize::from);
    // The server counts by thread.
    let accepted_by_thread = (serving.connections.accepted / threads).max(1);
    let server = Server::build()
        .workers(threads)
        .max_concurrent_connections(accepted_by_thread)
        .disable_signals()
        .shutdown_timeout(LAST_ANSWERS_SECONDS);
    let unread = process.requests.of_no_route();
    let parts = Parts {
        process,
        accepting,
        connections: Arc::new(OpenConnections::new(serving.connections, unread)),
        serving,
        stopping: server.graceful_shutdown_signal(),
    };
    let thread = |acceptor: Option<Acceptor>, https: Option<SocketAddr>| {
        let (parts, policy) = (parts.clone(), Arc::clone(policy));
        move || {
            let rules = match acceptor {
                None => {
                    // Of all threads: each serves plain HTTP.
                    parts.process.note_thread();
                    Rules::of_http(&policy, https.map(|https| https.port()))
                }
                Some(_) => Rules::of_https(&policy),
            };
            parts.clone().thread(acceptor.clone(), rules)
        }
    };
    let mut server = server;
    let mut https_address = None;
    if let Some(https) = https {
        let acceptor = https.acceptor()?;
        let listened = listen(https.address).and_then(|(listener, address)| {
            let server = server.listen("https", listener, thread(Some(acceptor), None))?;
            Ok((server, address))
        });
        let listened = listened.map_err(|error| ServeError::Https(https.address, error))?;
        server = listened.0;
        https_address = Some(listened.1);
    }
    let listened = listen(address).and_then(|(listener, address)| {
        let server = server.listen("http", listener, thread(None, https_address))?;
        Ok((server, address))
    });
    let (server, http) = listened.map_err(|error| ServeError::Http(address, error))?;
    Ok(Served {
        server: server.run(),
        http,
        https: https_address,
    })
}

/// A socket that takes connections, and its address.
fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    /// When a sale opens, thousands connect in the same instant; who finds the
    /// queue full tries again a second later. The system may allow fewer.
    const WAITING_CONNECTIONS: i32 = 4_096;

    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(WAITING_CONNECTIONS)?;
    let listener = TcpListener::from(socket);
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// A connection before its first byte, and who is at its other end.
type Accepted = (TcpStream, OpenConnection, Option<SocketAddr>);

/// What all threads of the server share.
#[derive(Clone)]
struct Parts {
    process: Arc<ProcessState>,
    accepting: Option<Arc<AcceptingState>>,
    connections: Arc<OpenConnections>,
    serving: Serving,
    stopping: GracefulShutdownSignal,
}

impl Parts {
    /// What a thread of the server does with a connection, over TLS if there is an `acceptor`.
    fn thread(
        self,
        acceptor: Option<Acceptor>,
        rules: Rules,
    ) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()>
    {
        let Self {
            process,
            accepting,
            connections,
            serving,
            stopping,
        } = self;
        let limits = Arc::clone(&process.limits);
        let counts = Arc::clone(&process);
        let process = Process::new(process);
        let watched = process.clone();
        let rules = Rc::new(rules);
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let admitting = Rc::clone(&rules);
        let app = App::new()
            .app_data(process.clone())
            .app_data(web::PayloadConfig::new(MAX_BODY))
            .app_data(web::PathConfig::default().error_handler(malformed_path))
            .wrap_fn(move |request, inner| admit(&admitting, request, inner))
            .wrap(Admission(Arc::clone(&limits)))
            .wrap_fn(move |request, inner| watch(watched.clone(), scheme, request, inner))
            .wrap_fn(move |request, inner| tell(&rules, request, inner))
            .configure(|services| {
                routes::serve(services, accepting.map(State::new), &counts.requests);
            })
            .default_service(web::to(routes::not_found))
            .into_factory()
            .map_err(actix_web::Error::from);
        let patience = Patience {
            request: serving.request_timeout,
            answer: serving.peer_timeout,
            keep_alive: serving.keep_alive,
        };
        let stop = stopping.clone();
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
            .finish(map_config(app, |()| AppConfig::default()));
        let served = fn_service(move |(tcp, connection, peer): Accepted| {
            let (acceptor, stop) = (acceptor.clone(), stop.clone());
            async move {
                let begun = begin(tcp, connection, acceptor.as_ref(), patience, stop).await;
                begun.map(|(stream, protocol)| (stream, protocol, peer))
            }
        })
        .and_then(http)
        .map_err(move |error| {
            process.failures.broken_off(&error);
            error
        });
        fn_service(move |tcp: TcpStream| {
            let peer = tcp.peer_addr().ok();
            let place = peer.map(|peer| limits.enter_connection(peer.ip()));
            let Ok(place) = place.transpose() else {
                return ready(Err(DispatchError::Io(ErrorKind::QuotaExceeded.into())));
            };
            prepare(&tcp, serving.peer_timeout);
            // From here on it counts, whether its client ever says anything or not.
            ready(Ok((tcp, connections.enter(place.flatten()), peer)))
        })
        .and_then(served)
    }
}

/// What HTTP reads from and writes to, after the handshake if there is an `acceptor`, and which
/// version of HTTP its two ends speak.
async fn begin(
    tcp: TcpStream,
    connection: OpenConnection,
    acceptor: Option<&Acceptor>,
    patience: Patience,
    stop: GracefulShutdownSignal,
) -> Result<(ClientStream, Protocol), DispatchError> {
    let (transport, protocol) = match acceptor {
        None => (Either::Left(tcp), Protocol::Http1),
        Some(acceptor) => {
            let shaken = acceptor.shake_hands(tcp, patience.request).await;
            let (stream, protocol) = shaken.map_err(DispatchError::Io)?;
            (Either::Right(stream), protocol)
        }
    };
    let stop = (protocol == Protocol::Http2)
        .then(|| -> Stop { Box::pin(async move { stop.notified().await }) });
    let stream = ClientStream::new(transport, connection, patience, stop);
    Ok((stream, protocol))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Plain or not: TLS takes the socket afterwards.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_socket_is_prepared_before_anything_is_read_of_it() {
        const TIMEOUT: Duration = Duration::from_secs(7);
        let (listener, address) = listen(([127, 0, 0, 1], 0).into()).unwrap();
        let client = TcpStream::connect(address).await.unwrap();
        drop(listener);
        prepare(&client, TIMEOUT);
        assert!(client.nodelay().unwrap());
        let socket = SockRef::from(&client);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(TIMEOUT));
    }
}
