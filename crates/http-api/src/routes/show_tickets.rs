//! `/shows/{id}/tickets`, for those who run the show.

use std::fmt::Write;
use std::time::Duration;

use actix_web::http::header::ACCEPT;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::ids::ShowId;
use domain::ticket::{Status, Ticket};
use domain::use_cases::ListShowTicketsError;
use fields::{Fields, all, text, word};
use futures_util::future::ready;
use futures_util::stream::{Stream, StreamExt, once, try_unfold};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use tokio::time::sleep;

use crate::access::Operator;
use crate::json::ticket::TicketBody;
use crate::openapi::{Operation, schemas};
use crate::parameters::{limit, path_id, read_query, sequence_cursor};
use crate::problem::Code;
use crate::state::{Answer, State};

/// What the tickets are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// A page of them in one JSON object.
    Page,
    /// All of them, a line of CSV each (RFC 4180).
    Csv,
    /// All of them, a JSON object in a line each.
    JsonLines,
}

impl Format {
    fn accepted_by(request: &HttpRequest) -> Self {
        let accepts = |media_type: &str| {
            let mut given = request.headers().get_all(ACCEPT);
            given.any(|value| {
                let value = value.to_str().unwrap_or_default().to_ascii_lowercase();
                value.split(',').any(|one| {
                    let one = one.split(';').next().unwrap_or_default();
                    one.trim() == media_type
                })
            })
        };
        if accepts("text/csv") {
            Self::Csv
        } else if accepts("application/x-ndjson") {
            Self::JsonLines
        } else {
            Self::Page
        }
    }
}

/// Which tickets are listed, in the sequence of their verdicts.
struct TicketsQuery {
    /// Those with this status; all of them unless given.
    status: Option<Status>,
    /// The most tickets of a page.
    limit: usize,
    /// `next_cursor` of the page before.
    cursor: u64,
}

impl TicketsQuery {
    fn read(fields: &mut Fields<'_, '_>, format: Format) -> Option<Self> {
        let statuses = Status::ALL.map(|status| (status.as_str(), status));
        all!(Self {
            status: fields.optional("status", word(statuses)),
            limit: match format {
                Format::Page => limit(fields),
                Format::Csv | Format::JsonLines => Some(LINES_AT_A_TIME),
            },
            cursor: fields.or("cursor", 0, text(sequence_cursor)),
        })
    }
}

/// A page of a show's tickets.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ShowTicketPage")]
struct TicketsBody<'a> {
    /// The tickets.
    tickets: Vec<TicketBody<'a>>,
    /// Where the next page starts, if there is one.
    next_cursor: Option<String>,
}

/// What is listed.
struct Wanted {
    show: ShowId,
    status: Option<Status>,
}

/// `GET /shows/{id}/tickets`.
pub(crate) async fn list(
    _: Operator,
    state: State,
    request: HttpRequest,
    id: web::Path<String>,
) -> Answer {
    let show = path_id(&id, ShowId::new)?;
    let format = Format::accepted_by(&request);
    let query = read_query(&request, |fields| TicketsQuery::read(fields, format))?;
    let status = query.status;
    // Also before a stream, whose status cannot be taken back.
    let turn = state.lists.turn().await?;
    let listed = state
        .office
        .list_show_tickets(&show, status, query.cursor, query.limit)
        .await?;
    drop(turn);
    if format == Format::Page {
        return Ok(HttpResponse::Ok().json(TicketsBody {
            tickets: listed.tickets.iter().map(TicketBody::decided).collect(),
            next_cursor: listed.next.map(|next| next.to_string()),
        }));
    }
    let media_type = match format {
        Format::Csv => "text/csv; charset=utf-8; header=present",
        Format::JsonLines | Format::Page => "application/x-ndjson",
    };
    let mut first = written(&listed.tickets, format);
    if format == Format::Csv {
        first.insert_str(0, CSV_HEADER);
    }
    let first = once(ready(Ok(Bytes::from(first))));
    let rest = rest_of(state, Wanted { show, status }, listed.next, format);
    Ok(HttpResponse::Ok()
        .content_type(media_type)
        .streaming(first.chain(rest)))
}

