//! The servers that `mysql.urls` names, and the one of them that is used: the one that can be
//! written.

use std::fmt;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{info, warn};
use url::Url;

use crate::error::{InvalidUrl, StoreError};
use crate::session::Session;

/// Texts of statements that a connection keeps prepared: all there are.
const STATEMENTS_PREPARED: usize = 256;
/// How long the server in use is waited for before the others are tried as well.
const HEAD_START: Duration = Duration::from_millis(300);
/// How long others are waited for once one was found: two that can be written are one too many.
const OTHERS_LIMIT: Duration = Duration::from_millis(300);
/// The same while none is in use yet: nothing is known of them.
const OTHERS_LIMIT_AT_START: Duration = Duration::from_millis(900);
/// A server in use that says nothing may only be slow. It is left for another one that takes
/// changes once nothing has been heard of it for so long: else two would be written.
const SILENT_FOR: Duration = Duration::from_secs(5);
/// Between two attempts to connect to a server that is starting.
const CONNECT_AGAIN: Duration = Duration::from_millis(50);
/// How long a refused connection explains that there is none: attempts follow each other faster.
const REFUSED_JUST_NOW: Duration = Duration::from_secs(1);
/// How long the server is waited for when a connection is closed. sqlx waits for its answer if
/// the connection is encrypted (0.8.6), and one that hangs gives none.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// One server, and the database on it.
#[derive(Clone)]
pub(crate) struct Server {
    options: MySqlConnectOptions,
    pub(crate) without_database: MySqlConnectOptions,
    /// `host:port`, for people.
    pub(crate) address: String,
    pub(crate) database: String,
}

/// The URL holds the password.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

impl Server {
    fn new(url: &str) -> Result<Self, InvalidUrl> {
        let url: Url = url.parse().map_err(|_| InvalidUrl)?;
        let options = MySqlConnectOptions::from_url(&url).map_err(|_| InvalidUrl)?;
        let database = options.get_database().ok_or(InvalidUrl)?.to_owned();
        let mut of_server = url;
        of_server.set_path("");
        let without_database = MySqlConnectOptions::from_url(&of_server).map_err(|_| InvalidUrl)?;
        Ok(Self {
            address: format!("{}:{}", options.get_host(), options.get_port()),
            options: prepared(options),
            without_database: prepared(without_database),
            database,
        })
    }

    /// A session, also on a server that takes no changes.
    pub(crate) async fn session(&self) -> Result<Session, StoreError> {
        Ok(Session::begin(&self.options).await?)
    }

    /// A session, if changes are taken.
    async fn writable_session(&self) -> Result<Session, StoreError> {
        let mut session = Session::begin(&self.options).await?;
        if session.takes_changes().await? {
            return Ok(session);
        }
        close(session).await;
        Err(StoreError::ReadOnly)
    }
}

/// Tells the server, if it listens.
pub(crate) async fn close(session: Session) {
    let _late = timeout(CLOSE_LIMIT, session.connection.close()).await;
}

/// The driver keeps the brackets of an IPv6 address, and then finds no such host.
fn prepared(options: MySqlConnectOptions) -> MySqlConnectOptions {
    let host = options.get_host();
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    options
        .host(&host)
        // Failures are logged where they are handled; a statement is no event.
        .disable_statement_logging()
        .statement_cache_capacity(STATEMENTS_PREPARED)
}

/// Which servers sessions may be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The one that takes changes.
    Writable,
    /// Any of them: nothing is changed, and what is read may be old.
    Any,
}

/// All servers, of which one is used.
#[derive(Debug)]
pub(crate) struct Servers {
    all: Vec<Server>,
    wanted: Wanted,
    used: Mutex<Option<Used>>,
    /// When nothing listened at any of them.
    refused: Mutex<Option<Instant>>,
}

/// The server in use.
#[derive(Debug, Clone, Copy)]
struct Used {
    place: usize,
    /// When it last did what it was asked to do.
    heard: Instant,
}

