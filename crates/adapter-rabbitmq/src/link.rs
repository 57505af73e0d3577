//! One connection that comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lapin::options::{
    BasicConsumeOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, Consumer};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::error::{BrokerError, InvalidUrl};
use crate::topology::Topology;

/// How long one request to the broker may take before it counts as lost.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(5);
/// Between two attempts to connect.
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// Either side gives a silent connection up after about twice this time.
const HEARTBEAT_SECONDS: u16 = 4;

/// Bounds what a request to the broker may take.
pub(crate) async fn within_limit<T, E: Into<BrokerError>>(
    request: impl Future<Output = Result<T, E>>,
) -> Result<T, BrokerError> {
    match timeout(TIME_LIMIT, request).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(BrokerError::TimedOut(TIME_LIMIT)),
    }
}

/// A connection that is made when it is needed and made again once it is lost.
pub(crate) struct Link {
    /// For the broker's list of connections and for the log.
    purpose: &'static str,
    uri: AMQPUri,
    topology: Topology,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    live: Option<Arc<Connection>>,
    /// The latest failure, until a connection succeeds.
    failed: Option<(Instant, BrokerError)>,
}

/// A channel with what keeps it alive.
pub(crate) struct LiveChannel {
    pub(crate) connection: Arc<Connection>,
    pub(crate) channel: Channel,
}

impl Link {
    pub(crate) fn new(
        purpose: &'static str,
        url: &str,
        topology: Topology,
    ) -> Result<Self, InvalidUrl> {
        let mut uri: AMQPUri = url.parse().map_err(|_| InvalidUrl)?;
        uri.query.heartbeat = Some(HEARTBEAT_SECONDS);
        Ok(Self {
            purpose,
            uri,
            topology,
            state: Mutex::default(),
        })
    }

    /// The connection, with the topology declared.
    pub(crate) async fn connection(&self) -> Result<Arc<Connection>, BrokerError> {
        let mut state = self.state.lock().await;
        if let Some(live) = &state.live
            && live.status().connected()
        {
            return Ok(Arc::clone(live));
        }
        if state.live.take().is_some() {
            warn!(
                connection = self.purpose,
                "lost the broker; connecting again"
            );
        }
        // Many ask at once: one attempt answers all of them.
        if let Some((at, error)) = &state.failed
            && at.elapsed() < RETRY_AFTER
        {
            return Err(error.clone());
        }
        match within_limit(self.connect()).await {
            Ok(connection) => {
                if state.failed.take().is_some() {
                    info!(connection = self.purpose, "the broker is back");
                }
                let connection = Arc::new(connection);
                state.live = Some(Arc::clone(&connection));
                Ok(connection)
            }
            Err(error) => {
                if state.failed.is_none() {
                    warn!(
                        connection = self.purpose,
                        %error, "no broker; trying again until there is one"
                    );
                }
                state.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn connect(&self) -> Result<Connection, BrokerError> {
        let name = format!("tickets {}", self.purpose);
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let connection = Connection::connect_uri(self.uri.clone(), properties).await?;
        self.topology.declare(&connection).await?;
        Ok(connection)
    }

    /// Declares again what somebody may have deleted.
    pub(crate) async fn declare_topology(&self) -> Result<(), BrokerError> {
        let connection = self.connection().await?;
        within_limit(self.topology.declare(&connection)).await
    }

    pub(crate) async fn channel(&self) -> Result<LiveChannel, BrokerError> {
        let connection = self.connection().await?;
        // The client sends nothing then, so it would wait without end.
        if connection.status().blocked() {
            return Err(BrokerError::Blocked);
        }
        let channel = within_limit(connection.create_channel()).await?;
        Ok(LiveChannel {
            connection,
            channel,
        })
    }

    /// A channel on which the broker confirms what it has stored.
    pub(crate) async fn confirming_channel(&self) -> Result<LiveChannel, BrokerError> {
        let live = self.channel().await?;
        within_limit(live.channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(live)
    }
}

impl LiveChannel {
    /// Everything that goes to a fanout exchange from now on, unacknowledged,
    /// through a queue that ends with the connection.
    pub(crate) async fn hear(&self, exchange: ShortString) -> Result<Consumer, BrokerError> {
        let subscribing = async {
            let exclusive = QueueDeclareOptions::exclusive();
            let declared = self
                .channel
                .queue_declare("".into(), exclusive, FieldTable::default())
                .await?;
            let queue = declared.name().clone();
            let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
            self.channel
                .queue_bind(queue.clone(), exchange, "".into(), options, arguments)
                .await?;
            let no_ack = BasicConsumeOptions {
                no_ack: true,
                ..BasicConsumeOptions::default()
            };
            self.channel
                .basic_consume(queue, "".into(), no_ack, FieldTable::default())
                .await
        };
        within_limit(subscribing).await
    }

    /// Whether the broker takes messages on this connection now.
    pub(crate) fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.connection.status().connected() && self.channel.status().connected()
    }
}
