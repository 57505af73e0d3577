//! What the process takes of the machine, by the names that Prometheus' own libraries use, and of
//! the runtime.

use std::fmt;

use procfs::process::{LimitValue, Process};
use procfs::{WithCurrentSystemInfo, ticks_per_second};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::runtime::{Handle, RuntimeMetrics};

#[derive(Debug)]
pub(crate) struct ProcessCollector {
    /// `None` outside of a runtime.
    runtime: Option<RuntimeMetrics>,
}

impl ProcessCollector {
    pub(crate) fn new() -> Self {
        let runtime = Handle::try_current().ok();
        Self {
            runtime: runtime.map(|runtime| runtime.metrics()),
        }
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut values = Values(&mut encoder);
        if let Some(runtime) = &self.runtime {
            values.runtime(runtime)?;
        }
        // What the system does not tell is not written.
        let Ok(process) = Process::myself() else {
            return Ok(());
        };
        values.process(&process)
    }
}

struct Values<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Values<'_, '_> {
    fn counter(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        let metric = counter.metric_type();
        counter.encode(self.0.encode_descriptor(name, help, None, metric)?)
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        let metric = gauge.metric_type();
        gauge.encode(self.0.encode_descriptor(name, help, None, metric)?)
    }

    fn runtime(&mut self, runtime: &RuntimeMetrics) -> fmt::Result {
        let busy = (0..runtime.num_workers()).map(|it| runtime.worker_total_busy_duration(it));
        let busy = busy.sum::<std::time::Duration>().as_secs_f64();
        self.counter(
            "tickets_runtime_busy_seconds",
            "Time that the runtime's threads worked",
            busy,
        )?;
        let threads = small(runtime.num_workers());
        self.gauge("tickets_runtime_threads", "Threads of the runtime", threads)?;
        let tasks = small(runtime.num_alive_tasks());
        self.gauge("tickets_runtime_tasks", "Tasks that have not ended", tasks)
    }

    fn process(&mut self, process: &Process) -> fmt::Result {
        if let Ok(stat) = process.stat() {
            let ticks = large(stat.utime + stat.stime) / large(ticks_per_second());
            self.counter("process_cpu_seconds", "User and system CPU time", ticks)?;
            let resident = large(stat.rss_bytes().get());
            self.gauge("process_resident_memory_bytes", "Resident memory", resident)?;
            self.gauge(
                "process_virtual_memory_bytes",
                "Virtual memory",
                large(stat.vsize),
            )?;
            if let Ok(boot) = procfs::boot_time_secs() {
                let start = large(boot) + large(stat.starttime) / large(ticks_per_second());
                self.gauge(
                    "process_start_time_seconds",
                    "When it was started, in Unix time",
                    start,
                )?;
            }
        }
        if let Ok(open) = process.fd_count() {
            self.gauge("process_open_fds", "Open files", small(open))?;
        }
        if let Ok(limits) = process.limits()
            && let LimitValue::Value(limit) = limits.max_open_files.soft_limit
        {
            self.gauge(
                "process_max_fds",
                "How many files it may have open",
                large(limit),
            )?;
        }
        Ok(())
    }
}

/// Exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^53")]
const fn large(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^53")]
const fn small(value: usize) -> f64 {
    value as f64
}
