//! A TCP proxy between a process and a service, for faults on the way.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// What happens to bytes and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Everything passes.
    Fair,
    /// Nothing passes, and no connection ends: a cable that is pulled.
    Stalled,
    /// New connections are closed at once, as of a service that is down.
    Down,
    /// Every piece of up to 16 KiB takes so much longer.
    Slow(Duration),
}

/// A proxy on a port of its own; gone when dropped.
pub struct TcpProxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    cuts: broadcast::Sender<()>,
    accepting: JoinHandle<()>,
}

impl TcpProxy {
    /// Starts one in front of `target`, which is `host:port`.
    ///
    /// # Panics
    /// When no port can be had.
    #[expect(clippy::unwrap_used, reason = "fails the test that needs it")]
    pub async fn start(target: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (weather, watching) = watch::channel(Weather::Fair);
        let (cuts, _) = broadcast::channel(1);
        let (target, cutting) = (target.to_owned(), cuts.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *watching.borrow() == Weather::Down {
                    continue;
                }
                let (target, watching) = (target.clone(), watching.clone());
                let mut cut = cutting.subscribe();
                tokio::spawn(async move {
                    tokio::select! {
                        () = relay(client, &target, watching) => {}
                        _ = cut.recv() => {}
                    }
                });
            }
        });
        Self {
            address,
            weather,
            cuts,
            accepting,
        }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `url`, which names the target, with the proxy in its place.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        url.replacen(&host_and_port(url), &self.address.to_string(), 1)
    }

    /// From now on.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Ends every connection that there is; new ones are taken.
    pub fn cut(&self) {
        // Without a connection nobody hears it.
        let _connections = self.cuts.send(());
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

/// `host:port` of a URL such as `amqp://user:password@host:port/path`.
#[must_use]
pub fn host_and_port(url: &str) -> String {
    let rest = url.split("://").nth(1).unwrap_or(url);
    let authority = rest.split('/').next().unwrap_or(rest);
    authority.rsplit('@').next().unwrap_or(authority).to_owned()
}

async fn relay(client: TcpStream, target: &str, weather: watch::Receiver<Weather>) {
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    for stream in [&client, &server] {
        // Only latency depends on it.
        let _set = stream.set_nodelay(true);
    }
    let (from_client, to_client) = split(client);
    let (from_server, to_server) = split(server);
    tokio::select! {
        () = pass(from_client, to_server, weather.clone()) => {}
        () = pass(from_server, to_client, weather) => {}
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut weather: watch::Receiver<Weather>,
) {
    let mut piece = vec![0; 16 * 1_024];
    loop {
        let Ok(length @ 1..) = from.read(&mut piece).await else {
            return;
        };
        let passes = weather.wait_for(|weather| *weather != Weather::Stalled);
        let Ok(weather) = passes.await.map(|weather| *weather) else {
            return;
        };
        if let Weather::Slow(delay) = weather {
            sleep(delay).await;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}
