//! The processes that a run has started, and the ways from them to their
//! servers: what faults happen to.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use black_box::local_servers::local_processes;
use black_box::program::{Program, Service};
use black_box::target::Target;
use tcp_proxy::{TcpProxy, Weather, host_and_port};
use test_servers::{Server, Servers, ports};
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::usage::Watch;
use crate::labels::{API, WORKER};

/// The way from the service's processes to a server.
pub(crate) struct Way {
    proxy: TcpProxy,
    /// Of every day.
    weather: Weather,
}

impl Way {
    /// To the server of this URL, whose answers come so much later.
    pub(crate) async fn to(url: &str, latency: Duration) -> anyhow::Result<Self> {
        let way = Self {
            proxy: TcpProxy::start(&host_and_port(url)).await?,
            weather: if latency.is_zero() {
                Weather::Fair
            } else {
                Weather::Distant(latency)
            },
        };
        way.mend();
        Ok(way)
    }

    /// The URL with this way in it.
    pub(crate) fn url(&self, url: &str) -> String {
        self.proxy.url(url)
    }

    /// Ends every connection; new ones are taken.
    pub(crate) fn cut(&self) {
        self.proxy.cut();
    }

    /// Nothing passes any more, and no connection ends.
    pub(crate) fn stall(&self) {
        self.proxy.set(Weather::Stalled);
    }

    /// Ends every connection and takes no new one.
    pub(crate) fn close(&self) {
        self.proxy.set(Weather::Down);
        self.proxy.cut();
    }

    /// As every day.
    pub(crate) fn mend(&self) {
        self.proxy.set(self.weather);
    }
}

/// A process with the port and the name that it keeps when it is replaced.
pub(crate) struct Member {
    role: &'static str,
    port: u16,
    service: Service,
    /// What reports call it, and which process it is now.
    pub(crate) watch: Watch,
}

impl Member {
    async fn start(program: &Program, role: &'static str, name: String) -> anyhow::Result<Self> {
        let port = ports::lasting()?;
        let service = program.serve_on(port, role).await?;
        Ok(Self {
            role,
            port,
            watch: Watch::new(name, service.process.id()),
            service,
        })
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.service.process.kill().await
    }

    /// SIGTERM, and the end that follows.
    pub(crate) async fn end(&mut self) -> anyhow::Result<()> {
        self.service.process.stop().await
    }

    /// Stands still for a while.
    pub(crate) async fn freeze(&self, lasts: Duration) -> anyhow::Result<()> {
        self.service.process.signal("STOP").await?;
        sleep(lasts).await;
        self.service.process.signal("CONT").await
    }

    /// Another process takes its place, on its port.
    pub(crate) async fn start_again(&mut self, program: &Program) -> anyhow::Result<()> {
        self.service = program.serve_on(self.port, self.role).await?;
        self.watch.becomes(self.service.process.id());
        Ok(())
    }
}

/// The ways that there are; without one, processes connect to the server itself.
#[derive(Default)]
pub(crate) struct Ways {
    /// To each node of the broker.
    pub(crate) broker: Vec<Way>,
    /// To the store.
    pub(crate) store: Vec<Way>,
}

/// An api process and workers. What happens to one of them takes its lock for that time.
pub(crate) struct Fleet {
    /// The program with its configuration.
    pub(crate) program: Program,
    /// Takes the orders.
    pub(crate) api: Mutex<Member>,
    /// Decide them.
    pub(crate) workers: Vec<Mutex<Member>>,
    /// From them to their servers.
    pub(crate) ways: Ways,
    servers: Servers,
    /// Of those that are processes of this machine.
    pub(crate) server_watches: Vec<Watch>,
}

impl Fleet {
    /// Starts an api process and so many workers, whose configuration leads over
    /// these ways to these servers.
    pub(crate) async fn start(
        program: Program,
        workers: u32,
        ways: Ways,
        servers: Servers,
    ) -> anyhow::Result<Self> {
        let api = Member::start(&program, "api", API.to_owned()).await?;
        let mut started = Vec::new();
        for number in 1..=workers {
            let name = if workers > 1 {
                format!("{WORKER} {number}")
            } else {
                WORKER.to_owned()
            };
            started.push(Mutex::new(Member::start(&program, "worker", name).await?));
        }
        Ok(Self {
            program,
            api: Mutex::new(api),
            workers: started,
            ways,
            server_watches: local_processes(&servers)?
                .into_iter()
                .map(|server| Watch::new(server.name, server.id))
                .collect(),
            servers,
        })
    }

    /// Where orders are taken.
    pub(crate) async fn target(&self) -> Target {
        self.api.lock().await.service.target.clone()
    }

    /// All processes.
    fn members(&self) -> impl Iterator<Item = &Mutex<Member>> {
        std::iter::once(&self.api).chain(&self.workers)
    }

