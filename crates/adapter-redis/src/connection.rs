//! One connection, which comes back by itself.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::ports::{Dependency, DependencyDown, DeploymentId, StoreIdentity};
use parking_lot::Mutex;
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{
    Client, Cmd, ErrorKind, IntoConnectionInfo, Pipeline, RedisError, RedisFuture, RedisResult,
    ServerErrorKind, Value,
};
use tokio::sync::OnceCell;
use tokio::time::timeout;

/// To a new connection, the login included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// To an answer. A caller that cannot wait as long has a limit of its own.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// Where Redis is, and which keys are the deployment's.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://user:password@host:6379/0`, or `rediss://` for TLS. Holds a password, so that this
    /// has no `Debug`.
    pub url: String,
    /// Goes before every key.
    pub prefix: String,
    /// Knows the deployment, whose id is in every key: two deployments with one prefix share
    /// nothing. A store that does not outlive its process knows none.
    pub store: Option<Arc<dyn StoreIdentity>>,
}

/// The URL names no server that can be connected to.
#[derive(Debug, thiserror::Error)]
#[error("is not a URL of a Redis server")]
pub struct InvalidUrl(#[source] RedisError);

/// One Redis server, over one connection that all clones and all callers share.
///
/// It is connected when it is first asked, and again after it broke. Until then each command fails
/// within a second and a half.
#[derive(Clone)]
pub struct Redis(Arc<Shared>);

struct Shared {
    client: Client,
    prefix: String,
    store: Option<Arc<dyn StoreIdentity>>,
    deployment: OnceCell<DeploymentId>,
    link: Mutex<Link>,
}

#[derive(Clone)]
struct Link {
    /// Which one it is: what went wrong on an earlier one says nothing about this one.
    number: u64,
    manager: ConnectionManager,
}

impl Redis {
    /// Does not connect yet. Must be called inside of a tokio runtime.
    ///
    /// # Errors
    /// [`InvalidUrl`].
    pub fn new(config: &RedisConfig) -> Result<Self, InvalidUrl> {
        let server = config.url.as_str().into_connection_info();
        let settings = TcpSettings::default().set_nodelay(true);
        let server = server.map(|server| server.set_tcp_settings(settings));
        let client = server.and_then(Client::open).map_err(InvalidUrl)?;
        let manager = manager(&client).map_err(InvalidUrl)?;
        Ok(Self(Arc::new(Shared {
            client,
            prefix: config.prefix.clone(),
            store: config.store.clone(),
            deployment: OnceCell::new(),
            link: Mutex::new(Link { number: 0, manager }),
        })))
    }

    /// The deployment's key of that name.
    ///
    /// # Errors
    /// While the store has not said yet which deployment this is.
    pub async fn key(&self, name: &str) -> RedisResult<String> {
        let Shared {
            prefix,
            store,
            deployment,
            ..
        } = &*self.0;
        let Some(store) = store else {
            return Ok(format!("{prefix}{name}"));
        };
        let asking = deployment.get_or_try_init(|| store.deployment());
        match timeout(ANSWER_TIMEOUT, asking).await {
            Ok(Ok(deployment)) => Ok(format!("{prefix}{deployment}:{name}")),
            Ok(Err(down)) => Err(deployment_unknown(&down.reason)),
            Err(_) => Err(deployment_unknown(&format!(
                "no answer within {ANSWER_TIMEOUT:?}"
            ))),
        }
    }

    fn link(&self) -> Link {
        self.0.link.lock().clone()
    }

    /// Gives up the connection that there is; the next command makes another one.
    pub(crate) fn reconnect(&self) {
        self.replace(self.link().number);
    }

    /// Gives up a connection that failed. The driver itself would go on with one on which an answer
    /// never came, and remember for ever that it was refused a login.
    fn heal<T>(&self, used: &Link, answered: &RedisResult<T>) {
        if answered
            .as_ref()
            .is_err_and(|error| !is_of_the_command(error))
        {
            self.replace(used.number);
        }
    }

    fn replace(&self, number: u64) {
        let mut link = self.0.link.lock();
        if link.number == number
            && let Ok(manager) = manager(&self.0.client)
        {
            let number = number + 1;
            *link = Link { number, manager };
        }
    }
}

fn deployment_unknown(why: &str) -> RedisError {
    let text = format!("the store has not said which deployment this is: {why}");
    io::Error::other(text).into()
}

/// What an error says, in one sentence: its source repeats it, and of what is no Redis the driver
/// only quotes bytes.
pub(crate) fn sentence(error: &RedisError) -> String {
    let text = error.to_string();
    if error.kind() == ErrorKind::Parse || text.contains("Unexpected `") {
        return "what answers there is no Redis".to_owned();
    }
    text.lines().collect::<Vec<_>>().join(" ")
}

/// Whether Redis has refused the command, and the connection is as good as before.
fn is_of_the_command(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Extension
            | ErrorKind::Server(
                ServerErrorKind::ResponseError
                    | ServerErrorKind::NoScript
                    | ServerErrorKind::ReadOnly
                    | ServerErrorKind::CrossSlot
            )
    )
}

fn manager(client: &Client) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(ANSWER_TIMEOUT))
        // Who asks tries again, and must not wait for several attempts.
        .set_number_of_retries(0);
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

impl ConnectionLike for Redis {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let mut link = self.link();
            let answered = link.manager.send_packed_command(command).await;
            self.heal(&link, &answered);
            answered
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let mut link = self.link();
            let sending = link.manager.send_packed_commands(commands, offset, count);
            let answered = sending.await;
            self.heal(&link, &answered);
            answered
        })
    }

    fn get_db(&self) -> i64 {
        self.0.client.get_connection_info().redis_settings().db()
    }
}

/// Whether it takes writes: one that is full or a replica answers, and is of no use.
#[async_trait]
impl Dependency for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    async fn check(&self) -> Result<(), DependencyDown> {
        let write = async {
            let mut write = redis::cmd("SET");
            write.arg(self.key("probe").await?);
            write.arg(1).arg("PX").arg(1_000);
            write.query_async::<()>(&mut self.clone()).await
        };
        write.await.map_err(|error| without_it(&sentence(&error)))
    }
}

/// What readiness says of it.
pub(crate) fn without_it(reason: &str) -> DependencyDown {
    DependencyDown::because(format!("{reason}; the service goes on without it"))
}
