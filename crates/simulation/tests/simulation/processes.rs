//! The processes of a deployment: what runs in them, and who starts them again.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use accepting::AcceptingSide;
use domain::gate::SoldOutGate;
use domain::order::Quantity;
use domain::ports::Clock;
use domain::receipt::Receipts;
use domain::use_cases::{BoxOffice, BoxOfficeParts, DecidingDesk};
use domain::waiting_line::{AcceptTally, WaitingLine};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use worker::{DecisionLog, Worker, WorkerSettings};

use crate::broker::{SimEvents, SimQueue};
use crate::course::Course;
use crate::mistake::Mistake;
use crate::node::Node;
use crate::plan::{Plan, SECRET};
use crate::store::SimStore;
use crate::world::World;

const STALLED_AFTER: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Api,
    Worker,
}

/// A place for a process, which is started there again after each end.
struct Slot {
    role: Role,
    starts: u32,
    running: Option<Running>,
}

struct Running {
    node: Arc<Node>,
    office: Option<Arc<BoxOffice>>,
    stop: CancellationToken,
}

impl Slot {
    /// Those that accept, then those that decide.
    fn all(plan: &Plan) -> Vec<Self> {
        let roles = [(Role::Api, plan.apis), (Role::Worker, plan.workers)];
        let slot = |role| Self {
            role,
            starts: 0,
            running: None,
        };
        roles
            .into_iter()
            .flat_map(|(role, count)| (0..count).map(move |_| slot(role)))
            .collect()
    }
}

fn start_later(world: &Arc<RunningWorld>, slot: usize) {
    let pause = world.draw(|chance| chance.millis(20, 3_000));
    let world = Arc::clone(world);
    tokio::spawn(async move {
        sleep(pause).await;
        world.start(slot);
    });
}

/// A world with its processes.
pub(crate) struct RunningWorld {
    pub(crate) world: Arc<World>,
    slots: Mutex<Vec<Slot>>,
}

impl Deref for RunningWorld {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl RunningWorld {
    /// Nothing runs yet. Must be called inside of a runtime whose time is paused.
    pub(crate) fn new(seed: u64, mistake: Option<Mistake>, traced: bool) -> Arc<Self> {
        let world = World::new(Course::new(seed, mistake, traced));
        Arc::new(Self {
            slots: Mutex::new(Slot::all(&world.plan)),
            world: Arc::new(world),
        })
    }

    pub(crate) fn start_all(self: &Arc<Self>) {
        for slot in 0..self.plan.apis + self.plan.workers {
            self.start(slot);
        }
    }

    /// Starts a process, if there is none in the slot.
    fn start(self: &Arc<Self>, slot: usize) {
        let mut slots = self.slots.lock();
        let place = &mut slots[slot];
        if place.running.is_some() {
            return;
        }
        place.starts += 1;
        let kind = match place.role {
            Role::Api => "api",
            Role::Worker => "worker",
        };
        let name = format!("{kind}-{slot}.{}", place.starts);
        let world = Arc::clone(self);
        let crashed = move |name: &str| world.has_ended(slot, name);
        let node = Node::new(&self.world, name, Some(Box::new(crashed)));
        node.note(format_args!(
            "starts, its clock {} us off",
            node.skew_micros
        ));
        let stop = CancellationToken::new();
        let store = Arc::new(SimStore::new(&node));
        let queue = Arc::new(SimQueue::new(&node));
        let events = Arc::new(SimEvents::new(&node));
        let office = match place.role {
            Role::Api => {
                queue.start_sending();
                let office = Arc::new(self.office(&node, store, queue, events));
                let side = AcceptingSide::new(Arc::clone(&office), Arc::new(()));
                for (_, task) in Arc::new(side).tasks() {
                    node.spawn(task);
                }
                Some(office)
            }
            Role::Worker => {
                self.start_worker(&node, &stop, store, queue, events);
                None
            }
        };
        place.running = Some(Running { node, office, stop });
    }

    fn office(
        &self,
        node: &Arc<Node>,
        store: Arc<SimStore>,
        queue: Arc<SimQueue>,
        events: Arc<SimEvents>,
    ) -> BoxOffice {
        BoxOffice::new(BoxOfficeParts {
            users: store.clone(),
            shows: store.clone(),
            publisher: queue,
            ledger: store,
            state: None,
            events,
            clock: node.clone(),
            receipts: Arc::new(Receipts::new([SECRET], node.process).unwrap()),
            lanes: self.plan.lanes,
            max_quantity: Quantity::new(5).unwrap(),
            gate: SoldOutGate::default(),
            line: Arc::new(WaitingLine::new(self.plan.lanes, STALLED_AFTER, node.now())),
            tally: Arc::new(AcceptTally::new(node.process, self.plan.lanes, node.now())),
        })
    }