    /// What reports call the processes, and which they are now.
    pub(crate) async fn watches(&self) -> Vec<Watch> {
        let mut watches = Vec::new();
        for member in self.members() {
            watches.push(member.lock().await.watch.clone());
        }
        watches.extend(self.server_watches.iter().cloned());
        watches
    }

    /// Where the metrics of all processes are read.
    pub(crate) async fn metrics(&self) -> Vec<SocketAddr> {
        let mut addresses = Vec::new();
        for member in self.members() {
            addresses.push(member.lock().await.service.metrics);
        }
        addresses
    }

    /// Breaks a node of the broker for a while, and waits until it is a member again.
    pub(crate) async fn break_node(
        &self,
        number: u32,
        breaks: &'static str,
        lasts: Duration,
        mends: &'static str,
    ) -> anyhow::Result<()> {
        let cluster = self.servers.cluster()?;
        let node = (number + 1).to_string();
        cluster.run(&[breaks, &node]).await?;
        sleep(lasts).await;
        cluster.run(&[mends, &node]).await?;
        // Nodes before RabbitMQ 4.3 that lost each other need an operator.
        cluster.run(&["reset"]).await
    }

    /// SIGKILL of a server, which is started again on its data after a while.
    pub(crate) async fn kill_server(&self, server: Server, down: Duration) -> anyhow::Result<()> {
        self.servers.kill(server).await?;
        sleep(down).await;
        self.servers.start(server).await?;
        for now in local_processes(&self.servers)? {
            let watches = self.server_watches.iter();
            for watch in watches.filter(|watch| watch.name == now.name) {
                watch.becomes(now.id);
            }
        }
        Ok(())
    }

    /// Starts again what has ended, as a supervisor would, and says what that
    /// was: nothing ends by itself.
    pub(crate) async fn supervise(&self) -> Vec<String> {
        let mut found = Vec::new();
        for member in self.members() {
            // To one that is locked happens what was planned.
            let Ok(mut member) = member.try_lock() else {
                continue;
            };
            let ended = match member.service.process.ended() {
                Ok(None) => continue,
                Ok(Some(status)) => format!("ended by itself: {status}"),
                Err(error) => format!("{error:#}"),
            };
            found.push(format!("{}: {ended}", member.watch.name));
            if let Err(error) = member.start_again(&self.program).await {
                found.push(format!("{}: {error:#}", member.watch.name));
            }
        }
        found
    }

    /// Stops everything, workers first.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        for worker in self.workers {
            worker.into_inner().end().await?;
        }
        self.api.into_inner().end().await
    }

    /// The worker of this number.
    pub(crate) fn worker(&self, number: u32) -> anyhow::Result<&Mutex<Member>> {
        let worker = self.workers.get(usize::try_from(number)?);
        worker.with_context(|| format!("there is no worker {number}"))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::{Instant, timeout};

    use super::*;

    const LATENCY: Duration = Duration::from_millis(40);
    /// A service that would answer has answered by then.
    const SHORT: Duration = Duration::from_millis(300);
    /// Only what hangs takes so long, however busy the machine.
    const LONG: Duration = Duration::from_secs(60);

    /// The URL of a server that answers every byte.
    async fn echo() -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("echo://{}/x", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = client.split();
                    let _ended = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        url
    }

    async fn connect(way: &Way, url: &str) -> TcpStream {
        let address = host_and_port(&way.url(url));
        TcpStream::connect(address).await.unwrap()
    }

    /// Whether a byte is answered: `None` if neither an answer nor an end comes in
    /// that time.
    async fn answers_within(patience: Duration, client: &mut TcpStream) -> Option<bool> {
        let asking = async {
            client.write_all(b"x").await?;
            client.read_u8().await
        };
        timeout(patience, asking)
            .await
            .ok()
            .map(|byte| byte.is_ok())
    }

    async fn answers(client: &mut TcpStream) -> Option<bool> {
        answers_within(LONG, client).await
    }

    #[tokio::test]
    async fn a_way_breaks_and_is_as_it_was() {
        let url = echo().await;
        let way = Way::to(&url, LATENCY).await.unwrap();
        let mut client = connect(&way, &url).await;
        assert_eq!(answers(&mut client).await, Some(true));

        way.stall();
        assert_eq!(answers_within(SHORT, &mut client).await, None);
        way.mend();
        // What was on its way arrives.
        assert_eq!(
            timeout(LONG, client.read_u8()).await.unwrap().unwrap(),
            b'x'
        );

        way.cut();
        assert_eq!(answers(&mut client).await, Some(false));
        let mut client = connect(&way, &url).await;
        assert_eq!(answers(&mut client).await, Some(true));

        way.close();
        assert_eq!(answers(&mut client).await, Some(false));
        let mut refused = connect(&way, &url).await;
        assert_eq!(answers(&mut refused).await, Some(false));

        way.mend();
        let mut client = connect(&way, &url).await;
        let asked = Instant::now();
        assert_eq!(answers(&mut client).await, Some(true));
        assert!(asked.elapsed() >= LATENCY);
    }
}
