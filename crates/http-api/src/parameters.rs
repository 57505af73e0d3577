//! What stands in a path or a query.

use std::fmt::Display;

use actix_web::error::PathError;
use actix_web::{Error, HttpRequest, web};
use domain::receipt::TicketId;
use domain::time::Timestamp;
use fields::{Fields, Value, all, text, whole};

use crate::problem::{ApiError, Fault, Faults};

/// Items of one page, unless the client says otherwise.
pub(crate) const DEFAULT_LIMIT: usize = 50;
/// The most of them.
pub(crate) const MAX_LIMIT: usize = 500;

/// Reads the query's parameters, all at once.
pub(crate) fn read_query<T>(
    request: &HttpRequest,
    read: impl FnOnce(&mut Fields<'_, '_>) -> Option<T>,
) -> Result<T, ApiError> {
    let given = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
    let given = given.map_err(|_| {
        ApiError::InvalidParameters(Fault::parameter("", "is not a query string").into())
    })?;
    let given = given.into_inner().into_iter();
    let given = given.map(|(name, value)| (name.into(), Value::Bare(value.into())));
    let given = Value::Table(given.collect());
    let read = fields::read(given, Faults::none_yet(fields::dotted), read);
    read.map_err(|faults| ApiError::InvalidParameters(Faults::of(faults, Fault::parameter)))
}

/// The page of a list that is asked for.
pub(crate) struct PageQuery<C> {
    /// The most items.
    pub(crate) limit: usize,
    /// `next_cursor` of the page before.
    pub(crate) cursor: Option<C>,
}

impl<C> PageQuery<C> {
    pub(crate) fn read<E: Display>(
        fields: &mut Fields<'_, '_>,
        cursor: impl Fn(&str) -> Result<C, E>,
    ) -> Option<Self> {
        all!(Self {
            limit: limit(fields),
            cursor: fields.optional("cursor", text(cursor)),
        })
    }
}

/// How many items the client wants.
pub(crate) fn limit(fields: &mut Fields<'_, '_>) -> Option<usize> {
    fields.or("limit", DEFAULT_LIMIT, whole(1..=MAX_LIMIT))
}

/// The `{id}` of a path.
pub(crate) fn path_id<T, E: Display>(
    text: &str,
    read: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, ApiError> {
    read(text).map_err(|what| ApiError::InvalidParameters(Fault::parameter("id", what).into()))
}

/// For a path that does not even decode.
pub(crate) fn malformed_path(error: PathError, _: &HttpRequest) -> Error {
    ApiError::InvalidParameters(Fault::parameter("id", error).into()).into()
}

/// Where the next page of tickets starts, as `<requested_at in µs>.<ticket id>`.
pub(crate) fn write_cursor((requested_at, id): (Timestamp, TicketId)) -> String {
    format!("{}.{id}", requested_at.as_micros())
}

/// A place in a show's history.
pub(crate) fn sequence_cursor(text: &str) -> Result<u64, &'static str> {
    text.parse()
        .map_err(|_| "must be the next_cursor of an earlier answer")
}

/// Takes what [`write_cursor`] gave.
pub(crate) fn read_cursor(text: &str) -> Result<(Timestamp, TicketId), &'static str> {
    text.split_once('.')
        .and_then(|(micros, id)| {
            let requested_at = Timestamp::from_micros(micros.parse().ok()?).ok()?;
            Some((requested_at, id.parse().ok()?))
        })
        .ok_or("must be the next_cursor of an earlier answer")
}