    fn start_worker(
        &self,
        node: &Arc<Node>,
        stop: &CancellationToken,
        store: Arc<SimStore>,
        queue: Arc<SimQueue>,
        events: Arc<SimEvents>,
    ) {
        let jitter = Arc::clone(node);
        let worker = Arc::new(Worker {
            desk: DecidingDesk {
                ledger: store.clone(),
                events,
                dead_letters: queue.clone(),
                clock: node.clone(),
                receipts: Arc::new(Receipts::new([SECRET], node.process).unwrap()),
            },
            consumer: queue,
            claims: store,
            process: node.process,
            lanes: self.plan.lanes,
            settings: WorkerSettings {
                batch_max: self.plan.batch_max,
                hold_sweep_interval: self.plan.sweep_interval,
            },
            jitter: Box::new(move |range| {
                let world = &jitter.world;
                world.draw(|chance| chance.between(*range.start(), *range.end()))
            }),
            stop: stop.clone(),
            held: Arc::default(),
            log: DecisionLog::default(),
        });
        for _ in 0..self.plan.lanes.count() {
            let worker = Arc::clone(&worker);
            node.spawn(async move { worker.serve_lanes().await });
        }
        let keeper = Arc::clone(&worker);
        node.spawn(async move { keeper.keep_claims().await });
        node.spawn(async move { worker.sweep_holds().await });
    }

    /// A process has crashed; unless it was stopping, another one is started soon.
    fn has_ended(self: &Arc<Self>, slot: usize, name: &str) {
        let mut slots = self.slots.lock();
        let running = &mut slots[slot].running;
        let is_it = |running: &Running| running.node.name == name;
        if running.as_ref().is_some_and(is_it) {
            *running = None;
            drop(slots);
            start_later(self, slot);
        }
    }

    /// A running process that accepts orders, if the drawn one runs.
    pub(crate) fn any_office(&self) -> Option<(Arc<Node>, Arc<BoxOffice>)> {
        let slot = self.draw(|chance| chance.index(self.plan.apis));
        let slots = self.slots.lock();
        let running = slots[slot].running.as_ref()?;
        Some((Arc::clone(&running.node), running.office.clone()?))
    }

    fn any_node(&self) -> Option<Arc<Node>> {
        let slots = self.slots.lock();
        let slot = self.draw(|chance| chance.index(slots.len()));
        Some(Arc::clone(&slots[slot].running.as_ref()?.node))
    }

    pub(crate) fn crash_any(&self) {
        if let Some(node) = self.any_node() {
            node.crash();
        }
    }

    pub(crate) fn freeze_any(&self) {
        if let Some(node) = self.any_node() {
            node.freeze();
        }
    }

    pub(crate) fn cut_off_any(&self) {
        if let Some(node) = self.any_node() {
            node.cut_off();
        }
    }

    /// Stops a worker as a deployment does, with a deadline.
    pub(crate) fn stop_any_worker(self: &Arc<Self>) {
        let (first, count) = (self.plan.apis, self.plan.workers);
        let slot = first + self.draw(|chance| chance.index(count));
        let Some(running) = self.slots.lock()[slot].running.take() else {
            return;
        };
        running.node.note(format_args!("STOPS"));
        running.stop.cancel();
        let deadline = self.draw(|chance| chance.millis(10, 5_000));
        tokio::spawn(async move {
            sleep(deadline).await;
            running.node.note(format_args!("has stopped"));
            running.node.end();
        });
        start_later(self, slot);
    }

    pub(crate) fn store_goes_down(&self) {
        let time = self.draw(|chance| chance.millis(50, 5_000));
        self.note("store", format_args!("is down for {time:?}"));
        self.tables.lock().is_down_until = Instant::now() + time;
    }

    /// From now on nothing goes wrong any more, and what is down is started.
    /// What is frozen or cut off goes on when its time has come.
    pub(crate) fn heal(self: &Arc<Self>) {
        self.clear_up();
        self.broker.lock().is_down_until = Instant::now();
        self.tables.lock().is_down_until = Instant::now();
        self.start_all();
    }

    /// Ends all processes, which know the world that knows them.
    pub(crate) fn end(&self) {
        for slot in self.slots.lock().iter_mut() {
            if let Some(running) = slot.running.take() {
                running.node.end();
            }
        }
    }
}
