//! What can go wrong with the broker, in one place.

use std::time::Duration;

use domain::ports::Cause;

/// `rabbitmq.url` is not the URL of a broker. The URL itself is not repeated:
/// it holds the password.
#[derive(Debug, thiserror::Error)]
#[error("must be like amqp://user:password@host:5672/vhost, or amqps://… for TLS")]
pub struct InvalidUrl;

/// The configuration can never work with this broker.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `rabbitmq.url`.
    #[error("rabbitmq.url")]
    InvalidUrl(#[from] InvalidUrl),
    /// `queue.lanes`.
    #[error("queue.lanes")]
    Lanes(#[source] BrokerError),
}

/// Why the broker did not do what it was asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    /// No connection, or the broker refused.
    #[error("the broker cannot be reached or refused: {0}")]
    Amqp(#[from] lapin::Error),
    /// It took too long.
    #[error("the broker did not answer within {0:?}")]
    TimedOut(Duration),
    /// A memory or disk alarm is on.
    #[error("the broker takes no messages now (a memory or disk alarm)")]
    Blocked,
    /// No queue is bound where there must be one.
    #[error("the broker has no queue for the message")]
    Unroutable,
    /// The broker said that it has not stored a message.
    #[error("the broker did not store the message")]
    NotStored,
    /// The process ends.
    #[error("the connection to the broker is closed for good")]
    Stopped,
    /// Orders of one show would be in two lanes.
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

    /// Whether the broker said no to the user: 403 `ACCESS_REFUSED`, or 530 `NOT_ALLOWED` for a
    /// vhost that is missing or not for that user.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self.reply_code(), Some(403 | 530))
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
