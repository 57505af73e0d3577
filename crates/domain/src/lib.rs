//! The heart of the on-sale engine: what a show, a user and a ticket are, the
//! rule that hands out seats, the ports to the outside and the use cases over
//! those ports.
//!
//! A ticket is decided in [`rule`]; everything else brings orders to it or
//! carries verdicts away from it. This crate knows no web framework, broker,
//! database, runtime or configuration.

pub mod audit;
pub mod author;
pub mod claims;
pub mod event;
pub mod gate;
pub mod ids;
pub mod journal;
mod lane;
mod named;
pub mod order;
pub mod ports;
pub mod principal;
pub mod receipt;
pub mod rule;
pub mod schedule;
pub mod show;
pub mod ticket;
pub mod time;
pub mod trace;
pub mod use_cases;
pub mod user;
pub mod waiting_line;
