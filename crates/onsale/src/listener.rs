//! A buyer's WebSocket: tickets are subscribed to, what is told of them is
//! handed to whoever counts.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use uuid::Uuid;

const PROCESSING: &str = "processing";
/// Subscriptions and states are small; thousands of sockets share this process.
const BUFFER: usize = 2 * 1_024;

/// A ticket's state as a socket was told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The ticket.
    pub ticket_id: Uuid,
    /// Whether it has its verdict.
    pub decided: bool,
    /// From the decision under the show's lock to the socket, in µs.
    pub after_micros: Option<u64>,
    /// When it was told.
    pub at: Instant,
}

/// One connection.
pub struct Listener {
    sink: SplitSink<WebSocketStream<TcpStream>, Message>,
}

impl Listener {
    /// Connects; every ticket's state that is told goes to `heard`, until the
    /// connection ends, which sends an error.
    ///
    /// # Errors
    /// When the service does not take the connection.
    pub async fn open(
        address: SocketAddr,
        heard: mpsc::UnboundedSender<anyhow::Result<Heard>>,
    ) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(0);
        let url = format!("ws://{address}/ws");
        let (socket, _) = client_async_with_config(url, stream, Some(config))
            .await
            .context("opening a WebSocket")?;
        let (sink, mut messages) = socket.split();
        tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                let told = match message {
                    Ok(Message::Text(text)) => read(&text).transpose(),
                    Ok(Message::Close(frame)) => Some(Err(anyhow::anyhow!("closed: {frame:?}"))),
                    Ok(_) => None,
                    Err(error) => Some(Err(error.into())),
                };
                // Whoever does not count any more does not want to know.
                if told.is_some_and(|told| heard.send(told).is_err()) {
                    return;
                }
            }
        });
        Ok(Self { sink })
    }

    /// Asks for the tickets' states, present and to come.
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn subscribe(&mut self, tickets: &[Uuid]) -> anyhow::Result<()> {
        let message = json!({"type": "subscribe", "tickets": tickets}).to_string();
        Ok(self.sink.send(Message::text(message)).await?)
    }
}

/// What a message tells of a ticket; an error message is one.
fn read(text: &str) -> anyhow::Result<Option<Heard>> {
    #[derive(Deserialize)]
    struct Told<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
        #[serde(borrow)]
        ticket: Option<Ticket<'a>>,
    }
    #[derive(Deserialize)]
    struct Ticket<'a> {
        ticket_id: Uuid,
        status: &'a str,
        decided_at: Option<&'a str>,
    }
    let told: Told<'_> = serde_json::from_str(text).with_context(|| text.to_owned())?;
    ensure!(!matches!(told.kind, "error" | "closing"), "{text}");
    let Some(ticket) = told.ticket else {
        return Ok(None);
    };
    let after_micros = match ticket.decided_at {
        Some(decided_at) => {
            let decided: jiff::Timestamp = decided_at.parse()?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
            Some(u64::try_from(
                i128::try_from(now)? - i128::from(decided.as_microsecond()),
            )?)
        }
        None => None,
    };
    Ok(Some(Heard {
        ticket_id: ticket.ticket_id,
        decided: ticket.status != PROCESSING,
        after_micros,
        at: Instant::now(),
    }))
}

/// Waits for `count` states that `counts` takes.
///
/// # Errors
/// When a listener ended, or not all came within `patience`.
pub async fn hear(
    heard: &mut mpsc::UnboundedReceiver<anyhow::Result<Heard>>,
    count: usize,
    patience: Duration,
    mut counts: impl FnMut(&Heard) -> bool,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + patience;
    let mut counted = 0;
    while counted < count {
        let told = timeout_at(deadline, heard.recv())
            .await
            .with_context(|| format!("{counted} of {count} were told within {patience:?}"))?
            .context("no listener is left")??;
        counted += usize::from(counts(&told));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_and_errors_are_not_taken_for_one() {
        let processing = r#"{"version":1,"type":"ticket","ticket":{"ticket_id":"0199a2b4-7d3e-8001-8a5f-3c0d9e412b77","status":"processing"}}"#;
        let heard = read(processing).unwrap().unwrap();
        assert!(!heard.decided && heard.after_micros.is_none());
        let decided = r#"{"version":1,"type":"ticket","ticket":{"ticket_id":"0199a2b4-7d3e-8001-8a5f-3c0d9e412b77","status":"rejected","decided_at":"2026-05-01T18:00:00.000001Z"}}"#;
        let heard = read(decided).unwrap().unwrap();
        assert!(heard.decided && heard.after_micros.is_some());
        let line = r#"{"version":1,"type":"waiting_line","ticket_id":"x","waiting_line":{}}"#;
        assert_eq!(read(line).unwrap(), None);
        assert!(read(r#"{"version":1,"type":"closing","code":"slow_reader"}"#).is_err());
    }
}
