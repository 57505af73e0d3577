//! The deciding side: one task keeps this worker's claims ([`Worker::keep_claims`]), one per
//! lane serves a claimed lane ([`Worker::serve_lanes`]), and one sweeps holds
//! ([`Worker::sweep_holds`]). What happens to an order is [`DecidingDesk`]'s, who should have
//! which lane is [`domain::claims`]'; here is only when, how often again, and when it is settled.
//!
//! [`LaneWatch`] runs in every process, and says when nobody decides.

mod claiming;
mod decision_log;
mod held_lanes;
mod lane_watch;
mod serving;
mod sweeping;

use std::sync::Arc;
use std::time::Duration;

use domain::order::Lanes;
use domain::ports::{LaneClaims, TicketConsumer};
use domain::receipt::ProcessId;
use domain::use_cases::DecidingDesk;
use runtime::Draw;
use tokio_util::sync::CancellationToken;

pub use self::decision_log::DecisionLog;
pub use self::held_lanes::HeldLanes;
pub use self::lane_watch::{Heard, LaneWatch};

/// For how long a lane is left to the others that cannot be served here.
const AVOID: Duration = Duration::from_secs(3);

/// How much at once, and how often.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// The most orders of one transaction.
    pub batch_max: usize,
    /// Time between two sweeps of due holds.
    pub hold_sweep_interval: Duration,
}

/// What the worker's tasks share.
pub struct Worker {
    /// Decides what the lanes deliver.
    pub desk: DecidingDesk,
    /// The queue whose lanes the worker opens.
    pub consumer: Arc<dyn TicketConsumer>,
    /// Knows who has which lane.
    pub claims: Arc<dyn LaneClaims>,
    /// Names this worker among the others.
    pub process: ProcessId,
    /// How many lanes there are.
    pub lanes: Lanes,
    /// How much at once, and how often.
    pub settings: WorkerSettings,
    /// Draws how long to wait after a failure, in milliseconds.
    pub jitter: Box<Draw>,
    /// Ends the tasks; a batch that is being decided then is dropped unsettled
    /// unless it is committed already.
    pub stop: CancellationToken,
    /// The lanes that this worker has.
    pub held: Arc<HeldLanes>,
    /// What is logged of them.
    pub log: DecisionLog,
}