impl Servers {
    pub(crate) fn new(urls: &[String], wanted: Wanted) -> Result<Self, InvalidUrl> {
        let all = urls.iter().map(|url| Server::new(url));
        let all: Vec<_> = all.collect::<Result<_, _>>()?;
        if all.is_empty() {
            return Err(InvalidUrl);
        }
        Ok(Self {
            all,
            wanted,
            used: Mutex::default(),
            refused: Mutex::default(),
        })
    }

    pub(crate) fn all(&self) -> &[Server] {
        &self.all
    }

    /// A session on the server that is to be used. While none of them is started, goes on
    /// trying; the caller limits that.
    pub(crate) async fn connect(&self) -> Result<Session, StoreError> {
        loop {
            let connected = match (self.wanted, self.all.as_slice()) {
                (Wanted::Any, [only]) => only.session().await,
                (Wanted::Any, several) => first_of(several).await,
                (Wanted::Writable, [only]) => only.writable_session().await,
                (Wanted::Writable, several) => self.search(several).await,
            };
            match connected {
                Err(error) if error.is_of_a_server_that_starts() => {
                    *self.refused.lock() = Some(Instant::now());
                    sleep(CONNECT_AGAIN).await;
                }
                ended => {
                    *self.refused.lock() = None;
                    return ended;
                }
            }
        }
    }

    /// `host:port` of all of them, for people.
    pub(crate) fn addresses(&self) -> String {
        let all = self.all.iter().map(|server| server.address.as_str());
        all.collect::<Vec<_>>().join(", ")
    }

    /// Why nobody has got a session, if that is because nothing listens. Who limits [`connect`]
    /// does not hear of it otherwise.
    ///
    /// [`connect`]: Self::connect
    pub(crate) fn refusal(&self) -> Option<StoreError> {
        let refused = (*self.refused.lock())?;
        (refused.elapsed() < REFUSED_JUST_NOW).then(|| StoreError::Refused(self.addresses()))
    }

    /// Whether a session's server is still one to be used. Fails if it does not answer.
    pub(crate) async fn examine(&self, session: &mut Session) -> Result<bool, StoreError> {
        let takes_changes = session.takes_changes().await?;
        if self.wanted == Wanted::Any {
            return Ok(true);
        }
        let used = *self.used.lock();
        // Another one may be used by now.
        let is_to_be_used = takes_changes && used.is_none_or(|used| used.place == session.server);
        if is_to_be_used {
            self.hear_of(session);
        }
        Ok(is_to_be_used)
    }

    /// Notes that a session has done what it was asked to do.
    pub(crate) fn hear_of(&self, session: &Session) {
        if let Some(used) = &mut *self.used.lock()
            && used.place == session.server
        {
            used.heard = Instant::now();
        }
    }

