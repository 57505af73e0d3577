//! `tickets.*`

use std::collections::BTreeSet;

use domain::order::Quantity;
use domain::receipt::MIN_SECRET_LENGTH;
use fields::{Fields, all, flag, text, whole};
use secrecy::SecretString;

use super::reader::{needed, setting};

/// The section `tickets`: the limits of an order and the secrets of its id.
#[derive(Debug, Clone)]
pub struct TicketSettings {
    /// The first signs, all verify. Empty, in development only: the secret that everybody can
    /// read in `application/ground.rs`.
    pub id_secrets: Vec<SecretString>,
    /// The most seats of one order.
    pub max_quantity: Quantity,
    /// `tickets.sold_out_gate`: whether orders for sold-out shows are refused at once.
    pub sold_out_gate: bool,
}

pub(super) fn read(fields: &mut Fields<'_, '_>, secrets_needed: bool) -> Option<TicketSettings> {
    let max_quantity = whole(1..=10_000);
    all!(TicketSettings {
        id_secrets: needed(
            fields,
            "tickets.id_secrets",
            secrets_needed,
            text(id_secrets)
        )
        .map(Option::unwrap_or_default),
        sold_out_gate: setting(fields, "tickets.sold_out_gate", flag),
        max_quantity: setting(fields, "tickets.max_quantity", max_quantity).and_then(Quantity::new),
    })
}

/// A secret twice is one that was to be another.
fn id_secrets(text: &str) -> Result<Vec<SecretString>, String> {
    let secrets: Vec<_> = text.split(',').map(str::trim).collect();
    let distinct: BTreeSet<_> = secrets.iter().collect();
    if distinct.len() < secrets.len() {
        return Err("has the same secret twice; give each once".to_owned());
    }
    secrets.into_iter().map(long_enough).collect()
}

pub(super) fn long_enough(secret: &str) -> Result<SecretString, String> {
    if secret.len() < MIN_SECRET_LENGTH {
        return Err(format!(
            "every secret needs at least {MIN_SECRET_LENGTH} bytes; `openssl rand -hex 32` makes one"
        ));
    }
    Ok(SecretString::from(secret))
}
