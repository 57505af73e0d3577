//! The result in a few lines.

use std::fmt;

use super::faults::{COSTS, by_kind};
use super::result::Report;
use crate::digits::millis;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_sale(f)?;
        self.write_latencies(f)?;
        self.write_processes(f)?;
        self.write_faults(f)?;
        self.write_answers(f)
    }
}

impl Report {
    /// What became of orders and seats, and how fast.
    fn write_sale(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scenario, setting, orders) = (&self.scenario, &self.setting, &self.orders);
        let (pace, verdicts) = (&self.pace, &self.verdicts);
        writeln!(
            f,
            "{}: {} orders by {} users for {} x {} seats on {}, seed {}",
            scenario.name,
            scenario.orders,
            scenario.users,
            scenario.shows,
            scenario.seats_per_show,
            setting.on,
            setting.seed
        )?;
        if let Some(seconds) = setting.users_seconds {
            writeln!(f, "  users made in         {seconds:.2} s")?;
        }
        writeln!(
            f,
            "  orders                {} sent, {} accepted, {} refused by the gate, {} refused, \
             {} unknown of which {} were decided, {} sent again",
            orders.sent,
            orders.accepted,
            orders.sold_out_by_gate,
            orders.refused,
            orders.unknown,
            orders.unknown_and_decided,
            orders.sent_again
        )?;
        writeln!(
            f,
            "  verdicts              {} reserved, {} confirmed, {} sold out, {} limit exceeded, {} otherwise",
            verdicts.reserved,
            verdicts.confirmed,
            verdicts.sold_out,
            verdicts.limit_exceeded,
            verdicts.rejected_otherwise
        )?;
        writeln!(
            f,
            "  in the end            {} confirmed, {} expired, {} cancelled; {} of {} seats sold, {} held",
            verdicts.confirmed_at_the_end,
            verdicts.expired,
            verdicts.cancelled,
            verdicts.seats_sold,
            verdicts.capacity,
            verdicts.seats_held
        )?;
        writeln!(
            f,
            "  accepted              {:.2} s, {:.0} per second\n  \
             decided               {:.2} s, {:.0} per second; at most {} waited",
            pace.accepted_after_seconds,
            pace.accepted_per_second,
            pace.decided_after_seconds,
            pace.decided_per_second,
            pace.backlog_peak
        )?;
        writeln!(
            f,
            "  connections           {} before the start, opened in {:.2} s; {} of {} needed",
            self.connections.before_start,
            self.connections.opening_seconds,
            self.connections.used,
            self.connections.limit
        )?;
        Ok(())
    }

    fn write_latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  {:<30} {:>9} {:>9} {:>9} {:>9}",
            "ms", "p50", "p99", "p99.9", "max"
        )?;
        for (name, figures) in self.latencies() {
            writeln!(
                f,
                "  {name:<30} {:>9} {:>9} {:>9} {:>9}",
                millis(figures.p50),
                millis(figures.p99),
                millis(figures.p999),
                millis(figures.max)
            )?;
        }
        Ok(())
    }

    fn write_processes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  {:<30} {:>9} {:>9} {:>9} {:>9}",
            "MiB and CPU µs per order", "start", "peak", "end", "CPU"
        )?;
        for process in &self.processes {
            writeln!(
                f,
                "  {:<30} {:>9} {:>9} {:>9} {:>9.1}",
                process.name,
                process.start_mib,
                process.peak_mib,
                process.end_mib,
                process.cpu_micros_per_order
            )?;
        }
        Ok(())
    }

    /// What was not as it should be, and the violations.
    fn write_answers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for answer in self.answers.iter().filter(|answer| answer.status >= 300) {
            let request = answer.request.name();
            writeln!(
                f,
                "  {request} answered {} {}: {}",
                answer.status, answer.code, answer.count
            )?;
        }
        for unanswered in &self.unanswered {
            let request = unanswered.request.name();
            writeln!(f, "  {request} {}: {}", unanswered.why, unanswered.count)?;
        }
        let violations: Vec<_> = self
            .violations
            .iter()
            .map(|(kind, count)| format!("{kind} {count}"))
            .collect();
        writeln!(f, "  violations            {}", violations.join(", "))
    }

    /// A line for each kind of fault, if there were any.
    fn write_faults(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.faults.is_empty() {
            return Ok(());
        }
        write!(
            f,
            "  {:<30} {:>9}",
            "faults, longest and median s", "number"
        )?;
        for (cost, _) in COSTS {
            write!(f, " {cost:>19}")?;
        }
        writeln!(f)?;
        for kind in by_kind(&self.faults) {
            write!(f, "  {:<30} {:>9}", kind.kind.name(), kind.number)?;
            for (longest, median) in kind.costs {
                write!(f, " {longest:>9.2} {median:>9.2}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
