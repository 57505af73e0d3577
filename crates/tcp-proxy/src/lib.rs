//! A TCP proxy between a process and a service, for faults on the way.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

/// Bytes that are passed on at a time.
const PIECE: usize = 16 * 1_024;
/// Answers on their way from a distant service, at most.
const PIECES_ON_THE_WAY: usize = 64;

/// What happens to bytes and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Everything passes.
    Fair,
    /// Nothing passes, and no connection ends: a cable that is pulled.
    Stalled,
    /// What clients say passes; what the service answers does not.
    Mute,
    /// What the service answers passes, but for every piece with one of these in it: that is
    /// lost.
    Without(&'static [&'static [u8]]),
    /// New connections are closed at once, as of a service that is down.
    Down,
    /// Every piece of up to 16 KiB takes so much longer.
    Slow(Duration),
    /// Every answer comes so much later, however many are on their way: a
    /// service that is far away.
    Distant(Duration),
}

/// A proxy on a port of its own; gone when dropped.
pub struct TcpProxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    cuts: broadcast::Sender<()>,
    said: broadcast::Sender<Vec<u8>>,
    forgotten: broadcast::Sender<()>,
    target: watch::Sender<String>,
    accepting: JoinHandle<()>,
}

impl TcpProxy {
    /// Starts one in front of `target`, which is `host:port`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(target: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (weather, watching) = watch::channel(Weather::Fair);
        let (cuts, _) = broadcast::channel(1);
        let (said, _) = broadcast::channel(1);
        let (forgotten, _) = broadcast::channel(1);
        let (target, targets) = watch::channel(target.to_owned());
        let (cutting, saying) = (cuts.clone(), said.clone());
        let forgetting = forgotten.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *watching.borrow() == Weather::Down {
                    continue;
                }
                let (target, watching) = (targets.borrow().clone(), watching.clone());
                let mut cut = cutting.subscribe();
                let said = saying.subscribe();
                let mut forgotten = forgetting.subscribe();
                tokio::spawn(async move {
                    let mut relaying = pin!(relay(client, &target, watching, said));
                    tokio::select! {
                        // What is cut before the weather changes passes nothing any more.
                        biased;
                        _ = cut.recv() => {}
                        Ok(()) = forgotten.recv() => {
                            // Its connections stay open as long as it is not dropped.
                            let _cut = cut.recv().await;
                        }
                        () = &mut relaying => {}
                    }
                });
            }
        });
        Ok(Self {
            address,
            weather,
            cuts,
            said,
            forgotten,
            target,
            accepting,
        })
    }

    /// The address that the proxy listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `url`, which names the target, with the proxy in its place.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        url.replacen(&host_and_port(url), &self.address.to_string(), 1)
    }

    /// Changes how the proxy treats connections from now on.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// New connections lead to another service, `host:port`; those that there are stay where they
    /// are.
    pub fn lead_to(&self, target: &str) {
        self.target.send_replace(target.to_owned());
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.cuts.receiver_count()
    }

    /// Ends every connection that there is; new ones are taken.
    pub fn cut(&self) {
        // Without a connection nobody hears it.
        let _connections = self.cuts.send(());
    }
}

impl TcpProxy {
    /// Leaves every connection that there is as it is, for ever: what stalls now
    /// stalls although the weather changes.
    pub fn forget(&self) {
        // Without a connection nobody hears it.
        let _connections = self.forgotten.send(());
    }

