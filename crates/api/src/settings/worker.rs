//! `worker.*`

use worker::WorkerSettings;

use super::reader::Reader;

pub(super) fn read(reader: &mut Reader) -> Option<WorkerSettings> {
    let batch_max = reader.number("worker.batch_max", 1, 10_000);
    let hold_sweep_interval = reader.duration_ms("worker.hold_sweep_interval_ms", 10);
    Some(WorkerSettings {
        batch_max: batch_max?,
        hold_sweep_interval: hold_sweep_interval?,
    })
}
