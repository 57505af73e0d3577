//! `GET /ws`.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use actix_ws::{CloseCode, CloseReason, Closed, Session};
use domain::principal::Principal;
use futures_util::future::{BoxFuture, OptionFuture};
use tokio::time::{Instant, timeout};

use super::connection::Connection;
use super::incoming::{Broken, Incoming, Message};
use super::listener::{End, Next};
use super::message::{Closing, Content, Dialect, Failure, write};
use super::request::Request;
use super::shared::Live;
use crate::client_limits::StreamClient;
use crate::problem::{ApiError, Fault};

/// Who has not read by then why he is closed does not read at all.
const GOODBYE: Duration = Duration::from_secs(3);

/// Answers the handshake and leaves the connection to a task of its own. `take` is the last that
/// may refuse it.
pub(crate) async fn accept(
    live: &Arc<Live>,
    principal: &Arc<Principal>,
    client: StreamClient,
    request: &HttpRequest,
    payload: web::Payload,
    take: impl FnOnce() -> Result<(), ApiError>,
) -> Result<HttpResponse, ApiError> {
    let connection = Connection::open(live, principal, client, Dialect::WebSocket)?;
    let refused = |error: actix_web::Error| ApiError::NotAWebSocket(error.to_string());
    // Its own reader waits until a frame is whole to see that it is too large.
    let nothing = web::Payload::extract(request).await.map_err(refused)?;
    let (response, session, _) = actix_ws::handle(request, nothing).map_err(refused)?;
    take()?;
    let incoming = Incoming::new(payload.into_inner());
    actix_web::rt::spawn(serve(session, incoming, connection));
    Ok(response)
}

async fn serve(mut session: Session, mut incoming: Incoming, mut connection: Connection) {
    let end = converse(&mut session, &mut incoming, &mut connection).await;
    if let Parting::Closing(closing) = end {
        connection.live().note_closed(closing);
    }
    // Who is gone, or does not read, cannot be told.
    let _told = timeout(GOODBYE, say_goodbye(session, end)).await;
}

/// Why a conversation ends.
enum Parting {
    /// The client is gone.
    Gone,
    /// The client has said goodbye, perhaps with a reason.
    Closed(Option<CloseReason>),
    Closing(Closing),
}

impl From<Closed> for Parting {
    fn from(_: Closed) -> Self {
        Self::Gone
    }
}

impl From<Broken> for Parting {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Gone => Self::Gone,
            Broken::TooLarge => Self::Closing(Closing::MessageTooLarge),
            Broken::Protocol => Self::Closing(Closing::ProtocolError),
            Broken::NotUtf8 => Self::Closing(Closing::InvalidUtf8),
        }
    }
}

/// Both directions and the heartbeat, until one of them ends it.
async fn converse(
    session: &mut Session,
    incoming: &mut Incoming,
    connection: &mut Connection,
) -> Parting {
    let listener = Arc::clone(connection.listener());
    let heartbeat = connection.live().settings.heartbeat;
    let mut heartbeats = connection.live().heartbeats();
    let mut heard_at = Instant::now();
    // Of the state that the last message asked for. One at a time: a client that
    // asks faster than the store answers waits.
    let mut reading: Option<BoxFuture<'static, ()>> = None;
    loop {
        let step = tokio::select! {
            next = listener.next() => match next {
                Next::Message(text) => tokio::select! {
                    sent = session.text(text) => sent.map_err(Parting::from),
                    () = listener.overrun() => Err(Parting::Closing(Closing::SlowReader)),
                },
                Next::End(End::Closing(closing)) => Err(Parting::Closing(closing)),
                Next::End(End::Complete) => Err(Parting::Closed(None)),
            },
            Some(()) = OptionFuture::from(reading.as_mut()) => {
                reading = None;
                Ok(())
            }
            message = incoming.next(), if reading.is_none() && listener.is_drained() => {
                heard_at = Instant::now();
                match message {
                    Err(broken) => Err(broken.into()),
                    Ok(message) => answer(message, session, connection, &mut reading).await,
                }
            }
            _ = heartbeats.tick() => {
                if heard_at.elapsed() >= heartbeat * 2 {
                    Err(Parting::Closing(Closing::NoHeartbeat))
                } else {
                    session.ping(b"").await.map_err(Parting::from)
                }
            }
        };
        if let Err(parting) = step {
            return parting;
        }
    }
}

async fn answer(
    message: Message,
    session: &mut Session,
    connection: &mut Connection,
    reading: &mut Option<BoxFuture<'static, ()>>,
) -> Result<(), Parting> {
    match message {
        Message::Text(text) => match Request::parse(&text) {
            Ok(Request::Subscribe { tickets, shows }) => {
                *reading = Some(connection.subscribe(tickets, shows).await);
            }
            Ok(Request::Unsubscribe { tickets, shows }) => connection.unsubscribe(&tickets, &shows),
            Err(faults) => connection.fail(&Failure::InvalidMessage(faults)),
        },
        Message::Binary => {
            let fault = Fault::pointer("", "is binary; send JSON in a text message");
            connection.fail(&Failure::InvalidMessage(fault.into()));
        }
        Message::Ping(bytes) => session.pong(&bytes).await?,
        Message::Pong => {}
        Message::Close(reason) => return Err(Parting::Closed(reason)),
    }
    Ok(())
}

async fn say_goodbye(mut session: Session, parting: Parting) -> Result<(), Closed> {
    match parting {
        Parting::Gone => Ok(()),
        // RFC 6455, section 5.5.1: a close is answered with its own code.
        Parting::Closed(reason) => session.close(reason).await,
        Parting::Closing(closing) => {
            let text = write(Content::Closing(closing), Dialect::WebSocket);
            session.text(text).await?;
            session.close(Some(reason(closing))).await
        }
    }
}

/// Codes of RFC 6455, section 7.4.1.
fn reason(closing: Closing) -> CloseReason {
    let code = match closing {
        Closing::ShuttingDown => CloseCode::Away,
        Closing::MessageTooLarge => CloseCode::Size,
        Closing::ProtocolError => CloseCode::Protocol,
        Closing::InvalidUtf8 => CloseCode::Invalid,
        Closing::SlowReader
        | Closing::NoHeartbeat
        | Closing::TokenExpired
        | Closing::TicketNotFound => CloseCode::Policy,
    };
    CloseReason {
        code,
        description: Some(closing.code().to_owned()),
    }
}
