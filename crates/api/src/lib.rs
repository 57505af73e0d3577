//! The on-sale engine as a program: the command line, the settings, and where ports meet
//! adapters ([`wiring`]).

pub mod application;
pub mod cli;
pub mod client;
pub mod clock;
mod examiner;
mod log_writer;
mod open_files;
mod seed;
pub mod settings;
mod telemetry;
pub mod wiring;
