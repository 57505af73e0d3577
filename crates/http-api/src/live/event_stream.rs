//! `GET /tickets/{id}/events`: Server-Sent Events of one ticket.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, HeaderName};
use actix_web::web::Bytes;
use bytestring::ByteString;
use domain::principal::Principal;
use domain::use_cases::{ReadTicketError, TicketView};
use futures_util::Stream;
use tokio::time::Interval;

use super::connection::Connection;
use super::listener::{Audience, End, Next};
use super::message::{Content, Dialect, Failure, write};
use super::shared::Live;
use super::ticket_registry::is_final;
use super::ticket_request::TicketRequest;
use crate::client_limits::StreamClient;
use crate::problem::ApiError;

/// After a broken connection browsers try again after so long.
const RETRY: ByteString = ByteString::from_static("retry: 1000\n\n");
const HEARTBEAT: Bytes = Bytes::from_static(b": heartbeat\n\n");
/// Tells nginx, and proxies that do as it does, to pass everything on at once.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The ticket's states after `told`, the last one that the client knows, up to
/// the final one. If that is the one it knows, there is nothing to stream.
pub(crate) async fn open(
    live: &Arc<Live>,
    principal: &Arc<Principal>,
    client: StreamClient,
    ticket: TicketRequest,
    told: Option<u32>,
    take: impl FnOnce() -> Result<(), ApiError>,
) -> Result<HttpResponse, ApiError> {
    let mut connection = Connection::open(live, principal, client, Dialect::EventStream)?;
    let id = ticket.id;
    connection.listener().send(RETRY);
    connection.watch(ticket, told);
    // Listening by now, so nothing falls between this state and the changes.
    match live.office.read_current_ticket(principal, id).await {
        Ok(TicketView::Decided(ticket)) => {
            let audience = Audience::One(connection.listener());
            if told.is_some_and(|told| told > ticket.version) {
                live.tickets.distrust(id, connection.listener());
            } else if told == Some(ticket.version) && is_final(ticket.status) {
                return Ok(HttpResponse::NoContent().finish());
            }
            live.tickets.tell(&ticket, audience);
        }
        Ok(TicketView::Processing { .. }) => {
            if told > Some(0) {
                live.tickets.distrust(id, connection.listener());
            }
            let audience = Audience::One(connection.listener());
            live.tell_processing(id, audience);
        }
        Err(ReadTicketError::NotFound) => return Err(ApiError::TicketNotFound),
        // A browser would never ask again after an error: the stream starts,
        // and the state follows.
        Err(ReadTicketError::Unreadable(_) | ReadTicketError::StoreUnavailable(_)) => {
            live.missed.notify_one();
            connection.fail(&Failure::StoreUnavailable);
        }
    }
    take()?;
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((ACCEL_BUFFERING, "no"))
        .streaming(EventStream {
            heartbeats: live.heartbeats(),
            connection: Some(connection),
        }))
}

/// The body of the answer.
struct EventStream {
    /// Until the end.
    connection: Option<Connection>,
    heartbeats: Interval,
}

impl Stream for EventStream {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(connection) = &self.connection else {
            return Poll::Ready(None);
        };
        match connection.listener().poll_next(context) {
            Poll::Ready(Next::Message(text)) => Poll::Ready(Some(Ok(text.into_bytes()))),
            Poll::Ready(Next::End(end)) => {
                if let End::Closing(closing) = end {
                    connection.live().note_closed(closing);
                }
                self.connection = None;
                Poll::Ready(match end {
                    End::Complete => None,
                    End::Closing(closing) => {
                        let text = write(Content::Closing(closing), Dialect::EventStream);
                        Some(Ok(text.into_bytes()))
                    }
                })
            }
            Poll::Pending => self
                .heartbeats
                .poll_tick(context)
                .map(|_| Some(Ok(HEARTBEAT))),
        }
    }
}
