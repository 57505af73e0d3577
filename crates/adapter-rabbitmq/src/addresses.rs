//! Where the nodes of the broker are.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};
use parking_lot::Mutex;
use rand::RngExt;
use reqwest::Url;
use tokio::time::timeout;

use crate::error::{BrokerError, InvalidUrl};

/// How long one node may take to accept a connection. Each of three nodes gets its turn
/// before a caller that waits for five seconds gives up.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// Before its purpose, in the broker's list of connections.
pub(crate) const CONNECTION_NAME: &str = "tickets ";
/// Either side gives a silent connection up after about twice this time.
const HEARTBEAT_SECONDS: u16 = 4;

/// The nodes, and which of them is used. Processes start at one by chance, so that they
/// spread over all nodes.
pub(crate) struct Addresses {
    nodes: Arc<[Node]>,
    used: AtomicUsize,
}

struct Node {
    uri: AMQPUri,
    /// Until when other nodes are tried first, by every connection of this process.
    avoided: Mutex<Option<Instant>>,
}

/// The URLs hold the password.
impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.nodes.iter().map(|node| &node.uri.authority.host))
            .finish()
    }
}

impl Addresses {
    pub(crate) fn parse(urls: &[String]) -> Result<Self, InvalidUrl> {
        let nodes: Arc<[Node]> = urls
            .iter()
            .map(|url| {
                let mut uri: AMQPUri = url.parse().map_err(|_| InvalidUrl)?;
                // The driver takes an IPv6 address for none, and goes to localhost.
                let host = url.parse::<Url>().map_err(|_| InvalidUrl)?;
                let host = host.host_str().and_then(|host| host.strip_prefix('['));
                if let Some(address) = host.and_then(|host| host.strip_suffix(']')) {
                    address.clone_into(&mut uri.authority.host);
                }
                uri.query.heartbeat = Some(HEARTBEAT_SECONDS);
                let avoided = Mutex::default();
                Ok(Node { uri, avoided })
            })
            .collect::<Result<_, InvalidUrl>>()?;
        if nodes.is_empty() {
            return Err(InvalidUrl);
        }
        Ok(Self::starting_anywhere(nodes))
    }

    fn starting_anywhere(nodes: Arc<[Node]>) -> Self {
        let used = AtomicUsize::new(rand::rng().random_range(0..nodes.len()));
        Self { nodes, used }
    }

    /// For another connection: what one learns about a node, both know.
    pub(crate) fn shared(&self) -> Self {
        Self::starting_anywhere(Arc::clone(&self.nodes))
    }

    /// As many as there are.
    pub(crate) fn count(&self) -> usize {
        self.nodes.len()
    }

    /// Host and port of the node that is used or tried now, for the log.
    pub(crate) fn current(&self) -> String {
        name(self.uri())
    }

    /// From now on another node is used, and this one is the last to be tried for `avoided`.
    pub(crate) fn turn(&self, avoided: Duration) {
        let now = Instant::now();
        let used = self.used.load(Ordering::Relaxed);
        let mut until = self.nodes[used].avoided.lock();
        *until = (*until).max(Some(now + avoided));
        drop(until);
        let others = (1..self.nodes.len()).map(|step| (used + step) % self.nodes.len());
        // The first in turn, of those that are avoided the one whose time is up first.
        let next =
            others.min_by_key(|node| self.nodes[*node].avoided.lock().filter(|at| *at > now));
        if let Some(next) = next {
            self.used.store(next, Ordering::Relaxed);
        }
    }

    /// A connection to the node that is used now.
    pub(crate) async fn connect(&self, purpose: &str) -> Result<Connection, BrokerError> {
        connect(self.uri(), purpose).await
    }

    /// A connection to each node, in their sequence, with its host and port.
    pub(crate) async fn connect_all(
        &self,
        purpose: &str,
    ) -> Vec<(String, Result<Connection, BrokerError>)> {
        let connecting = self.nodes.iter().map(async |node| {
            let connected = connect(&node.uri, purpose).await;
            (name(&node.uri), connected)
        });
        join_all(connecting).await
    }

    fn uri(&self) -> &AMQPUri {
        &self.nodes[self.used.load(Ordering::Relaxed)].uri
    }
}

fn name(uri: &AMQPUri) -> String {
    let (host, port) = (&uri.authority.host, uri.authority.port);
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

async fn connect(uri: &AMQPUri, purpose: &str) -> Result<Connection, BrokerError> {
    let name = format!("{CONNECTION_NAME}{purpose}");
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let connecting = Connection::connect_uri(uri.clone(), properties);
    match timeout(CONNECT_LIMIT, connecting).await {
        Ok(connected) => Ok(connected?),
        Err(_) => Err(BrokerError::TimedOut(CONNECT_LIMIT)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(urls: &[&str]) -> Result<Addresses, InvalidUrl> {
        let urls: Vec<_> = urls.iter().map(|url| (*url).to_owned()).collect();
        Addresses::parse(&urls)
    }

    #[test]
    fn every_node_gets_its_turn_and_processes_start_anywhere() {
        let urls = ["amqp://u:p@a:1", "amqp://u:p@b:2", "amqp://u:p@c:3"];
        let mut firsts = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let addresses = parsed(&urls).unwrap();
            firsts.insert(addresses.current());
            let mut seen: Vec<_> = (0..3)
                .map(|_| {
                    addresses.turn(Duration::ZERO);
                    addresses.current()
                })
                .collect();
            seen.sort();
            assert_eq!(seen, ["a:1", "b:2", "c:3"]);
        }
        assert_eq!(firsts.len(), 3);
    }

    #[test]
    fn a_node_that_one_connection_avoids_is_the_last_that_another_one_tries() {
        let urls = ["amqp://u:p@a:1", "amqp://u:p@b:2", "amqp://u:p@c:3"];
        for _ in 0..50 {
            let publishing = parsed(&urls).unwrap();
            let left = publishing.current();
            publishing.turn(Duration::from_secs(60));
            let consuming = publishing.shared();
            for _ in 0..5 {
                consuming.turn(Duration::from_secs(1));
                assert_ne!(consuming.current(), left);
            }
        }
    }

    #[tokio::test]
    async fn an_ipv6_address_leads_where_it_says() {
        for (url, name) in [
            ("amqp://u:p@[::1]:1/sales", "[::1]:1"),
            ("amqp://[fd00::7]", "[fd00::7]:5672"),
            ("amqps://127.0.0.2", "127.0.0.2:5671"),
        ] {
            assert_eq!(parsed(&[url]).unwrap().current(), name);
        }
        // Nobody listens there, and what is asked is not localhost.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let addresses = parsed(&[&format!("amqp://u:p@[::1]:{port}")]).unwrap();
        tokio::select! {
            connected = addresses.connect("test") => drop(connected.unwrap_err()),
            came = listener.accept() => panic!("{came:?}"),
        }
    }

    #[test]
    fn refuses_what_is_no_url_and_never_prints_a_password() {
        parsed(&[]).unwrap_err();
        let error = parsed(&["amqp://u:secret@a", "localhost:secret"]).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
        let debug = format!("{:?}", parsed(&["amqp://u:secret@a"]).unwrap());
        assert_eq!(debug, r#"["a"]"#);
    }
}
