//! `onsale run`: a scenario from the start that everyone waits for to the last
//! verdict, reconciled with what every client was told.

mod answers;
mod buyers;
mod chaos;
mod clients;
mod command;
mod desks;
mod fleet;
mod ground;
mod metrics;
mod observer;
mod pool;
mod sale;
mod subscribers;
mod tokens;
mod usage;

pub(crate) use self::command::{RunArgs, run};
