//! What one client may ask for, and who the client is.

use std::collections::HashSet;
use std::future::ready;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{FORWARDED, HeaderValue, X_FORWARDED_FOR};
use domain::ids::UserId;
use domain::receipt::Opened;
use futures_util::future::Either;
use limits::{
    Asked, Concurrent, Exceeded, Forwarding, Limit, Network, Place, Rate, SharedTokens, Subject,
    TrustedProxies,
};
use parking_lot::Mutex;
use tokio::time::sleep;
use tracing::warn;

use crate::health::is_health;

/// The section `limits`; what is `None` has no limit.
#[derive(Debug, Clone, Default)]
pub struct ClientLimitSettings {
    /// Orders of one user.
    pub orders_per_user: Option<Rate>,
    /// Orders from one address.
    pub orders_per_address: Option<Rate>,
    /// All other requests from one address, health excepted.
    pub requests_per_address: Option<Rate>,
    /// Ticket ids that this service did not sign, from one address.
    pub wrong_ids_per_address: Option<Rate>,
    /// Connections of one address that is no trusted proxy.
    pub connections_per_address: Option<usize>,
    /// WebSockets and event streams of one address together.
    pub streams_per_address: Option<usize>,
}

/// The limits of single clients. All of them are asked here.
pub struct ClientLimits {
    orders_per_user: Option<Arc<Limit>>,
    orders_per_address: Option<Arc<Limit>>,
    requests_per_address: Option<Arc<Limit>>,
    wrong_ids_per_address: Option<Arc<Limit>>,
    connections_per_address: Option<Arc<Concurrent>>,
    streams_per_address: Option<Arc<Concurrent>>,
    proxies: TrustedProxies,
    guesses: GuessLog,
    wrong_ids: AtomicU64,
}

/// The client has so many connections past its limit that it is not even told.
pub(crate) struct NotTold;

impl ClientLimits {
    /// Nobody has asked for anything yet. With `tokens` rates are those of all processes together.
    #[must_use]
    pub fn new(
        settings: &ClientLimitSettings,
        proxies: TrustedProxies,
        tokens: Option<&Arc<SharedTokens>>,
    ) -> Self {
        let limit = |name, rate: Option<Rate>| {
            let limit = rate.map(|rate| Limit::new(name, rate, tokens));
            limit.map(Arc::new)
        };
        let concurrent =
            |name, max: Option<usize>| max.map(|max| Arc::new(Concurrent::new(name, max)));
        Self {
            orders_per_user: limit("orders_per_user", settings.orders_per_user),
            orders_per_address: limit("orders_per_address", settings.orders_per_address),
            requests_per_address: limit("requests_per_address", settings.requests_per_address),
            wrong_ids_per_address: limit("wrong_ids_per_address", settings.wrong_ids_per_address),
            connections_per_address: concurrent(
                "connections_per_address",
                settings.connections_per_address,
            ),
            streams_per_address: concurrent("streams_per_address", settings.streams_per_address),
            proxies,
            guesses: GuessLog::default(),
            wrong_ids: AtomicU64::new(0),
        }
    }

    /// Forgets clients that have all their tokens again, once a second. Never returns.
    pub async fn keep_small(&self) {
        const PERIOD: Duration = Duration::from_secs(1);

        loop {
            sleep(PERIOD).await;
            let limits = [
                &self.orders_per_user,
                &self.orders_per_address,
                &self.requests_per_address,
                &self.wrong_ids_per_address,
            ];
            limits.into_iter().flatten().for_each(|limit| limit.sweep());
        }
    }

    /// How often a client was refused so far, by the limit; none of limits that are not set.
    #[must_use]
    pub fn refusals(&self) -> Vec<(&'static str, u64)> {
        let rates = [
            &self.orders_per_user,
            &self.orders_per_address,
            &self.requests_per_address,
            &self.wrong_ids_per_address,
        ];
        let concurrent = [&self.connections_per_address, &self.streams_per_address];
        let rates = rates.into_iter().flatten().map(|limit| limit.refusals());
        let concurrent = concurrent.into_iter().flatten();
        rates
            .chain(concurrent.map(|limit| limit.refusals()))
            .collect()
    }

