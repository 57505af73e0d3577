//! What processes use, whichever of them are there.

use std::cell::Cell;
use std::rc::Rc;

use black_box::usage::{cpu_micros, resident_kib};

use crate::outcome::Usage;

/// A process whose memory and CPU time are reported, and whichever takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Watch {
    /// What reports call it.
    pub(crate) name: String,
    /// The system's number of the one that it is now. Shared by all clones.
    id: Rc<Cell<u32>>,
}

impl Watch {
    /// Of a process by the system's number.
    pub(crate) fn new(name: impl Into<String>, id: u32) -> Self {
        Self {
            name: name.into(),
            id: Rc::new(Cell::new(id)),
        }
    }

    /// Another process has taken its place.
    pub(crate) fn becomes(&self, id: u32) {
        self.id.set(id);
    }
}

/// What was seen of one, or of those that followed each other.
pub(super) struct Watching {
    watch: Watch,
    /// The process that was looked at last.
    id: u32,
    /// CPU time of it that does not count.
    cpu_before: u64,
    /// CPU time of it when it was looked at last.
    cpu_seen: u64,
    /// CPU time of those before it.
    cpu_of_others: u64,
    resident_kib: Vec<(i64, u64)>,
}

impl Watching {
    pub(super) fn of(watch: Watch) -> Self {
        Self {
            id: watch.id.get(),
            watch,
            cpu_before: 0,
            cpu_seen: 0,
            cpu_of_others: 0,
            resident_kib: Vec::new(),
        }
    }

    /// Counts from now on.
    pub(super) fn start(&mut self) {
        // One that is gone has used nothing.
        self.cpu_before = cpu_micros(self.id).unwrap_or_default();
        self.cpu_seen = self.cpu_before;
    }

    pub(super) fn look(&mut self, now: i64) {
        let id = self.watch.id.get();
        if id != self.id {
            self.cpu_of_others = self.spent();
            (self.id, self.cpu_before, self.cpu_seen) = (id, 0, 0);
        }
        self.cpu_seen = cpu_micros(id).unwrap_or(self.cpu_seen).max(self.cpu_seen);
        // Kept of every look, so that those of all processes are beside each other.
        let resident = resident_kib(id).unwrap_or_default();
        self.resident_kib.push((now, resident));
    }

    const fn spent(&self) -> u64 {
        self.cpu_of_others + self.cpu_seen.saturating_sub(self.cpu_before)
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            name: self.watch.name.clone(),
            resident_kib: self.resident_kib.clone(),
            cpu_micros: self.spent(),
        }
    }
}

#[cfg(test)]
mod tests {
    use black_box::process::send_signal;
    use tokio::process::Command;

    use super::*;

    #[tokio::test]
    async fn a_process_that_took_anothers_place_is_looked_at_under_its_name() {
        let mut first = Command::new("sleep").arg("60").spawn().unwrap();
        let mut second = Command::new("sleep").arg("60").spawn().unwrap();
        let (one, other) = (first.id().unwrap(), second.id().unwrap());
        let watch = Watch::new("sleeper", one);
        let mut watching = Watching::of(watch.clone());
        watching.start();
        watching.look(1);
        // As if it had spent something.
        watching.cpu_seen += 70_000;
        send_signal(one, "KILL").await.unwrap();
        first.wait().await.unwrap();
        watching.look(2);
        watch.becomes(other);
        watching.look(3);
        second.kill().await.unwrap();
        let there: Vec<bool> = watching
            .resident_kib
            .iter()
            .map(|(_, kib)| *kib > 0)
            .collect();
        assert_eq!(there, [true, false, true]);
        assert!(watching.spent() >= 70_000, "{}", watching.spent());
        assert_eq!((watching.id, watching.cpu_before), (other, 0));
    }
}
