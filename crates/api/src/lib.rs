//! The on-sale engine as a program: HTTP in front, a worker behind, adapters
//! chosen by configuration. [`wiring`] is where they meet.

pub mod application;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod configuration;
mod examiner;
pub mod held_lanes;
mod http;
mod lane_watch;
mod live;
mod log_writer;
mod open_files;
mod outage;
mod seed;
mod server_urls;
mod telemetry;
pub mod wiring;
pub mod worker;
