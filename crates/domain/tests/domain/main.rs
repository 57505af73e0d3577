//! The domain from outside: the rule against a model, the audit against
//! planted faults, the use cases over doubles of the ports.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics is a test that fails"
)]

mod audit_finds;
mod audit_properties;
mod batch_properties;
mod book;
mod decide_orders;
mod doubles;
mod gate;
mod line_properties;
mod manage;
mod model;
mod place_order;
mod principals;
mod rule_properties;
mod waiting_line;
