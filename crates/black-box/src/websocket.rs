//! A buyer's WebSocket: tickets are subscribed to, and news of them come.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use uuid::Uuid;

use crate::body::TicketAnswer;
use crate::endpoint::Stream;
use crate::target::Target;

const OPEN_DEADLINE: Duration = Duration::from_secs(10);
/// Subscriptions and states are small; thousands of sockets share this process.
const BUFFER: usize = 4 * 1_024;

type Socket = WebSocketStream<Stream>;

/// The sending half of a connection.
pub struct Subscriptions(SplitSink<Socket, Message>);

/// The receiving half of a connection.
pub struct News(SplitStream<Socket>);

/// Connects to `GET /ws`, with the token of a buyer or agent if there is one.
///
/// # Errors
/// When the service does not take the connection in time.
pub async fn open(target: &Target, bearer: Option<&str>) -> anyhow::Result<(Subscriptions, News)> {
    let host = &target.host;
    let opening = async {
        // Whatever the scheme: the stream is what the endpoint makes it.
        let mut request = format!("ws://{host}/ws").into_client_request()?;
        if let Some(token) = bearer {
            let value = format!("Bearer {token}").parse()?;
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let stream = target.endpoint.connect().await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(0);
        anyhow::Ok(client_async_with_config(request, stream, Some(config)).await?)
    };
    let Ok(opened) = timeout(OPEN_DEADLINE, opening).await else {
        bail!("{host} does not answer GET /ws");
    };
    let (socket, _) = opened.with_context(|| format!("{host} takes no WebSocket"))?;
    let (sending, receiving) = socket.split();
    Ok((Subscriptions(sending), News(receiving)))
}

impl Subscriptions {
    /// Asks for the tickets' states, present and to come.
    pub async fn subscribe(&mut self, tickets: &[Uuid]) -> anyhow::Result<()> {
        self.send("subscribe", tickets).await
    }

    /// Wants to hear no more of these.
    pub async fn unsubscribe(&mut self, tickets: &[Uuid]) -> anyhow::Result<()> {
        self.send("unsubscribe", tickets).await
    }

    async fn send(&mut self, kind: &str, tickets: &[Uuid]) -> anyhow::Result<()> {
        let message = json!({"type": kind, "tickets": tickets}).to_string();
        Ok(self.0.send(Message::text(message)).await?)
    }
}

impl News {
    /// The next message; nothing is lost when this is dropped while it waits.
    pub async fn next(&mut self) -> anyhow::Result<Utf8Bytes> {
        loop {
            match self.0.next().await.context("closed")?? {
                Message::Text(text) => return Ok(text),
                Message::Close(frame) => return Err(anyhow!("closed: {frame:?}")),
                _ => {}
            }
        }
    }
}

/// What a message says.
#[derive(Debug, Deserialize)]
pub struct Notice<'a> {
    /// Such as `ticket` or `error`.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// A ticket, as it stands.
    #[serde(borrow)]
    pub ticket: Option<TicketAnswer<'a>>,
    /// Of an error, or of the connection's end.
    pub code: Option<&'a str>,
    /// The ticket that an error is about.
    pub ticket_id: Option<Uuid>,
}

impl<'a> Notice<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is none: it is told whole.
    pub fn read(text: &'a str) -> anyhow::Result<Self> {
        serde_json::from_str(text).with_context(|| text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::ticket::State;

    #[test]
    fn messages_are_read_by_what_matters() {
        let text = r#"{"version":1,"type":"ticket","ticket":{"ticket_id":
            "0199a2b4-7d3e-8001-8a5f-3c0d9e412b77","show_id":"x","status":"rejected",
            "reason":"sold_out","ticket_version":1,"waiting_line":{"stalled":false}}}"#;
        let notice = Notice::read(text).unwrap();
        let ticket = notice.ticket.unwrap();
        assert_eq!((notice.kind, ticket.ticket_version), ("ticket", Some(1)));
        assert_eq!(ticket.state(), Some(State::SoldOut));
        assert_eq!(ticket.decided_at(), None);
        let error = r#"{"version":1,"type":"error","code":"store_unavailable","detail":"x"}"#;
        let notice = Notice::read(error).unwrap();
        assert_eq!(notice.code, Some("store_unavailable"));
    }
}
