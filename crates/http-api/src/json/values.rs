//! What fields and parameters say: ids, instants, classes.

use domain::ids::{IdError, ShowId, UserId};
use domain::receipt::TicketId;
use domain::time::Timestamp;
use domain::user::PriorityClass;
use fields::{Value, text, word};

/// A show's id: a string, or a number that stands for its digits.
pub(crate) fn show_id(value: &Value<'_>) -> Result<ShowId, String> {
    identifier(value, ShowId::new)
}

/// A user's id, like [`show_id`].
pub(crate) fn user_id(value: &Value<'_>) -> Result<UserId, String> {
    identifier(value, UserId::new)
}

/// The id of a user who is to be created.
pub(crate) fn new_user_id(value: &Value<'_>) -> Result<UserId, String> {
    identifier(value, UserId::of_new)
}

fn identifier<T: From<u64>>(
    value: &Value<'_>,
    new: impl FnOnce(&str) -> Result<T, IdError>,
) -> Result<T, String> {
    match value {
        Value::Text(text) | Value::Bare(text) => new(text).map_err(|error| error.to_string()),
        Value::Whole(number) => Ok(T::from(*number)),
        _ => Err("must be a string or a non-negative whole number".to_owned()),
    }
}

/// A ticket's id.
pub(crate) fn ticket_id(value: &Value<'_>) -> Result<TicketId, String> {
    text(str::parse)(value)
}

/// An RFC 3339 instant, or null for none.
pub(crate) fn instant(value: &Value<'_>) -> Result<Option<Timestamp>, String> {
    match value {
        Value::Null => Ok(None),
        value => text(str::parse)(value).map(Some),
    }
}

/// A priority class by its name.
pub(crate) fn priority(value: &Value<'_>) -> Result<PriorityClass, String> {
    word(PriorityClass::ALL.map(|class| (class.as_str(), class)))(value)
}
