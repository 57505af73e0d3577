//! `worker.*`

use fields::{Fields, all, whole};
use worker::WorkerSettings;

use super::reader::{millis, setting};

pub(super) fn read(fields: &mut Fields<'_, '_>) -> Option<WorkerSettings> {
    all!(WorkerSettings {
        batch_max: setting(fields, "worker.batch_max", whole(1..=10_000)),
        hold_sweep_interval: setting(fields, "worker.hold_sweep_interval_ms", millis(10)),
    })
}
