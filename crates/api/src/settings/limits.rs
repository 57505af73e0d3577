//! `limits.*`

use fields::{Fields, Value, all, text, whole, word};
use http_api::ClientLimitSettings;
use limits::{Rate, RateError};

use super::reader::setting;

/// Where the limits of one client are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitStore {
    /// Each process has limits of its own.
    Memory,
    /// All processes share them.
    Redis,
}

/// Where rates are kept.
pub(super) fn store(fields: &mut Fields<'_, '_>) -> Option<LimitStore> {
    let stores = [("memory", LimitStore::Memory), ("redis", LimitStore::Redis)];
    setting(fields, "limits.store", word(stores))
}

/// What is empty has no limit.
pub(super) fn read(fields: &mut Fields<'_, '_>) -> Option<ClientLimitSettings> {
    all!(ClientLimitSettings {
        orders_per_user: setting(fields, "limits.orders_per_user", text(rate)),
        orders_per_address: setting(fields, "limits.orders_per_address", text(rate)),
        requests_per_address: setting(fields, "limits.requests_per_address", text(rate)),
        wrong_ids_per_address: setting(fields, "limits.wrong_ids_per_address", text(rate)),
        connections_per_address: setting(fields, "limits.connections_per_address", count),
        streams_per_address: setting(fields, "limits.streams_per_address", count),
    })
}

fn rate(text: &str) -> Result<Option<Rate>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let rate = text.parse().map(Some);
    rate.map_err(|error: RateError| format!("{error}, or empty for no limit"))
}

fn count(value: &Value<'_>) -> Result<Option<usize>, String> {
    if value.as_text() == Some("") {
        return Ok(None);
    }
    let count = whole(1..=1_000_000)(value).map(Some);
    count.map_err(|what| format!("{what}, or empty for no limit"))
}