/// Tickets of one chunk of a stream.
const LINES_AT_A_TIME: usize = 1_000;
/// Between two attempts to get a turn in the middle of a stream.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// Each piece is read once its predecessor is sent, in a turn of its own, so that a client that
/// takes its time keeps no other list waiting. Where it breaks off, the client sees an answer
/// that does not end as it should.
fn rest_of(
    state: State,
    wanted: Wanted,
    next: Option<u64>,
    format: Format,
) -> impl Stream<Item = Result<Bytes, ListShowTicketsError>> {
    try_unfold(
        (state, wanted, next),
        move |(state, wanted, next)| async move {
            let Some(after) = next else {
                return Ok(None);
            };
            let turn = loop {
                match state.lists.turn().await {
                    Ok(turn) => break turn,
                    Err(_) => sleep(TRY_AGAIN).await,
                }
            };
            let Wanted { show, status } = &wanted;
            let listed = state
                .office
                .list_show_tickets(show, *status, after, LINES_AT_A_TIME)
                .await?;
            drop(turn);
            let text = written(&listed.tickets, format);
            Ok(Some((Bytes::from(text), (state, wanted, listed.next))))
        },
    )
}

const CSV_HEADER: &str = "ticket_id,show_id,user_id,quantity,status,reason,requested_at,\
    decided_at,decision_seq,hold_expires_at\r\n";

/// No value needs quoting: ids, names of the API and times.
fn written(tickets: &[Ticket], format: Format) -> String {
    let mut text = String::new();
    for ticket in tickets {
        if format == Format::Csv {
            let order = &ticket.order;
            let seq = ticket.decision_seq.map(|seq| seq.to_string());
            let hold = ticket.hold_expires_at().map(|at| at.to_string());
            // Writing to a string does not fail.
            let _written = write!(
                text,
                "{},{},{},{},{},{},{},{},{},{}\r\n",
                order.ticket_id,
                order.show_id,
                order.user_id,
                order.quantity.seats(),
                ticket.status.as_str(),
                ticket.rejection().map_or("", |reason| reason.as_str()),
                order.requested_at,
                ticket.decided_at,
                seq.unwrap_or_default(),
                hold.unwrap_or_default(),
            );
        } else {
            // Strings and numbers can always be written.
            let line = serde_json::to_string(&TicketBody::decided(ticket));
            text.push_str(&line.unwrap_or_default());
            text.push('\n');
        }
    }
    text
}

pub(super) fn list_described() -> Operation {
    let ticket = json!({
        "ticket_id": "0199a2b4-7d3e-8001-8a5f-3c0d9e412b77", "show_id": "230920", "user_id": "1",
        "quantity": 2, "status": "confirmed", "requested_at": "2026-05-01T18:00:00.000000Z",
        "decided_at": "2026-05-01T18:00:00.004000Z", "decision_seq": 7,
    });
    let csv = format!(
        "{CSV_HEADER}0199a2b4-7d3e-8001-8a5f-3c0d9e412b77,230920,1,2,confirmed,,\
         2026-05-01T18:00:00.000000Z,2026-05-01T18:00:00.004000Z,7,\r\n"
    );
    let statuses = Status::ALL.map(Status::as_str);
    let status = json!({"type": "string", "enum": statuses});
    Operation::new("listShowTickets", "A show's decided tickets")
        .about(
            "In the sequence of their decisions. `Accept: text/csv` and \
             `Accept: application/x-ndjson` stream all of them; then there is no `limit`.",
        )
        .path("id", schemas::identifier())
        .query("status", "Only tickets with this status.", status)
        .page(schemas::sequence())
        .json(
            200,
            "A page of tickets, or all of them.",
            schemas::of::<TicketsBody<'static>>,
            json!({"tickets": [ticket.clone()], "next_cursor": null}),
        )
        .or("text/csv", &csv)
        .or("application/x-ndjson", &format!("{ticket}\n"))
        .problems([
            Code::ShowNotFound,
            Code::ListsExhausted,
            Code::StoreUnavailable,
        ])
}
