//! JSON as clients write and read it.

pub(crate) mod body;
pub(crate) mod ticket;
