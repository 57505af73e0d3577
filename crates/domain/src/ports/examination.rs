//! What is looked at beside readiness: whether servers are set up so that the guarantees hold.

use std::fmt;

use async_trait::async_trait;

/// How bad it is. The worst is the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A guarantee does not hold: accepted orders may be lost or decided out of sequence, or none
    /// is accepted.
    Broken,
    /// All that is promised holds, and something that is configured does not do its part: one of
    /// several servers is away.
    Degraded,
    /// All is well until the next fault.
    Risk,
    /// Could not be looked at.
    Unknown,
}

/// In lower case, as it is printed.
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broken => "broken",
            Self::Degraded => "degraded",
            Self::Risk => "risk",
            Self::Unknown => "unknown",
        })
    }
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How severe the finding is.
    pub level: Level,
    /// What it is about: queues, a node, the cluster, a user, a setting.
    pub subject: String,
    /// What is the matter, and what it means.
    pub what: String,
    /// What the operator can do about it.
    pub remedy: String,
}

/// Texts have no secrets, as all of them are logged.
impl Finding {
    /// A guarantee does not hold.
    pub fn broken(
        subject: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(Level::Broken, subject, what, remedy)
    }

    /// Something that is configured does not do its part, and others do it.
    pub fn degraded(
        subject: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(Level::Degraded, subject, what, remedy)
    }

    /// A guarantee may not hold after the next fault.
    pub fn risk(
        subject: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(Level::Risk, subject, what, remedy)
    }

    /// Something could not be looked at.
    pub fn unknown(
        subject: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(Level::Unknown, subject, what, remedy)
    }

    /// Of any level.
    pub fn new(
        level: Level,
        subject: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            level,
            subject: subject.into(),
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

/// Examines one server. Changes nothing there.
///
/// ```
/// use domain::ports::{Examination, Level};
///
/// async fn is_sound(server: &dyn Examination) -> bool {
///     server.examine().await.iter().all(|finding| finding.level != Level::Broken)
/// }
/// ```
#[async_trait]
pub trait Examination: Send + Sync {
    /// Everything that is not as it should be, the worst first; nothing if all is well. What
    /// could not be looked at is a finding, too.
    async fn examine(&self) -> Vec<Finding>;
}