    /// Whose request it is.
    pub(crate) fn client(&self, request: &HttpRequest) -> Network {
        // A client that is gone already has no address any more, and reads no answer.
        let peer = request.peer_addr().as_ref().map_or(GONE, SocketAddr::ip);
        let lines = |name| request.headers().get_all(name).map(HeaderValue::as_bytes);
        let said = Forwarding {
            forwarded: lines(FORWARDED),
            x_forwarded_for: lines(X_FORWARDED_FOR),
        };
        self.proxies.client_of(peer, said).into()
    }

    /// Takes the request's token of its address, before anything else is known of it. The path
    /// is that by which routes are found.
    pub(crate) fn admit(&self, request: &HttpRequest) -> Asked {
        let path = request.match_info().as_str();
        let limit = if path == "/tickets" && request.method() == Method::POST {
            &self.orders_per_address
        } else if is_health(path) {
            // A probe that is refused would have the process taken for dead.
            &None
        } else {
            &self.requests_per_address
        };
        match limit {
            Some(limit) => limit.take(Subject::Address(self.client(request))),
            None => unlimited(),
        }
    }

    /// Takes the token of an order's user, before anything is asked of the store.
    pub(crate) fn admit_order_of(&self, user: &UserId) -> Asked {
        match &self.orders_per_user {
            Some(limit) => limit.take(Subject::User(user.as_str())),
            None => unlimited(),
        }
    }

    /// Before a ticket is looked for: an id that is none of the client's takes a token. Without
    /// one, ids of before are refused, too, right or wrong, because they can be guessed. A sealed
    /// one cannot, so others on the same address are not kept from their tickets.
    pub(crate) async fn admit_id<'o>(
        &self,
        client: Network,
        open: impl FnOnce() -> Option<Opened<'o>>,
    ) -> Result<(), Exceeded> {
        let opened = open();
        if opened.is_none() {
            self.wrong_ids.fetch_add(1, Ordering::Relaxed);
        }
        let Some(limit) = &self.wrong_ids_per_address else {
            return Ok(());
        };
        let address = Subject::Address(client);
        let admitted = match opened {
            Some(opened) if opened.is_sealed() => Ok(()),
            Some(_) => limit.check(address).await,
            None => limit.take(address).await,
        };
        if admitted.is_err() {
            self.guesses.note(client);
        }
        admitted
    }

    /// How many ids were none of the client's since the last call.
    pub(crate) fn count_wrong_ids(&self) -> u64 {
        self.wrong_ids.swap(0, Ordering::Relaxed)
    }

    /// Counts a connection until the result is dropped. A trusted proxy may have any number.
    pub(crate) fn enter_connection(&self, peer: IpAddr) -> Result<Option<Place>, NotTold> {
        /// Past its limit so many connections of a client are taken to be refused.
        const TOLD: usize = 8;

        let Some(connections) = &self.connections_per_address else {
            return Ok(None);
        };
        if self.proxies.contains(peer) {
            return Ok(None);
        }
        let place = connections.enter(peer.into());
        if place.surplus() > TOLD {
            return Err(NotTold);
        }
        Ok(Some(place))
    }

    /// The client of a WebSocket or an event stream, which is counted until it is dropped.
    pub(crate) fn enter_stream(
        self: &Arc<Self>,
        request: &HttpRequest,
    ) -> Result<StreamClient, Exceeded> {
        let client = self.client(request);
        let streams = self.streams_per_address.as_ref();
        let place = streams.map(|streams| streams.enter(client));
        place.as_ref().map_or(Ok(()), Place::permitted)?;
        Ok(StreamClient {
            limits: Arc::clone(self),
            client,
            _place: place,
        })
    }
}

const GONE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

fn unlimited() -> Asked {
    Either::Left(ready(Ok(())))
}

/// The client of a WebSocket or an event stream.
pub(crate) struct StreamClient {
    limits: Arc<ClientLimits>,
    client: Network,
    _place: Option<Place>,
}

impl StreamClient {
    /// As [`ClientLimits::admit_id`].
    pub(crate) async fn admit_id<'o>(
        &self,
        open: impl FnOnce() -> Option<Opened<'o>>,
    ) -> Result<(), Exceeded> {
        self.limits.admit_id(self.client, open).await
    }
}

/// Says who guesses ids: each client once a minute, and few of them.
#[derive(Default)]
struct GuessLog(Mutex<LoggedGuesses>);

#[derive(Default)]
struct LoggedGuesses {
    since: Option<Instant>,
    clients: HashSet<Network>,
    unlogged: u64,
}

