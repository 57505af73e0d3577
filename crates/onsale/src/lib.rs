//! Puts the service under load and checks what came of it: a lean client, a
//! bare handler to compare with, and runs that start the release binary, drive
//! it and reconcile what the client was told with the service's own audit.

pub mod bench;
pub mod client;
pub mod flash_sale;
pub mod load;
pub mod process;
pub mod reconcile;
pub mod sale;
pub mod soak;
