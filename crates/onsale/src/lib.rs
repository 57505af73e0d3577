//! Puts the service under load and checks what came of it: a lean client, a
//! bare handler and other baselines to compare with, and runs that start the
//! release binary, in memory or on real servers, drive it and reconcile what the
//! client was told with the service's own audit.

pub mod baseline;
pub mod bench;
pub mod broker;
pub mod client;
pub mod cpu;
pub mod database;
pub mod deciding;
pub mod deployment;
pub mod listener;
pub mod load;
pub mod one_by_one;
pub mod process;
pub mod proof;
pub mod reconcile;
pub mod redis_recipe;
pub mod redis_server;
pub mod report;
pub mod run;
pub mod sale;
pub mod scenario;
pub mod servers;
pub mod services;
pub mod soak;
pub mod tables;
pub mod turn;