impl GuessLog {
    fn note(&self, client: Network) {
        let due = self.0.lock().add(client, Instant::now());
        if let Some(unlogged) = due {
            warn!(
                client.address = %client,
                refusals.unlogged = unlogged,
                "a client tries ticket ids that were never issued, past \
                 limits.wrong_ids_per_address, and is refused; if the address is your proxy's, \
                 set server.trusted_proxies"
            );
        }
    }
}

impl LoggedGuesses {
    /// Lines of a minute.
    const MAX_LINES: usize = 10;
    const INTERVAL: Duration = Duration::from_secs(60);

    /// Returns how many refusals were not logged before this one, if this one is to be.
    fn add(&mut self, client: Network, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now - since >= Self::INTERVAL) {
            self.since = Some(now);
            self.clients.clear();
        }
        if self.clients.len() < Self::MAX_LINES && self.clients.insert(client) {
            return Some(std::mem::take(&mut self.unlogged));
        }
        self.unlogged += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use domain::receipt::{IdempotencyKey, ProcessId, Receipts};
    use futures_util::FutureExt;

    use super::*;

    fn at(last: u8) -> Network {
        IpAddr::from([192, 0, 2, last]).into()
    }

    fn once_an_hour() -> ClientLimits {
        let rate = Some("1/h".parse().unwrap());
        let settings = ClientLimitSettings {
            orders_per_user: rate,
            orders_per_address: rate,
            requests_per_address: rate,
            wrong_ids_per_address: rate,
            ..ClientLimitSettings::default()
        };
        ClientLimits::new(&settings, "127.0.0.1".parse().unwrap(), None)
    }

    #[test]
    fn a_guesser_is_logged_once_a_minute_and_many_are_not_all_logged() {
        let mut log = LoggedGuesses::default();
        let start = Instant::now();
        assert_eq!(log.add(at(1), start), Some(0));
        assert_eq!(log.add(at(1), start), None);
        assert_eq!(log.add(at(2), start), Some(1));
        let lines = (3..=255).filter_map(|last| log.add(at(last), start));
        assert_eq!(lines.count(), LoggedGuesses::MAX_LINES - 2);
        let later = start + LoggedGuesses::INTERVAL;
        assert_eq!(log.add(at(1), later), Some(245));
        assert!(log.clients.len() <= LoggedGuesses::MAX_LINES);
    }

    #[test]
    fn an_order_is_one_however_its_path_is_written_and_health_is_never_refused() {
        let limits = once_an_hour();
        let admitted = |method: Method, path: &str| {
            let request = TestRequest::with_uri(path).method(method);
            let asked = limits.admit(&request.to_http_request());
            let admitted = asked.now_or_never().unwrap();
            admitted.map_err(|it| it.policy())
        };
        admitted(Method::POST, "/tickets").unwrap();
        for path in ["/tickets", "/tickets?a=b", "/%74ickets"] {
            assert_eq!(admitted(Method::POST, path), Err("orders_per_address"));
        }
        admitted(Method::GET, "/tickets").unwrap();
        for path in ["/tickets", "/shows", "/nothing", "/healthy"] {
            assert_eq!(admitted(Method::GET, path), Err("requests_per_address"));
        }
        for path in [
            "/health",
            "/health/live",
            "/health/startup",
            "/health/ready",
        ] {
            admitted(Method::GET, path).unwrap();
        }
    }

    #[test]
    fn a_client_that_guesses_learns_nothing_of_ids_that_can_be_guessed() {
        let receipts = Receipts::new(["a secret of the tests"], ProcessId::new(7)).unwrap();
        let user = UserId::from(1);
        let key = IdempotencyKey::new(b"k").unwrap();
        let [sealed, of_before] = receipts.keyed(&user, &key)[..] else {
            panic!("not two names");
        };
        let limits = once_an_hour();
        let admitted = |client, id| {
            let asked = limits.admit_id(client, || receipts.open(id?));
            asked.now_or_never().unwrap()
        };
        for _ in 0..9 {
            admitted(at(1), Some(of_before)).unwrap();
        }
        admitted(at(1), None).unwrap();
        admitted(at(1), None).unwrap_err();
        admitted(at(1), Some(of_before)).unwrap_err();
        admitted(at(1), Some(sealed)).unwrap();
        admitted(at(2), Some(of_before)).unwrap();
    }
}
