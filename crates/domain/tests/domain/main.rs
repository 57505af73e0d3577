//! The domain from outside: the rule against a model, the audit against
//! planted faults, the use cases over doubles of the ports.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics is a test that fails"
)]

mod audit_finds;
mod book;
mod decide_orders;
mod doubles;
mod place_order;
mod rule_properties;
