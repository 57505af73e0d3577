//! One connection that comes back, at another node if there is one.

use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use lapin::options::{BasicGetOptions, BasicQosOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{Channel, Connection};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::addresses::Addresses;
use crate::error::BrokerError;
use crate::limits::{CLOSE_LIMIT, within, within_limit};
use crate::topology::{Attempt, Topology};

/// Between two attempts to connect.
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// How often a connection is asked whether its node is there.
const PULSE: Duration = Duration::from_secs(1);
/// A node that takes longer to answer that is left.
const PULSE_LIMIT: Duration = Duration::from_secs(3);
/// A node that confirms nothing and has not answered for so long either answers nothing.
const SILENT: Duration = Duration::from_secs(2);
/// A node that was not reached or did not answer is tried last for so long: about as long as
/// the others take to notice.
const UNREACHABLE: Duration = Duration::from_secs(10);
/// So is one that answers and does not confirm: the others may not either, and one that does not
/// answer at all takes longer to find out.
const UNSOUND: Duration = Duration::from_secs(2);
/// After a node was left because it did nothing, the next one has to show that it has a
/// majority: within so long at first, and within a quarter of the time for which the nodes have
/// been in doubt later. What was sent before the nodes agreed who is there is lost without a
/// word, so the sooner it is sent again the better.
const PROOF_LIMIT: Duration = Duration::from_millis(500);
/// After so long whatever takes connections is used: the broker may be slow, or the queue that
/// is asked the only one that is stuck.
const AGREEMENT: Duration = Duration::from_secs(10);
/// Between two attempts to ask for the number of lanes.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Between two attempts to declare what is missing, however many miss it.
const REPAIR_AGAIN: Duration = Duration::from_millis(500);
/// How often it is said at most that a node was left. What is not set right is met again and
/// again.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// For how long a node that was left or not used for that reason is tried last.
fn avoidance(reason: &BrokerError) -> Duration {
    match reason {
        BrokerError::ChannelClosed => Duration::ZERO,
        BrokerError::Unproven(_)
        | BrokerError::Unconfirmed(_)
        | BrokerError::Starved(_)
        | BrokerError::Leaderless(_) => UNSOUND,
        _ => UNREACHABLE,
    }
}

/// Of a node that was asked for its majority.
fn unproven(error: BrokerError) -> BrokerError {
    match error {
        BrokerError::TimedOut(limit) => BrokerError::Unproven(limit),
        error => error,
    }
}

/// A connection that is made when it is needed and made again once it is lost.
pub(crate) struct Link {
    /// For the broker's list of connections and for the log.
    purpose: &'static str,
    addresses: Addresses,
    topology: Topology,
    proves_majority: bool,
    /// How often it was looked whether the node has a majority.
    looks: AtomicU32,
    /// When a pulse was answered last, or something else came.
    sound: Mutex<Instant>,
    /// The same, but no new connection counts.
    proven: Mutex<Instant>,
    /// Why the latest pulse was not answered.
    unproven: Mutex<Option<BrokerError>>,
    live: Mutex<Option<Arc<Connection>>>,
    /// The latest failure, until a connection succeeds.
    failed: Mutex<Option<(Instant, BrokerError)>>,
    /// Many ask at once: one attempt answers all of them.
    connecting: tokio::sync::Mutex<()>,
    repairing: tokio::sync::Mutex<()>,
    /// The latest attempt to declare what is missing.
    repaired: Mutex<Option<(Instant, Result<(), BrokerError>)>>,
    /// When it was said that a node was left.
    said: Mutex<Option<Instant>>,
    /// When it was said that the connection is lost: a broker may end each one soon after it began.
    said_lost: Mutex<Option<Instant>>,
    /// Since when the nodes are in doubt: one was left because it did nothing, and none has
    /// shown since that it has a majority.
    doubted: Mutex<Option<Instant>>,
}

/// A channel with what keeps it alive.
///
/// The number of a channel that the broker closed is never usable again: lapin keeps the
/// broker's error for it, and hands it to the channel that gets that number next (4.12.3; see
/// `a_channel_that_the_broker_closed_poisons_its_number`). So such a channel costs its
/// connection, however it is dropped.
pub(crate) struct LiveChannel {
    pub(crate) connection: Arc<Connection>,
    pub(crate) channel: Channel,
    link: Weak<Link>,
    /// By us.
    is_closed: bool,
}

impl Link {
    pub(crate) fn new(purpose: &'static str, addresses: Addresses, topology: Topology) -> Self {
        Self {
            purpose,
            addresses,
            topology,
            proves_majority: false,
            looks: AtomicU32::new(0),
            sound: Mutex::new(Instant::now()),
            proven: Mutex::new(Instant::now()),
            unproven: Mutex::default(),
            live: Mutex::default(),
            failed: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            repairing: tokio::sync::Mutex::default(),
            repaired: Mutex::default(),
            said: Mutex::default(),
            said_lost: Mutex::default(),
            doubted: Mutex::default(),
        }
    }

    /// Leaves a node that is without a majority, too.
    pub(crate) fn proving_majority(self) -> Self {
        Self {
            proves_majority: true,
            ..self
        }
    }

    /// Keeps the connection up, and leaves a node that does not answer, until the link is
    /// dropped.
    pub(crate) fn keep(self: &Arc<Self>) {
        let link = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut kept = None;
            while let Some(link) = link.upgrade() {
                kept = link.pulse(kept).await;
                drop(link);
                sleep(PULSE).await;
            }
        });
    }

    async fn pulse(self: &Arc<Self>, kept: Option<LiveChannel>) -> Option<LiveChannel> {
        let something_is_missing = !self.topology.is_known() && self.current().is_some();
        if self.unrepaired().is_some() || something_is_missing {
            // The caller that missed it may not come again before readiness says that all is well,
            // and may use another link: each finds out whether the queues are still ours.
            let link = Arc::clone(self);
            tokio::spawn(async move { link.repair().await });
        }
        let connection = self.connection().await.ok()?;
        let live = match kept {
            Some(live) if live.is_open() && Arc::ptr_eq(&live.connection, &connection) => live,
            Some(_) | None => self.channel().await.ok()?,
        };
        let asked = self.ask(&live).await;
        *self.unproven.lock() = asked.as_ref().err().cloned();
        match asked {
            Ok(()) => {}
            // The broker reads nothing from a connection that it blocks.
            Err(_) if live.is_blocked() => {}
            Err(error @ (BrokerError::TimedOut(_) | BrokerError::Unproven(_))) => {
                self.leave(&live.connection, &error);
                return None;
            }
            Err(error) => {
                if error.is_missing() || error.is_of_other_queues() {
                    let _said = self.repair().await;
                }
                return None;
            }
        }
        self.sound();
        Some(live)
    }

    /// Waits for the answer for as long as the broker gives signs of life on the connection.
    async fn unless_silent(
        &self,
        request: impl Future<Output = Result<(), BrokerError>>,
    ) -> Result<(), BrokerError> {
        let asked = Instant::now();
        let mut request = pin!(request);
        loop {
            let latest = asked.max(*self.sound.lock());
            let left = PULSE_LIMIT.saturating_sub(latest.elapsed());
            if left.is_zero() {
                return Err(BrokerError::TimedOut(PULSE_LIMIT));
            }
            if let Ok(answer) = timeout(left, &mut request).await {
                return answer;
            }
        }
    }

    /// The broker has just shown that this connection is of use.
    pub(crate) fn sound(&self) {
        let now = Instant::now();
        *self.sound.lock() = now;
        *self.proven.lock() = now;
    }

    /// Why the broker does not show that it is of use, if it refuses to.
    pub(crate) fn refusal(&self) -> Option<BrokerError> {
        let unproven = self.unproven.lock();
        unproven.clone().filter(BrokerError::is_refusal)
    }

    /// For how long the broker has shown nothing of the kind, over any connection.
    pub(crate) fn unproven_for(&self) -> Duration {
        self.proven.lock().elapsed()
    }

    /// Whether the node is there; of a connection that consumes, whether it is there with a
    /// majority. A node that is cut off from the others answers, and delivers nothing that
    /// these store.
    async fn ask(&self, live: &LiveChannel) -> Result<(), BrokerError> {
        let qos = live.channel.basic_qos(1, BasicQosOptions::default());
        self.unless_silent(async { Ok(qos.await?) }).await?;
        if !self.proves_majority {
            return Ok(());
        }
        // In turn, because somebody may delete either. The process that starts next would record
        // another deployment or another number of lanes then.
        let deployment = self.topology.recorded_deployment();
        let queue = match deployment {
            Some(queue) if self.looks.fetch_add(1, Ordering::Relaxed) % 2 == 1 => queue,
            _ => self.topology.lanes_queue(),
        };
        let looking = self.look_for_majority(&live.channel, queue.clone());
        self.unless_silent(looking).await.map_err(unproven)?;
        if self.topology.only_looks() {
            return Ok(());
        }
        let confirming = self.topology.confirm_record(&live.channel, queue);
        self.unless_silent(confirming).await.map_err(unproven)
    }

    /// Takes a message from a queue that has none. To tell so, a quorum queue needs a leader
    /// with a majority. Nothing is published for that: in an alarm the broker reads nothing
    /// more from a connection that publishes, no acknowledgement either, and then what would
    /// end the alarm could not be decided.
    async fn look_for_majority(
        &self,
        channel: &Channel,
        queue: ShortString,
    ) -> Result<(), BrokerError> {
        let taken = BasicGetOptions { no_ack: true };
        let looking = channel.basic_get(queue, taken);
        Ok(looking.await.map(drop)?)
    }

    /// Whether the broker is there with everything that is needed, and takes messages. Asks
    /// nothing if it was there a moment ago: the connection is looked at every second.
    pub(crate) async fn check(self: &Arc<Self>) -> Result<(), BrokerError> {
        if let Some(error) = self.unrepaired() {
            return Err(error);
        }
        if self.connection().await?.status().blocked() {
            return Err(BrokerError::Blocked);
        }
        Ok(())
    }

    fn current(&self) -> Option<Arc<Connection>> {
        let live = self.live.lock();
        let connected = live.as_ref().filter(|live| live.status().connected());
        connected.cloned()
    }

    /// The connection. Before the first one, and whenever something was missing, the topology
    /// is declared.
    pub(crate) async fn connection(self: &Arc<Self>) -> Result<Arc<Connection>, BrokerError> {
        if let Some(live) = self.current() {
            return Ok(live);
        }
        let _alone = self.connecting.lock().await;
        if let Some(live) = self.current() {
            return Ok(live);
        }
        if self.live.lock().take().is_some() {
            let node = self.addresses.current();
            let mut said = self.said_lost.lock();
            if said.is_none_or(|at| at.elapsed() >= SAY_AGAIN) {
                warn!(connection = self.purpose, %node, "lost the broker; connecting again");
                *said = Some(Instant::now());
            }
            drop(said);
            self.addresses.turn(UNREACHABLE);
        }
        let failed_before = self.failed.lock().clone();
        if let Some((at, error)) = &failed_before
            && at.elapsed() < RETRY_AFTER
        {
            return Err(error.clone());
        }
        // A queue whose leader is away does not answer: orders must not wait for that.
        let was_known = self.topology.is_known();
        let mut result = Err(BrokerError::Connecting);
        for _ in 0..self.addresses.count() {
            let doubted = *self.doubted.lock();
            result = match doubted {
                _ if !was_known => self.connect_prepared().await,
                Some(since) => self.connect_proven(since).await,
                None => self.addresses.connect(self.purpose).await,
            };
            match &result {
                // What is no node's fault is the same at all of them.
                Err(error) if !error.is_of_no_node() => self.addresses.turn(avoidance(error)),
                Ok(_) | Err(_) => break,
            }
        }
        match result {
            Ok(connection) => {
                *self.doubted.lock() = None;
                if self.failed.lock().take().is_some() {
                    info!(connection = self.purpose, "connected to the broker again");
                }
                let connection = Arc::new(connection);
                *self.live.lock() = Some(Arc::clone(&connection));
                // A new connection has its time.
                *self.sound.lock() = Instant::now();
                if was_known {
                    self.ask_for_lanes(&connection);
                }
                Ok(connection)
            }
            Err(error) => {
                if failed_before.is_none() {
                    let connection = self.purpose;
                    if error.is_of_no_node() {
                        warn!(connection, %error, "the broker's queues cannot be used");
                    } else {
                        warn!(
                            connection, %error,
                            "cannot connect to the broker; trying again until it works"
                        );
                    }
                }
                *self.failed.lock() = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// Gives the connection up if the number of lanes is not what it was any more. Asks over
    /// another one, until there is an answer.
    fn ask_for_lanes(self: &Arc<Self>, connection: &Arc<Connection>) {
        let (link, connection) = (Arc::downgrade(self), Arc::downgrade(connection));
        tokio::spawn(async move {
            while let (Some(link), Some(connection)) = (link.upgrade(), connection.upgrade()) {
                let is_used = link
                    .current()
                    .is_some_and(|it| Arc::ptr_eq(&it, &connection));
                if !is_used {
                    return;
                }
                match link.ask_once().await {
                    Ok(()) => return,
                    Err(error) if error.is_of_no_node() => {
                        link.topology.declare_again();
                        link.leave(&connection, &error);
                        return;
                    }
                    Err(_) => {}
                }
                drop((link, connection));
                sleep(ASK_AGAIN).await;
            }
        });
    }

    async fn ask_once(&self) -> Result<(), BrokerError> {
        let connection = self.addresses.connect(self.purpose).await?;
        self.topology.record_lanes(&connection).await
    }

    /// Tries the node that is next.
    async fn connect_prepared(&self) -> Result<Connection, BrokerError> {
        let mut attempt = Attempt::default();
        loop {
            let connection = self.addresses.connect(self.purpose).await?;
            match self.topology.prepare(&connection, &mut attempt).await {
                Ok(()) => return Ok(connection),
                Err(BrokerError::ConnectionServed) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Tries the node that is next, if that has a majority.
    async fn connect_proven(&self, since: Instant) -> Result<Connection, BrokerError> {
        let connection = self.addresses.connect(self.purpose).await?;
        let doubted = since.elapsed();
        if doubted >= AGREEMENT {
            return Ok(connection);
        }
        let proof = within((doubted / 4).max(PROOF_LIMIT), async {
            let channel = connection.create_channel().await?;
            let queue = self.topology.lanes_queue();
            self.look_for_majority(&channel, queue).await
        });
        match proof.await {
            Ok(()) => Ok(connection),
            // It answered, and closed the channel, whose number has served.
            Err(error) if error.reply_code().is_some() => {
                self.addresses.connect(self.purpose).await
            }
            Err(error) => Err(unproven(error)),
        }
    }

    /// Gives a connection up, for another node if there is one.
    pub(crate) fn leave(&self, connection: &Arc<Connection>, reason: &BrokerError) {
        let mut live = self.live.lock();
        if live
            .as_ref()
            .is_none_or(|live| !Arc::ptr_eq(live, connection))
        {
            return;
        }
        *live = None;
        drop(live);
        let node = self.addresses.current();
        let mut said = self.said.lock();
        if said.is_none_or(|at| at.elapsed() >= SAY_AGAIN) {
            warn!(
                connection = self.purpose, %node, %reason,
                "leaves this node of the broker for another one"
            );
            *said = Some(Instant::now());
        } else {
            debug!(
                connection = self.purpose, %node, %reason,
                "leaves this node of the broker for another one"
            );
        }
        drop(said);
        // What one queue or channel does says nothing about other nodes.
        let is_of_the_node = !matches!(
            reason,
            BrokerError::ChannelClosed | BrokerError::Starved(_) | BrokerError::Leaderless(_)
        );
        if is_of_the_node && !reason.is_of_no_node() {
            self.doubted.lock().get_or_insert_with(Instant::now);
        }
        let is_silent = self.sound.lock().elapsed() >= SILENT;
        self.addresses.turn(match reason {
            BrokerError::Unconfirmed(_) if is_silent => UNREACHABLE,
            _ => avoidance(reason),
        });
        let left = Arc::clone(connection);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _closed = timeout(CLOSE_LIMIT, left.close(200, "OK".into())).await;
            });
        }
    }

    /// Declares again what somebody may have deleted, over a connection of its own: what the
    /// broker refuses there closes nothing else.
    pub(crate) async fn repair(&self) -> Result<(), BrokerError> {
        let _alone = self.repairing.lock().await;
        let before = self.repaired.lock().clone();
        if let Some((at, result)) = &before
            && at.elapsed() < REPAIR_AGAIN
        {
            return result.clone();
        }
        self.topology.declare_again();
        let result = self.connect_prepared().await.map(drop);
        let failed_before = before.is_some_and(|(_, result)| result.is_err());
        let connection = self.purpose;
        match &result {
            Err(error) if !failed_before => {
                warn!(
                    connection, %error,
                    "a missing queue or exchange could not be declared again; trying again"
                );
            }
            Ok(()) if failed_before => {
                info!(connection, "every queue and exchange is declared again")
            }
            Ok(()) | Err(_) => {}
        }
        if let Err(error) = &result
            && error.is_of_other_queues()
            && let Some(connection) = self.current()
        {
            self.leave(&connection, error);
        }
        *self.repaired.lock() = Some((Instant::now(), result.clone()));
        result
    }

    /// Why something that is missing could not be declared.
    fn unrepaired(&self) -> Option<BrokerError> {
        let repaired = self.repaired.lock();
        repaired.as_ref()?.1.as_ref().err().cloned()
    }

    pub(crate) async fn channel(self: &Arc<Self>) -> Result<LiveChannel, BrokerError> {
        let connection = self.connection().await?;
        // The client sends nothing then, so it would wait without end.
        if connection.status().blocked() {
            return Err(BrokerError::Blocked);
        }
        match within_limit(connection.create_channel()).await {
            Ok(channel) => Ok(LiveChannel {
                connection,
                channel,
                link: Arc::downgrade(self),
                is_closed: false,
            }),
            Err(error) => {
                self.leave(&connection, &error);
                Err(error)
            }
        }
    }

    /// A channel on which the broker confirms what it has stored.
    pub(crate) async fn confirming_channel(self: &Arc<Self>) -> Result<LiveChannel, BrokerError> {
        let live = self.channel().await?;
        within_limit(live.channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(live)
    }
}

impl LiveChannel {
    /// Whether the broker takes messages on this connection now.
    pub(crate) fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.connection.status().connected() && self.channel.status().connected()
    }

    /// Gives the connection up.
    pub(crate) fn leave(&self, reason: &BrokerError) {
        if let Some(link) = self.link.upgrade() {
            link.leave(&self.connection, reason);
        }
    }

    /// Closes it, so that all that it held is back at its place.
    pub(crate) async fn close(mut self, limit: Duration) -> Result<(), BrokerError> {
        let closed = within(limit, self.channel.close(200, "OK".into())).await;
        self.is_closed = closed.is_ok();
        if let Err(late @ BrokerError::TimedOut(_)) = &closed {
            self.leave(late);
        }
        closed
    }
}

impl Drop for LiveChannel {
    fn drop(&mut self) {
        let connected = self.connection.status().connected();
        if connected && !self.is_closed && !self.channel.status().connected() {
            self.leave(&BrokerError::ChannelClosed);
        }
    }
}
