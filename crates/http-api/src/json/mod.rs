//! JSON as clients write and read it.

pub(crate) mod body;
pub(crate) mod hint;
pub(crate) mod ticket;
pub(crate) mod values;

use fields::{Fields, Value};

use crate::problem::{Fault, Faults};

/// Reads a JSON text that must be an object.
pub(crate) fn read_object<T>(
    document: Value<'_>,
    read: impl FnOnce(&mut Fields<'_, '_>) -> Option<T>,
) -> Result<T, Faults> {
    if !matches!(document, Value::Table(_)) {
        return Err(Fault::pointer("", "must be a JSON object").into());
    }
    let read = fields::read(document, Faults::none_yet(fields::pointer), read);
    read.map_err(|faults| Faults::of(faults, Fault::pointer))
}
