//! What stands in a path or a query.

use std::fmt::Display;

use actix_web::error::PathError;
use actix_web::{Error, HttpRequest, web};
use domain::receipt::TicketId;
use domain::time::Timestamp;

use crate::problem::{ApiError, Fault, Faults};

/// Items of one page, unless the client says otherwise.
const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

/// The query's parameters, to be taken one by one.
pub(crate) struct Parameters {
    left: Vec<(String, String)>,
    faults: Faults,
}

impl Parameters {
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        let left = web::Query::<Vec<(String, String)>>::from_query(request.query_string())
            .map_err(|_| {
                ApiError::InvalidParameters(Fault::parameter("", "is not a query string").into())
            })?
            .into_inner();
        Ok(Self {
            left,
            faults: Faults::default(),
        })
    }

    /// The parameter's value; `None` if it is missing, or wrong, which is noted.
    pub(crate) fn optional<T, E: Display>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let index = self.left.iter().position(|(found, _)| found == name)?;
        let (_, value) = self.left.remove(index);
        read(&value)
            .map_err(|what| self.faults.note(|| Fault::parameter(name, what)))
            .ok()
    }

    /// The parameter's value; `None` if it is missing or wrong, which is noted.
    pub(crate) fn required<T, E: Display>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        if !self.left.iter().any(|(found, _)| found == name) {
            self.faults.note(|| Fault::parameter(name, "is missing"));
        }
        self.optional(name, read)
    }

    /// How many items the client wants.
    pub(crate) fn limit(&mut self) -> usize {
        self.optional("limit", |text| {
            text.parse()
                .ok()
                .filter(|limit| (1..=MAX_LIMIT).contains(limit))
                .ok_or_else(|| format!("must be a whole number from 1 to {MAX_LIMIT}"))
        })
        .unwrap_or(DEFAULT_LIMIT)
    }

    /// Like [`crate::json::body::Fields::finish`].
    pub(crate) fn finish<T>(mut self, build: impl FnOnce() -> Option<T>) -> Result<T, ApiError> {
        // What is left was never asked for, or is there a second time.
        for (name, _) in &self.left {
            self.faults.note(|| {
                Fault::parameter(name, "is unknown or given more than once; leave it out")
            });
        }
        match build() {
            Some(built) if self.faults.is_empty() => Ok(built),
            _ => Err(ApiError::InvalidParameters(self.faults)),
        }
    }
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

/// Takes what [`write_cursor`] gave.
pub(crate) fn read_cursor(text: &str) -> Result<(Timestamp, TicketId), &'static str> {
    text.split_once('.')
        .and_then(|(micros, id)| {
            let requested_at = Timestamp::from_micros(micros.parse().ok()?).ok()?;
            Some((requested_at, id.parse().ok()?))
        })
        .ok_or("must be the next_cursor of an earlier answer")
}
