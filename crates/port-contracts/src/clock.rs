//! A clock that tests drive.

use std::sync::Arc;

use domain::ports::Clock;
use domain::time::Timestamp;
use parking_lot::{Condvar, Mutex};

/// Stands still unless it is set, forward or back.
pub struct ManualClock {
    state: Mutex<State>,
    resumed: Condvar,
}

struct State {
    now: Timestamp,
    reads: usize,
    is_stalled: bool,
}

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            state: Mutex::new(State {
                now,
                reads: 0,
                is_stalled: false,
            }),
            resumed: Condvar::new(),
        }
    }

    /// Stands at `now` from now on.
    pub fn set(&self, now: Timestamp) {
        self.state.lock().now = now;
    }

    /// Moves on by whole seconds.
    pub fn advance_seconds(&self, seconds: u32) {
        let mut state = self.state.lock();
        state.now = state.now.plus_seconds(seconds);
    }

    /// How often it was read, or tried to be read, so far.
    #[must_use]
    pub fn reads(&self) -> usize {
        self.state.lock().reads
    }

    /// Keeps every reader waiting, its thread blocked, until the stall is dropped.
    /// So a test stops an adapter exactly where it reads the time.
    #[must_use]
    pub fn stall(self: &Arc<Self>) -> ClockStall {
        self.state.lock().is_stalled = true;
        ClockStall(Arc::clone(self))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let mut state = self.state.lock();
        state.reads += 1;
        while state.is_stalled {
            self.resumed.wait(&mut state);
        }
        state.now
    }
}

/// While it lives, readers of the clock wait.
pub struct ClockStall(Arc<ManualClock>);

impl Drop for ClockStall {
    fn drop(&mut self) {
        self.0.state.lock().is_stalled = false;
        self.0.resumed.notify_all();
    }
}
