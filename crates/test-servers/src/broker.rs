//! A connection to the broker, past the service: what a run leaves in it, and its removal.

use anyhow::{Context, ensure};
use lapin::options::{
    ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Lanes of measured services. Set for every process, so that all that they
/// declare is known here.
pub const LANES: u8 = 4;
/// Each lane has a queue for each class.
pub const LANE_QUEUES: u64 = 2 * LANES as u64;

/// The last byte of each frame of AMQP 0.9.1.
const FRAME_END: u8 = 0xce;

/// A connection to the broker with one channel.
pub struct Broker {
    connection: Connection,
    pub(crate) channel: Channel,
}

impl Broker {
    /// Connects to the broker.
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default())
            .await
            .context("connecting to RabbitMQ; `make services` starts it")?;
        let channel = connection.create_channel().await?;
        Ok(Self {
            connection,
            channel,
        })
    }

    /// Deletes every queue and exchange of a deployment; what is not there is no fault.
    pub async fn delete_topology(&self, prefix: &str) -> anyhow::Result<()> {
        for queue in queues(prefix) {
            self.delete_queue(&queue).await?;
        }
        for exchange in ["tickets", "ticket-events", "ticket-workers"] {
            let exchange = format!("{prefix}{exchange}");
            let options = ExchangeDeleteOptions::default();
            self.channel
                .exchange_delete(exchange.into(), options)
                .await?;
        }
        Ok(())
    }

    /// Deletes a queue with all that is in it.
    pub async fn delete_queue(&self, name: &str) -> anyhow::Result<()> {
        let options = QueueDeleteOptions::default();
        self.channel.queue_delete(name.into(), options).await?;
        Ok(())
    }

    /// Empties a queue and returns how many messages were in it.
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn purge_queue(&self, name: &str) -> anyhow::Result<u32> {
        let options = QueuePurgeOptions::default();
        Ok(self.channel.queue_purge(name.into(), options).await?)
    }

    /// Lane queues of a deployment that somebody consumes, of [`LANE_QUEUES`].
    pub async fn consumed_lane_queues(&self, prefix: &str) -> anyhow::Result<u64> {
        let mut consumed = 0;
        for queue in lane_queues(prefix) {
            consumed += u64::from(self.look(queue).await?.consumer_count() > 0);
        }
        Ok(consumed)
    }

    /// Messages in the lane queues of a deployment that nobody has fetched.
    pub async fn queued_messages(&self, prefix: &str) -> anyhow::Result<u64> {
        let mut queued = 0;
        for queue in lane_queues(prefix) {
            queued += u64::from(self.look(queue).await?.message_count());
        }
        Ok(queued)
    }

    pub(crate) async fn look(&self, queue: String) -> anyhow::Result<lapin::Queue> {
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let looking = self
            .channel
            .queue_declare(queue.into(), passive, FieldTable::default());
        Ok(looking.await?)
    }

    /// Ends the connection.
    pub async fn close(self) -> anyhow::Result<()> {
        self.connection.close(200, "OK".into()).await?;
        Ok(())
    }
}

/// Product and version of the broker at `host:port`, as it greets everybody.
///
/// # Errors
/// When nobody answers, or something else.
pub async fn greeting(authority: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(authority).await?;
    stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
    let mut greeting = Vec::new();
    while !greeting.contains(&FRAME_END) {
        ensure!(stream.read_buf(&mut greeting).await? > 0, "no greeting");
    }
    let property = |name| property(&greeting, name).unwrap_or("unknown");
    Ok(format!("{} {}", property("product"), property("version")))
}

/// A long string of a field table: its name behind the length, then `S`, four
/// bytes of length, and the text.
fn property<'a>(table: &'a [u8], name: &str) -> Option<&'a str> {
    let length = u8::try_from(name.len()).ok()?;
    let start = [&[length], name.as_bytes(), b"S"].concat();
    let at = table.windows(start.len()).position(|part| part == start)?;
    let (length, text) = table[at + start.len()..].split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    std::str::from_utf8(text.get(..length)?).ok()
}

/// The queue of the baseline `publish_each` in a deployment.
#[must_use]
pub fn publish_each_queue(prefix: &str) -> String {
    format!("{prefix}publish-each")
}

/// Queues that outlive the processes of a deployment and of its baseline.
fn queues(prefix: &str) -> impl Iterator<Item = String> {
    let others = ["dead", "lanes", "deployment"].map(|queue| format!("{prefix}tickets.{queue}"));
    lane_queues(prefix)
        .chain(others)
        .chain([publish_each_queue(prefix)])
}

fn lane_queues(prefix: &str) -> impl Iterator<Item = String> {
    let lanes = (0..LANES).flat_map(|lane| ["high", "standard"].map(|class| (class, lane)));
    lanes.map(move |(class, lane)| format!("{prefix}tickets.{class}.{lane}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_of_the_greeting_is_found() {
        let table = b"..\x07productS\x00\x00\x00\x08RabbitMQ\x07versionS\x00\x00\x00\x053.10.8";
        assert_eq!(property(table, "product"), Some("RabbitMQ"));
        assert_eq!(property(table, "version"), Some("3.10."));
        assert_eq!(property(table, "platform"), None);
        assert_eq!(property(&table[..8], "product"), None);
    }

    #[test]
    fn every_queue_has_the_prefix() {
        let queues: Vec<_> = queues("bench-1-").collect();
        assert_eq!(queues.len() as u64, LANE_QUEUES + 4);
        assert!(queues.contains(&"bench-1-tickets.standard.3".to_owned()));
        assert!(queues.contains(&"bench-1-tickets.dead".to_owned()));
        assert!(queues.iter().all(|queue| queue.starts_with("bench-1-")));
    }
}