    /// The server in use, if it still is the one. Otherwise the only one that takes changes:
    /// of two that do, nobody can say which has the tickets, nor of one that does and one that
    /// is too full to say.
    async fn search(&self, all: &[Server]) -> Result<Session, StoreError> {
        let in_use = *self.used.lock();
        let used = in_use.map(|used| used.place);
        let has_failed = Notify::new();
        let mut asked: FuturesUnordered<_> = all
            .iter()
            .enumerate()
            .map(async |(place, server)| {
                if used.is_some_and(|used| used != place) {
                    let _whichever_is_first = timeout(HEAD_START, has_failed.notified()).await;
                }
                let session = server.writable_session().await;
                if used == Some(place) && session.is_err() {
                    has_failed.notify_waiters();
                }
                (place, session)
            })
            .collect();
        let mut found: Option<(usize, Session)> = None;
        let mut failed = Vec::new();
        let others_limit = if used.is_some() {
            OTHERS_LIMIT
        } else {
            OTHERS_LIMIT_AT_START
        };
        let mut used_may_answer = used.is_some();
        let mut deadline = None;
        loop {
            let next = match deadline {
                Some(deadline) => timeout_at(deadline, asked.next()).await.unwrap_or(None),
                None => asked.next().await,
            };
            match next {
                None => break,
                Some((place, Ok(session))) if used == Some(place) => {
                    return Ok(self.used_from_now_on(all, place, session));
                }
                Some((place, Ok(session))) => {
                    found = Some(match found {
                        None => (place, session),
                        Some(other) => one_of_many(all, other, (place, session)).await?,
                    });
                    let others = Instant::now() + others_limit;
                    let silence = in_use.filter(|_| used_may_answer);
                    let silence = silence.map(|used| used.heard + SILENT_FOR);
                    deadline = Some(deadline.map_or(others, |set: Instant| set.min(others)));
                    deadline = deadline.max(silence);
                }
                Some((place, Err(error))) => {
                    if used == Some(place) {
                        used_may_answer = false;
                        deadline = found.is_some().then(|| Instant::now() + others_limit);
                    }
                    failed.push((all[place].address.clone(), error));
                }
            }
        }
        let Some((place, session)) = found else {
            failed.sort_by(|(one, _), (other, _)| one.cmp(other));
            return Err(StoreError::NoServer(failed));
        };
        let session = unless_one_is_full(&failed, &all[place], session).await?;
        Ok(self.used_from_now_on(all, place, session))
    }

    fn used_from_now_on(&self, all: &[Server], place: usize, mut session: Session) -> Session {
        session.server = place;
        let heard = Instant::now();
        let before = self.used.lock().replace(Used { place, heard });
        let server = &all[place].address;
        match before {
            None => info!(server, "uses this server of mysql.urls"),
            Some(before) if before.place != place => {
                warn!(server, "now uses another server of mysql.urls");
            }
            Some(_) => {}
        }
        session
    }
}

/// The first that answers, asked in the sequence of the configuration: one that is slow is not
/// given up, because the others may be slower.
async fn first_of(servers: &[Server]) -> Result<Session, StoreError> {
    let mut asked: FuturesUnordered<_> = (0..)
        .zip(servers)
        .map(async |(place, server)| {
            sleep(HEAD_START * place).await;
            (server, server.session().await)
        })
        .collect();
    let mut failed = Vec::new();
    while let Some((server, session)) = asked.next().await {
        match session {
            Ok(session) => return Ok(session),
            Err(error) => failed.push((server.address.clone(), error)),
        }
    }
    Err(StoreError::NoServer(failed))
}

/// A server that is full may be the primary, and cannot be asked.
async fn unless_one_is_full(
    failed: &[(String, StoreError)],
    found: &Server,
    mut session: Session,
) -> Result<Session, StoreError> {
    let full = failed.iter().find(|(_, error)| error.is_of_a_full_server());
    let Some((full, _)) = full else {
        return Ok(session);
    };
    if session.is_one_of_many().await? {
        return Ok(session);
    }
    close(session).await;
    let (full, other) = (full.clone(), found.address.clone());
    Err(StoreError::PrimaryMayBeFull { full, other })
}

/// Two servers that take changes have the same data if they are one under two names, or members
/// of a cluster whose members all do. Then all processes use the one that is named first: changes
/// of one show over two members would get in each other's way.
async fn one_of_many(
    all: &[Server],
    one: (usize, Session),
    other: (usize, Session),
) -> Result<(usize, Session), StoreError> {
    let (mut first, mut second) = if one.0 < other.0 {
        (one, other)
    } else {
        (other, one)
    };
    let have_the_same_data = first.1.is_on_the_server_of(&mut second.1).await
        || (first.1.is_one_of_many().await? && second.1.is_one_of_many().await?);
    let addresses = [first.0, second.0].map(|place| all[place].address.clone());
    close(second.1).await;
    if have_the_same_data {
        return Ok(first);
    }
    close(first.1).await;
    Err(StoreError::TwoPrimaries { addresses })
}
