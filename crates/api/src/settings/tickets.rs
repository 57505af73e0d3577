//! `tickets.*`

use std::collections::BTreeSet;

use domain::order::Quantity;
use domain::receipt::MIN_SECRET_LENGTH;
use secrecy::SecretString;

use super::reader::{Reader, YES_OR_NO};

/// Orders and their ids.
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

pub(super) fn read(reader: &mut Reader, secrets_required: bool) -> Option<TicketSettings> {
    let key = "tickets.id_secrets";
    let id_secrets = if reader.is_set(key) || secrets_required {
        reader.take(key, id_secrets)
    } else {
        Some(Vec::new())
    };
    let sold_out_gate = reader.choice("tickets.sold_out_gate", &YES_OR_NO);
    let max_quantity = reader
        .number("tickets.max_quantity", 1, 10_000)
        .and_then(Quantity::new);
    Some(TicketSettings {
        id_secrets: id_secrets?,
        max_quantity: max_quantity?,
        sold_out_gate: sold_out_gate?,
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