    /// Says something to every client in the service's place, between two
    /// pieces of what the service itself says.
    pub fn say(&self, bytes: &[u8]) {
        // Without a connection nobody hears it.
        let _connections = self.said.send(bytes.to_vec());
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

async fn relay(
    client: TcpStream,
    target: &str,
    weather: watch::Receiver<Weather>,
    mut said: broadcast::Receiver<Vec<u8>>,
) {
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    for stream in [&client, &server] {
        // Only latency depends on it.
        let _set = stream.set_nodelay(true);
    }
    let (mut from_client, mut to_client) = split(client);
    let (mut from_server, mut to_server) = split(server);
    let questions = async {
        let mut weather = weather.clone();
        let mut piece = vec![0; PIECE];
        while let Ok(length @ 1..) = from_client.read(&mut piece).await {
            let passes = |weather: &Weather| *weather != Weather::Stalled;
            if pass(&mut weather, passes).await.is_none()
                || to_server.write_all(&piece[..length]).await.is_err()
            {
                return;
            }
        }
    };
    let answers = async {
        let mut weather = weather.clone();
        let mut piece = vec![0; PIECE];
        // Answers with the instants at which they may go on.
        let mut on_the_way: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
        loop {
            let distance = match *weather.borrow() {
                Weather::Distant(distance) => Some(distance),
                _ => None,
            };
            let room = distance.map_or(1, |_| PIECES_ON_THE_WAY);
            let first = on_the_way.front().map(|(due, _)| *due);
            let bytes = tokio::select! {
                biased;
                () = wait_until(first), if first.is_some() => None,
                Ok(bytes) = said.recv(), if on_the_way.len() < room => Some(bytes),
                read = from_server.read(&mut piece), if on_the_way.len() < room => match read {
                    Ok(length @ 1..) => Some(piece[..length].to_vec()),
                    _ => return,
                },
            };
            if let Some(bytes) = bytes {
                let due = Instant::now() + distance.unwrap_or_default();
                on_the_way.push_back((due, bytes));
                continue;
            }
            let Some((_, bytes)) = on_the_way.pop_front() else {
                continue;
            };
            if let Weather::Without(lost) = *weather.borrow()
                && lost
                    .iter()
                    .any(|lost| bytes.windows(lost.len()).any(|part| part == *lost))
            {
                continue;
            }
            let passes = |weather: &Weather| !matches!(weather, Weather::Stalled | Weather::Mute);
            if pass(&mut weather, passes).await.is_none()
                || to_client.write_all(&bytes).await.is_err()
            {
                return;
            }
        }
    };
    tokio::select! {
        () = questions => {}
        () = answers => {}
    }
}

/// Not by the timer where the instant has come: it would take a millisecond more.
async fn wait_until(instant: Option<Instant>) {
    if let Some(instant) = instant.filter(|instant| *instant > Instant::now()) {
        sleep_until(instant).await;
    }
}

/// Waits until a piece may go on; `None` when the proxy is gone.
async fn pass(
    weather: &mut watch::Receiver<Weather>,
    passes: impl FnMut(&Weather) -> bool,
) -> Option<()> {
    let weather = *weather.wait_for(passes).await.ok()?;
    if let Weather::Slow(delay) = weather {
        sleep(delay).await;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every byte.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = client.split();
                    let _ended = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    #[test]
    fn host_and_port_are_behind_the_password() {
        let with_path = host_and_port("amqp://guest:a@b@127.0.0.1:35672/%2f");
        assert_eq!(with_path, "127.0.0.1:35672");
        assert_eq!(host_and_port("mysql://[::1]:3306"), "[::1]:3306");
        assert_eq!(host_and_port("mysql://u:p@db"), "db");
    }

    /// In simulated time, which a busy machine does not change. What arrives while an
    /// answer is on its way would arrive a whole distance after it.
    #[tokio::test(start_paused = true)]
    async fn answers_of_a_distant_service_overlap() {
        let proxy = TcpProxy::start(&echo().await.to_string()).await.unwrap();
        let distance = Duration::from_millis(40);
        proxy.set(Weather::Distant(distance));
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        let started = Instant::now();
        let mut answer = [0; 10];
        for number in 0..10 {
            client.write_all(&[number]).await.unwrap();
            sleep(Duration::from_millis(1)).await;
        }
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let took = started.elapsed();
        assert!(took >= distance && took < distance * 3 / 2, "{took:?}");
    }
}
