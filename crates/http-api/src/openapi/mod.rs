//! The OpenAPI document. It is made of the table of routes: each route comes with its
//! [`Operation`], whose schemas are those of the types that are written, and whose problems are
//! [`Code`](crate::problem::Code)s.

mod document;
mod headers;
mod operation;
mod problems;
pub(crate) mod schemas;
#[cfg(test)]
mod tests;

pub(crate) use self::document::{Described, write};
pub(crate) use self::operation::{Operation, Sent};
