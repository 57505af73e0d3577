//! Who owns which lane. A lane belongs to the connection that has declared its
//! exclusive queue: the broker refuses everybody else, and frees the queue when
//! the connection ends, however it ends. Who should try is settled among the
//! workers by [`balance`]; they tell each other what they own several times a second.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use domain::order::Lane;
use domain::ports::{Clock, DeadLetters};
use domain::receipt::ProcessId;
use domain::schedule::ClassSchedule;
use domain::time::Timestamp;
use futures_util::StreamExt;
use lapin::Connection;
use lapin::options::{BasicPublishOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::protocol::BasicProperties;
use lapin::types::FieldTable;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::balance::{Member, balance};
use crate::error::BrokerError;
use crate::lane_consumer::RabbitLaneConsumer;
use crate::link::{Link, LiveChannel, within_limit};
use crate::topology::Topology;

/// Between two messages of a worker about itself.
const BEAT: Duration = Duration::from_millis(250);
/// A worker that was silent for so long is believed dead. A wrong belief does
/// no harm: its lanes cannot be taken while its connection lives.
const SILENCE: Duration = Duration::from_millis(1_000);
/// A newcomer listens for so long before it takes anything.
const LISTEN: Duration = Duration::from_millis(300);
/// A lane that somebody else still has is tried again after this time.
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// A lane that had an order within this time is busy.
const BUSY_FOR: Duration = Duration::from_secs(5);
/// A pause that was not renewed within this time is over.
const PAUSED_FOR: Duration = Duration::from_secs(10);
/// Between two attempts to reach the broker.
const RECONNECT: Duration = Duration::from_millis(250);

/// What a worker says about itself.
#[derive(Serialize, Deserialize)]
struct Beat {
    version: u32,
    process: u32,
    lanes: BTreeSet<u8>,
    busy: BTreeSet<u8>,
    room: usize,
}

const BEAT_VERSION: u32 = 1;

struct Owned {
    shed: CancellationToken,
    latest_order: Option<Instant>,
}

/// This process's part in it.
pub(crate) struct Ownership {
    consuming: Arc<Link>,
    publishing: Arc<Link>,
    topology: Topology,
    process: ProcessId,
    clock: Arc<dyn Clock>,
    schedule: ClassSchedule,
    dead_letters: Arc<dyn DeadLetters>,
    /// Calls of `claim_lane` that wait.
    waiting: AtomicUsize,
    /// Lanes from their claim until they are free in the broker again.
    owned: Mutex<BTreeMap<Lane, Owned>>,
    /// Claimed, and not yet handed to a caller.
    claimed: Mutex<VecDeque<RabbitLaneConsumer>>,
    handed_in: Notify,
    /// Something changed that may call for a claim.
    changed: Notify,
    paused: Mutex<BTreeMap<Lane, (Instant, u32)>>,
    started: Mutex<bool>,
}

impl Ownership {
    pub(crate) fn new(
        consuming: Arc<Link>,
        publishing: Arc<Link>,
        topology: Topology,
        process: ProcessId,
        clock: Arc<dyn Clock>,
        schedule: ClassSchedule,
        dead_letters: Arc<dyn DeadLetters>,
    ) -> Self {
        Self {
            consuming,
            publishing,
            topology,
            process,
            clock,
            schedule,
            dead_letters,
            waiting: AtomicUsize::new(0),
            owned: Mutex::default(),
            claimed: Mutex::default(),
            handed_in: Notify::new(),
            changed: Notify::new(),
            paused: Mutex::default(),
            started: Mutex::new(false),
        }
    }

    pub(crate) fn topology(&self) -> &Topology {
        &self.topology
    }

    pub(crate) fn schedule(&self) -> ClassSchedule {
        self.schedule.clone()
    }

    pub(crate) fn dead_letters(&self) -> Arc<dyn DeadLetters> {
        Arc::clone(&self.dead_letters)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Notes that the lane has orders.
    pub(crate) fn is_busy(&self, lane: Lane) {
        if let Some(owned) = self.owned.lock().get_mut(&lane) {
            owned.latest_order = Some(Instant::now());
        }
    }

    /// Notes that the lane waits for a process that reads `version`.
    pub(crate) fn paused(&self, lane: Lane, version: u32) {
        self.paused.lock().insert(lane, (Instant::now(), version));
    }

    /// Lanes that wait for a newer process, with the version they need.
    pub(crate) fn paused_lanes(&self) -> Vec<(Lane, u32)> {
        let mut paused = self.paused.lock();
        paused.retain(|_, (since, _)| since.elapsed() < PAUSED_FOR);
        let lanes = paused.iter().map(|(lane, (_, version))| (*lane, *version));
        lanes.collect()
    }

    /// Waits for a lane. The first call makes this process a worker.
    pub(crate) async fn claim(self: &Arc<Self>) -> RabbitLaneConsumer {
        let is_first = !std::mem::replace(&mut *self.started.lock(), true);
        if is_first {
            tokio::spawn(Arc::clone(self).run());
        }
        let _waiting = Waiting::new(self);
        loop {
            let handed_in = self.handed_in.notified();
            if let Some(lane) = self.claimed.lock().pop_front() {
                return lane;
            }
            handed_in.await;
        }
    }

    /// Frees a lane whose channels are closed.
    pub(crate) async fn give_up(&self, lane: Lane, connection: &Connection) {
        if connection.status().connected() {
            let freed = within_limit(self.delete_owner_queue(lane, connection)).await;
            if let Err(error) = freed {
                debug!(queue.lane = %lane, %error, "the lane is free once the connection ends");
            }
        }
        self.owned.lock().remove(&lane);
        info!(queue.lane = %lane, "gave the lane up");
        self.changed.notify_one();
    }

    async fn delete_owner_queue(
        &self,
        lane: Lane,
        connection: &Connection,
    ) -> Result<(), BrokerError> {
        let channel = connection.create_channel().await?;
        let queue = self.topology.owner_queue(lane);
        channel
            .queue_delete(queue, QueueDeleteOptions::default())
            .await?;
        channel.close(200, "OK".into()).await?;
        Ok(())
    }

    async fn run(self: Arc<Self>) {
        loop {
            let Err(error) = self.take_part().await;
            debug!(%error, "not in touch with the other workers");
            sleep(RECONNECT).await;
        }
    }

    /// Talks to the others and claims what should be claimed, until the connection breaks.
    async fn take_part(self: &Arc<Self>) -> Result<std::convert::Infallible, BrokerError> {
        let ear = self.consuming.channel().await?;
        let mut beats = ear.hear(self.topology.workers_exchange()).await?;
        let mouth = self.publishing.channel().await?;
        let joined = Instant::now();
        let mut others = Others::default();
        let mut tick = interval(BEAT);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                beat = beats.next() => match beat {
                    Some(beat) => others.hear(&beat?.data, self.process),
                    None => return Err(BrokerError::TimedOut(SILENCE)),
                },
                _ = tick.tick() => {
                    others.forget_silent();
                    self.give_back_unwanted();
                    self.say(&mouth).await?;
                }
                () = self.changed.notified() => {}
            }
            if joined.elapsed() >= LISTEN && self.act(&ear.connection, &mut others).await {
                self.say(&mouth).await?;
            }
        }
    }

    async fn say(&self, mouth: &LiveChannel) -> Result<(), BrokerError> {
        let myself = self.myself();
        let beat = Beat {
            version: BEAT_VERSION,
            process: self.process.get(),
            busy: self.busy(),
            lanes: myself.lanes,
            room: myself.room,
        };
        let body = serde_json::to_vec(&beat).unwrap_or_default();
        let publishing = mouth.channel.basic_publish(
            self.topology.workers_exchange(),
            "".into(),
            BasicPublishOptions::default(),
            &body,
            BasicProperties::default(),
        );
        within_limit(publishing).await?;
        Ok(())
    }

    fn myself(&self) -> Member {
        let lanes: BTreeSet<u8> = self.owned.lock().keys().map(|lane| lane.index()).collect();
        // A caller that waits may have been served, but not yet woken.
        let unserved = self.claimed.lock().len();
        Member {
            room: self
                .waiting
                .load(Ordering::Relaxed)
                .saturating_sub(unserved),
            lanes,
        }
    }

    fn busy(&self) -> BTreeSet<u8> {
        let owned = self.owned.lock();
        let busy = owned.iter().filter(|(_, owned)| {
            owned
                .latest_order
                .is_some_and(|latest| latest.elapsed() < BUSY_FOR)
        });
        busy.map(|(lane, _)| lane.index()).collect()
    }

    /// Lanes whose callers went away while they were claimed go back.
    fn give_back_unwanted(&self) {
        let mut claimed = self.claimed.lock();
        let wanted = self.waiting.load(Ordering::Relaxed).min(claimed.len());
        let unwanted = claimed.split_off(wanted);
        drop(claimed);
        drop(unwanted);
    }

    /// Sheds and claims what [`balance`] says; true if something was claimed.
    async fn act(self: &Arc<Self>, connection: &Arc<Connection>, others: &mut Others) -> bool {
        let me = self.process.get();
        let mut members = others.members();
        members.insert(me, self.myself());
        let mut busy = self.busy();
        busy.extend(others.busy());
        let owners = balance(members, &busy, self.topology.lanes.count());
        for (lane, owned) in self.owned.lock().iter() {
            if owners.get(&lane.index()).is_some_and(|owner| *owner != me)
                && !owned.shed.is_cancelled()
            {
                info!(queue.lane = %lane, "another worker is to have the lane");
                owned.shed.cancel();
            }
        }
        let mut has_claimed = false;
        for lane in self.topology.lanes.iter() {
            let is_mine = owners.get(&lane.index()) == Some(&me);
            let is_wanted = self.myself().room > 0;
            if is_mine
                && is_wanted
                && !self.owned.lock().contains_key(&lane)
                && others.may_try(lane)
            {
                match self.claim_lane(lane, connection).await {
                    Ok(consumer) => {
                        info!(queue.lane = %lane, "owns the lane");
                        self.claimed.lock().push_back(consumer);
                        self.handed_in.notify_waiters();
                        has_claimed = true;
                    }
                    Err(error) => {
                        debug!(queue.lane = %lane, %error, "the lane is not to be had");
                        others.tried(lane);
                    }
                }
            }
        }
        has_claimed
    }

    async fn claim_lane(
        self: &Arc<Self>,
        lane: Lane,
        connection: &Arc<Connection>,
    ) -> Result<RabbitLaneConsumer, BrokerError> {
        let channel = within_limit(connection.create_channel()).await?;
        let declaring = channel.queue_declare(
            self.topology.owner_queue(lane),
            QueueDeclareOptions::exclusive(),
            FieldTable::default(),
        );
        within_limit(declaring).await?;
        within_limit(channel.close(200, "OK".into())).await?;
        let shed = CancellationToken::new();
        let owned = Owned {
            shed: shed.clone(),
            latest_order: None,
        };
        self.owned.lock().insert(lane, owned);
        let opening =
            RabbitLaneConsumer::open(lane, shed, Arc::clone(connection), Arc::clone(self));
        match opening.await {
            Ok(consumer) => Ok(consumer),
            Err(error) => {
                self.give_up(lane, connection).await;
                Err(error)
            }
        }
    }
}

