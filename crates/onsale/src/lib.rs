//! Puts the service under load and checks what came of it: benchmarks beside baselines,
//! and scenarios in which clients come whatever is answered, everything is broken
//! meanwhile, and every ticket is accounted for. What it knows of the service is in
//! `black-box`; what it makes of it is here.

pub mod baselines;
mod benchmarks;
mod cli;
mod digits;
mod files;
mod labels;
mod machine;
mod markup;
mod outcome;
mod plot;
mod provenance;
mod report;
mod run;
mod scenario;
mod table;
mod tables;

pub use cli::run;
pub use report::html::page_of;
pub use scenario::faults::kinds_of_faults;
pub use scenario::sale::Scenario;
