//! What the process takes of the machine, by the names that Prometheus' own libraries use.

use std::fmt;

use procfs::process::{LimitValue, Process};
use procfs::{WithCurrentSystemInfo, ticks_per_second};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::sampled::float;

#[derive(Debug)]
pub(crate) struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // What the system does not tell is not written.
        let Ok(process) = Process::myself() else {
            return Ok(());
        };
        Values(&mut encoder).process(&process)
    }
}

struct Values<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Values<'_, '_> {
    fn counter(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        let metric = counter.metric_type();
        // The library adds the suffix.
        let name = name.strip_suffix("_total").unwrap_or(name);
        counter.encode(self.0.encode_descriptor(name, help, None, metric)?)
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        let metric = gauge.metric_type();
        gauge.encode(self.0.encode_descriptor(name, help, None, metric)?)
    }

    fn process(&mut self, process: &Process) -> fmt::Result {
        if let Ok(stat) = process.stat() {
            let ticks = float(stat.utime + stat.stime) / float(ticks_per_second());
            self.counter(
                "process_cpu_seconds_total",
                "User and system CPU time",
                ticks,
            )?;
            let resident = float(stat.rss_bytes().get());
            self.gauge("process_resident_memory_bytes", "Resident memory", resident)?;
            self.gauge(
                "process_virtual_memory_bytes",
                "Virtual memory",
                float(stat.vsize),
            )?;
            if let Ok(boot) = procfs::boot_time_secs() {
                let start = float(boot) + float(stat.starttime) / float(ticks_per_second());
                self.gauge(
                    "process_start_time_seconds",
                    "When it was started, in Unix time",
                    start,
                )?;
            }
        }
        if let Ok(open) = process.fd_count() {
            self.gauge("process_open_fds", "Open files", float(open as u64))?;
        }
        if let Ok(limits) = process.limits()
            && let LimitValue::Value(limit) = limits.max_open_files.soft_limit
        {
            self.gauge(
                "process_max_fds",
                "How many files it may have open",
                float(limit),
            )?;
        }
        Ok(())
    }
}
