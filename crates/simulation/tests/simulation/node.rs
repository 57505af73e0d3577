//! A process: its tasks, its clock, and every way in which it ends.

use std::fmt;
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use domain::ports::Clock;
use domain::receipt::ProcessId;
use domain::time::Timestamp;
use parking_lot::Mutex;
use tokio::task::{AbortHandle, JoinHandle, yield_now};
use tokio::time::{Instant, sleep, sleep_until};

use crate::world::World;

/// What is to be done after a crash.
type Crashed = Box<dyn Fn(&str) + Send + Sync>;

/// A process from its start to its end.
pub(crate) struct Node {
    pub(crate) world: Arc<World>,
    pub(crate) name: String,
    /// Gets the name of the process; nobody who only looks crashes.
    crashed: Option<Crashed>,
    pub(crate) skew_micros: i64,
    pub(crate) process: ProcessId,
    tasks: Mutex<Vec<AbortHandle>>,
    frozen_until: Mutex<Instant>,
    /// The store is out of reach for this process alone.
    cut_off_until: Mutex<Instant>,
}

enum Wait {
    None,
    Turn,
    For(Duration),
}

/// Tells of a task that panics, which nobody else would notice.
struct Watch(Arc<World>, String);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0
                .violated(format_args!("a task of {} panicked", self.1));
        }
    }
}

impl Node {
    pub(crate) fn new(world: &Arc<World>, name: String, crashed: Option<Crashed>) -> Arc<Self> {
        let limit = world.plan.skew_micros;
        let (ahead, process) = world.draw(|chance| {
            let ahead = chance.between(0, 2 * limit);
            (ahead, chance.seats(0, u32::MAX))
        });
        let is_observer = crashed.is_none();
        let skew_micros = i64::try_from(ahead).unwrap() - i64::try_from(limit).unwrap();
        Arc::new(Self {
            world: Arc::clone(world),
            name,
            crashed,
            skew_micros: if is_observer { 0 } else { skew_micros },
            process: ProcessId::new(process),
            tasks: Mutex::default(),
            frozen_until: Mutex::new(Instant::now()),
            cut_off_until: Mutex::new(Instant::now()),
        })
    }

    /// Somebody who looks at the store from outside.
    pub(crate) fn observer(world: &Arc<World>) -> Arc<Self> {
        Self::new(world, "observer".to_owned(), None)
    }

    pub(crate) fn note(&self, what: fmt::Arguments<'_>) {
        self.world.note(&self.name, what);
    }

    pub(crate) fn spawn<F>(self: &Arc<Self>, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        let watch = Watch(Arc::clone(&self.world), self.name.clone());
        let handle = tokio::spawn(async move {
            let _watch = watch;
            task.await
        });
        self.tasks.lock().push(handle.abort_handle());
        handle
    }

    /// Every await of a port passes here: it takes its time, lets others go
    /// first, and may be the last thing that the process does.
    pub(crate) async fn step(&self, what: &'static str) {
        let world = &self.world;
        self.note(format_args!("{what}"));
        let (stalls, slow) = (
            world.happens(|weather| weather.stalls),
            world.happens(|weather| weather.slow),
        );
        let wait = world.draw(|chance| match chance.below(4) {
            _ if stalls => Wait::For(chance.millis(100, 2_500)),
            _ if slow => Wait::For(chance.millis(5, 60)),
            0 => Wait::For(chance.millis(1, 3)),
            1 => Wait::Turn,
            _ => Wait::None,
        });
        if self.crashed.is_some() {
            if world.happens(|weather| weather.crashes) {
                self.crash();
                pending::<()>().await;
            }
            if world.happens(|weather| weather.freezes) {
                self.freeze();
            }
        }
        if let Wait::For(time) = wait {
            world.is_quiet_from(Instant::now() + time);
        }
        match wait {
            Wait::None => {}
            Wait::Turn => yield_now().await,
            Wait::For(time) => sleep(time).await,
        }
        loop {
            let until = *self.frozen_until.lock();
            if until <= Instant::now() {
                break;
            }
            sleep_until(until).await;
        }
    }

    /// Ends the process here and now; all that it had in memory is lost.
    pub(crate) fn crash(&self) {
        self.note(format_args!("CRASHES"));
        self.end();
        if let Some(crashed) = &self.crashed {
            crashed(&self.name);
        }
    }

    pub(crate) fn end(&self) {
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
    }

    /// Loses its way to the store.
    pub(crate) fn cut_off(&self) {
        let time = self.world.draw(|chance| chance.millis(500, 8_000));
        self.note(format_args!("IS CUT OFF from the store for {time:?}"));
        *self.cut_off_until.lock() = Instant::now() + time;
    }

    pub(crate) fn reaches_store(&self) -> bool {
        let now = Instant::now();
        *self.cut_off_until.lock() <= now && self.world.tables.lock().is_down_until <= now
    }

    /// Stands still, with all that it holds, for up to longer than any limit.
    pub(crate) fn freeze(&self) {
        let time = self.world.draw(|chance| {
            if chance.one_in(2) {
                chance.millis(500, 4_000)
            } else {
                chance.millis(4_000, 22_000)
            }
        });
        self.note(format_args!("FREEZES for {time:?}"));
        let until = Instant::now() + time;
        *self.frozen_until.lock() = until;
        self.world.is_quiet_from(until);
        // The broker takes a silent connection for dead.
        let (world, name) = (Arc::clone(&self.world), self.name.clone());
        let heartbeat = world.draw(|chance| chance.millis(1_000, 10_000));
        tokio::spawn(async move {
            sleep(heartbeat).await;
            if heartbeat < time {
                world.broker.lock().revoke_all_of(&world, &name);
            }
        });
    }
}

impl Clock for Node {
    fn now(&self) -> Timestamp {
        let micros = self.world.now().as_micros() + self.skew_micros;
        Timestamp::from_micros(micros).unwrap()
    }
}
