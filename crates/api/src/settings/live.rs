//! `live.*`

use std::time::Duration;

use fields::{Fields, all, whole};
use http_api::LiveSettings;

use super::reader::{millis, seconds, setting};

/// Also after how long a waiting line that does not move is called stalled.
pub(super) fn read(fields: &mut Fields<'_, '_>) -> Option<(LiveSettings, Duration)> {
    let max_subscriptions = setting(fields, "live.max_subscriptions", whole(1..=10_000));
    let outgoing_buffer = setting(fields, "live.outgoing_buffer", whole(2..=100_000));
    if let (Some(subscriptions), Some(buffer)) = (max_subscriptions, outgoing_buffer)
        && buffer <= subscriptions
    {
        fields.fault(
            "live.outgoing_buffer",
            "must be more than live.max_subscriptions: \
             every subscription is answered with the state",
        );
    }
    let settings = all!(LiveSettings {
        max_connections: setting(fields, "live.max_connections", whole(1..=1_000_000)),
        max_subscriptions: max_subscriptions,
        outgoing_buffer: outgoing_buffer,
        heartbeat: setting(fields, "live.heartbeat_seconds", seconds(1)),
        line_interval: setting(fields, "live.line_interval_ms", millis(50)),
    });
    settings.zip(setting(fields, "live.stalled_after_ms", millis(100)))
}