/// Counts a caller while it waits.
struct Waiting<'a>(&'a Ownership);

impl<'a> Waiting<'a> {
    fn new(ownership: &'a Ownership) -> Self {
        ownership.waiting.fetch_add(1, Ordering::Relaxed);
        ownership.changed.notify_one();
        Self(ownership)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the other workers said last.
#[derive(Default)]
struct Others {
    beats: BTreeMap<u32, (Instant, Beat)>,
    /// Lanes that could not be had.
    tried: BTreeMap<Lane, Instant>,
}

impl Others {
    fn hear(&mut self, payload: &[u8], me: ProcessId) {
        match serde_json::from_slice::<Beat>(payload) {
            Ok(beat) if beat.process != me.get() => {
                self.beats.insert(beat.process, (Instant::now(), beat));
            }
            Ok(_) => {}
            // A newer worker may say more than this one understands.
            Err(error) => debug!(%error, "a worker's message was not understood"),
        }
    }

    fn forget_silent(&mut self) {
        self.beats.retain(|_, (heard, _)| heard.elapsed() < SILENCE);
    }

    fn members(&self) -> BTreeMap<u32, Member> {
        let members = self.beats.iter().map(|(id, (_, beat))| {
            let member = Member {
                lanes: beat.lanes.clone(),
                room: beat.room,
            };
            (*id, member)
        });
        members.collect()
    }

    fn busy(&self) -> impl Iterator<Item = u8> {
        self.beats
            .values()
            .flat_map(|(_, beat)| beat.busy.iter().copied())
    }

    fn may_try(&self, lane: Lane) -> bool {
        let tried = self.tried.get(&lane);
        tried.is_none_or(|tried| tried.elapsed() >= TRY_AGAIN)
    }

    fn tried(&mut self, lane: Lane) {
        self.tried.insert(lane, Instant::now());
    }
}
