//! A ticket as JSON, in answers and in notifications.

use domain::order::Order;
use domain::receipt::TicketId;
use domain::ticket::Ticket;
use domain::time::Timestamp;
use domain::waiting_line::LinePlace;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::openapi::schemas;

const PROCESSING: &str = "processing";

/// A ticket as clients see it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Ticket")]
pub(crate) struct TicketBody<'a> {
    /// Names the ticket for ever.
    #[serde(serialize_with = "written")]
    #[schemars(schema_with = "schemas::ticket_id")]
    pub(crate) ticket_id: TicketId,
    /// The show that was ordered for.
    #[serde(skip_serializing_if = "Option::is_none")]
    show_id: Option<&'a str>,
    /// Who ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    /// Seats.
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<u32>,
    /// `processing` until the first verdict.
    #[schemars(schema_with = "schemas::status")]
    status: &'static str,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schemas::reason")]
    reason: Option<&'static str>,
    /// Until when a reserved ticket can be confirmed.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "written_if_some"
    )]
    #[schemars(schema_with = "schemas::instant")]
    hold_expires_at: Option<Timestamp>,
    /// When the order was accepted.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "written_if_some"
    )]
    #[schemars(schema_with = "schemas::instant")]
    requested_at: Option<Timestamp>,
    /// When its first verdict was given.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "written_if_some"
    )]
    #[schemars(schema_with = "schemas::instant")]
    decided_at: Option<Timestamp>,
    /// Number of the verdict among all changes of the show.
    #[serde(skip_serializing_if = "Option::is_none")]
    decision_seq: Option<u64>,
    /// In notifications: the number of the ticket's state, 0 while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ticket_version: Option<u32>,
    /// While it waits, and if it is known where.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_line: Option<WaitingLineBody>,
}

impl<'a> TicketBody<'a> {
    const fn bare(ticket_id: TicketId) -> Self {
        Self {
            ticket_id,
            show_id: None,
            user_id: None,
            quantity: None,
            status: PROCESSING,
            reason: None,
            hold_expires_at: None,
            requested_at: None,
            decided_at: None,
            decision_seq: None,
            ticket_version: None,
            waiting_line: None,
        }
    }

    /// A ticket that has no verdict yet.
    pub(crate) const fn processing(
        ticket_id: TicketId,
        requested_at: Option<Timestamp>,
        waiting_line: Option<WaitingLineBody>,
    ) -> Self {
        Self {
            requested_at,
            waiting_line,
            ..Self::bare(ticket_id)
        }
    }

    /// An order's answer.
    pub(crate) fn queued(order: &'a Order) -> Self {
        Self {
            show_id: Some(order.show_id.as_str()),
            user_id: Some(order.user_id.as_str()),
            quantity: Some(order.quantity.seats()),
            ..Self::bare(order.ticket_id)
        }
    }

    /// A ticket as it stands.
    pub(crate) fn decided(ticket: &'a Ticket) -> Self {
        Self {
            status: ticket.status.as_str(),
            reason: ticket.rejection().map(|reason| reason.as_str()),
            hold_expires_at: ticket.hold_expires_at(),
            requested_at: Some(ticket.order.requested_at),
            decided_at: Some(ticket.decided_at),
            decision_seq: ticket.decision_seq,
            ..Self::queued(&ticket.order)
        }
    }

    /// The ticket as notifications tell it.
    pub(crate) const fn in_version(mut self, version: u32) -> Self {
        self.ticket_version = Some(version);
        self
    }
}

/// Where the line is for a ticket that waits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[schemars(rename = "WaitingLine")]
pub(crate) struct WaitingLineBody {
    /// Orders accepted until then have their verdict.
    #[serde(serialize_with = "written_if_some")]
    #[schemars(schema_with = "schemas::instant_or_null")]
    now_serving_at: Option<Timestamp>,
    /// Orders that come first.
    estimated_orders_ahead: Option<u64>,
    /// Until the verdict, at the rate of the latest ones.
    estimated_wait_ms: Option<u64>,
    /// Whether the line has not moved for `live.stalled_after_ms`.
    stalled: bool,
}

impl From<LinePlace> for WaitingLineBody {
    fn from(place: LinePlace) -> Self {
        Self {
            now_serving_at: place.now_serving_at,
            estimated_orders_ahead: place.orders_ahead,
            estimated_wait_ms: place.wait_ms,
            stalled: place.stalled,
        }
    }
}

fn written<S: Serializer>(id: &TicketId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

fn written_if_some<S: Serializer>(
    instant: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match instant {
        Some(instant) => serializer.collect_str(instant),
        None => serializer.serialize_none(),
    }
}
