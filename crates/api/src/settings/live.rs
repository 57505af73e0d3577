//! `live.*`

use std::time::Duration;

use http_api::LiveSettings;

use super::reader::Reader;

/// Also after how long a waiting line that does not move is called stalled.
pub(super) fn read(reader: &mut Reader) -> Option<(LiveSettings, Duration)> {
    let max_connections = reader.number("live.max_connections", 1, 1_000_000);
    let max_subscriptions = reader.number("live.max_subscriptions", 1, 10_000);
    let outgoing_buffer = reader.number("live.outgoing_buffer", 2, 100_000);
    let heartbeat = reader.number("live.heartbeat_seconds", 1_u64, 3_600);
    let line_interval = reader.duration_ms("live.line_interval_ms", 50);
    let stalled_after = reader.duration_ms("live.stalled_after_ms", 100);
    if let (Some(subscriptions), Some(buffer)) = (max_subscriptions, outgoing_buffer)
        && buffer <= subscriptions
    {
        reader.fault(
            "live.outgoing_buffer",
            "must be more than live.max_subscriptions: \
             every subscription is answered with the state",
        );
    }
    let settings = LiveSettings {
        max_connections: max_connections?,
        max_subscriptions: max_subscriptions?,
        outgoing_buffer: outgoing_buffer?,
        heartbeat: Duration::from_secs(heartbeat?),
        line_interval: line_interval?,
    };
    Some((settings, stalled_after?))
}
