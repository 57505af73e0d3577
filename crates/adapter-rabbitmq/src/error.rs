//! What can go wrong with the broker, in one place.

use std::time::Duration;

use domain::order::Lane;
use domain::ports::{Cause, DeploymentId};

/// `rabbitmq.urls` has one that is not the URL of a broker. The URL itself is not repeated:
/// it holds the password.
#[derive(Debug, thiserror::Error)]
#[error("each must be like amqp://user:password@host:5672/vhost, or amqps://… for TLS")]
pub struct InvalidUrl;

/// The configuration can never work with this broker.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `rabbitmq.urls`.
    #[error("rabbitmq.urls")]
    InvalidUrl(#[from] InvalidUrl),
    /// `queue.lanes`.
    #[error("queue.lanes")]
    Lanes(#[source] BrokerError),
    /// `rabbitmq.prefix`.
    #[error("rabbitmq.prefix")]
    Deployment(#[source] BrokerError),
}

impl StartError {
    /// The setting that is at fault, if no other attempt would be better.
    pub(crate) fn of(error: BrokerError) -> Option<Self> {
        if !error.is_of_other_queues() {
            return None;
        }
        Some(match error {
            BrokerError::OtherDeployment { .. } => Self::Deployment(error),
            _ => Self::Lanes(error),
        })
    }
}

/// Why the broker did not do what it was asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    /// No connection, or the broker refused.
    #[error("the broker cannot be reached, or it refused: {0}")]
    Amqp(#[from] lapin::Error),
    /// It took too long.
    #[error("the broker did not answer within {0:?}")]
    TimedOut(Duration),
    /// The first connection is not made yet.
    #[error("not connected to the broker yet")]
    Connecting,
    /// The broker closed a channel; the error of the task that used it says why.
    #[error("the broker closed a channel")]
    ChannelClosed,
    /// Announcements wait for the broker.
    #[error("announcements are behind: the broker does not take them")]
    Behind,
    /// The broker closed a channel on it where that was to be expected.
    #[error("the broker closed this connection as expected; another one replaces it")]
    ConnectionServed,
    /// Somebody declared it with other properties, which the broker does not change.
    #[error(
        "{what} exists with other properties than every process declares: delete it (a queue once \
         it is empty), and a process declares it again; {answer}"
    )]
    Differs {
        /// `queue NAME` or `exchange NAME`.
        what: String,
        /// In the broker's words.
        answer: String,
    },
    /// A memory or disk alarm is on.
    #[error("the broker takes no messages now (a memory or disk alarm)")]
    Blocked,
    /// No queue is bound where there must be one.
    #[error("the broker has no queue for the message")]
    Unroutable,
    /// The broker said that it has not stored a message.
    #[error("the broker did not store the message")]
    NotStored,
    /// Something awaits its confirm, and the node confirms nothing.
    #[error("the broker's node has confirmed nothing for {0:?}")]
    Unconfirmed(Duration),
    /// Not even that a queue without messages has none.
    #[error("the node did not show within {0:?} that it has a majority")]
    Unproven(Duration),
    /// Other queues confirm, this one does not.
    #[error(
        "the queue has confirmed nothing for {0:?}, but other queues have: check that it has a \
         leader"
    )]
    QueueSilent(Duration),
    /// The process ends.
    #[error("the process stops and has closed its connection to the broker")]
    Stopped,
    /// Orders wait in a lane that is open here, and none comes.
    #[error("lane {0} has orders, but the broker delivers none")]
    Starved(Lane),
    /// The leader of one of its queues is away, or the node looks for it at the wrong place.
    #[error("the broker's node cannot find the leader of a queue of lane {0}")]
    Leaderless(Lane),
    /// `tickets lanes set` is at work, or ended half-way.
    #[error("the number of lanes is being changed; if no `tickets lanes set` runs, run it again")]
    LanesChanging,
    /// The store was not reached.
    #[error("the store has not answered which deployment this is: {0}")]
    DeploymentUnknown(String),
    /// A caller that only looks and declares nothing found no queue.
    #[error(
        "queue {0} does not exist: no process of this deployment has started yet, or it uses \
         another prefix or vhost. If rabbitmq.prefix and the vhost of rabbitmq.urls are right, \
         start a process: each declares what is missing"
    )]
    NotDeclared(String),
    /// Another store's orders are in these queues.
    #[error(
        "the queues belong to another deployment (queue {queue} says {recorded}, this store's \
         table deployment says {ours}): set rabbitmq.prefix to one of its own; if that deployment \
         no longer exists, delete queue {queue}"
    )]
    OtherDeployment {
        /// Of this process' store.
        ours: DeploymentId,
        /// What the broker says, as it says it.
        recorded: String,
        /// Where it is recorded.
        queue: String,
    },
    /// Orders of one show would be in two lanes, or orders in a lane that nobody decides.
    #[error(
        "{configured} lanes are configured, but the broker was set up with {recorded}; \
         configure that number, or drain the lanes and run `tickets lanes set {configured}`"
    )]
    LanesDiffer {
        /// What this process would use.
        configured: u8,
        /// What the broker says, as it says it.
        recorded: String,
    },
}

impl BrokerError {
    pub(crate) fn cause(self) -> Cause {
        Box::new(self)
    }

    /// Whether it is this process that does not fit the broker, or does not know yet.
    pub(crate) const fn is_of_no_node(&self) -> bool {
        matches!(
            self,
            Self::DeploymentUnknown(_) | Self::NotDeclared(_) | Self::Differs { .. }
        ) || self.is_of_other_queues()
    }

    /// Whether the queues are not those that this process is set up for, so that it must put
    /// nothing into them and take nothing out.
    pub(crate) const fn is_of_other_queues(&self) -> bool {
        matches!(
            self,
            Self::LanesDiffer { .. } | Self::LanesChanging | Self::OtherDeployment { .. }
        )
    }

    /// Whether the broker said no to the user: 403 `ACCESS_REFUSED`, or 530 `NOT_ALLOWED` for a
    /// vhost that is missing or not for that user.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self.reply_code(), Some(403 | 530))
    }

    /// Whether something that the deployment needs is not there: 404 `NOT_FOUND`, or no
    /// queue behind the exchange.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Unroutable) || self.reply_code() == Some(404)
    }

    /// The reply code of an error by which the broker closed the channel or the connection.
    pub(crate) fn reply_code(&self) -> Option<u16> {
        match self {
            Self::Amqp(error) => match error.kind() {
                lapin::ErrorKind::ProtocolError(error) => Some(error.get_id()),
                _ => None,
            },
            _ => None,
        }
    }
}
