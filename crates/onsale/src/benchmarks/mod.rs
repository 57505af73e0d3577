//! Figures of the service, each beside a baseline of the same run: in memory
//! ([`memory`], [`soak`]) and on a real broker and database ([`services`]).

mod accept;
mod backlog;
mod benchmark;
mod beside;
mod comparison;
mod confirm;
mod cpu;
mod decide;
mod edge;
mod flash_sale;
mod growth;
mod heard;
pub(crate) mod memory;
mod naive;
mod notify;
mod observed;
mod orders;
mod proof;
mod recipes;
mod redis_server;
mod rounds;
pub(crate) mod services;
pub(crate) mod soak;
mod sold_out;
