//! Whether the servers are set up so that the guarantees hold: looked at again and again by
//! every process, since an operator's policy can come at any time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::ports::{Dependency, DependencyDown, Examination, Finding, Level};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// While something is broken or away: readiness says so until the next look.
const LOOK_SOON: Duration = Duration::from_secs(5);
/// Longer than any examination tries.
const LIMIT: Duration = Duration::from_secs(20);

/// One server's examination, and what that server is for.
pub(crate) struct Examined {
    pub(crate) name: &'static str,
    pub(crate) examination: Arc<dyn Examination>,
}

impl Examined {
    /// All of each server.
    pub(crate) fn all<const N: usize>(
        servers: [(&'static str, Vec<Arc<dyn Examination>>); N],
    ) -> Vec<Self> {
        let servers = servers.into_iter();
        servers
            .flat_map(|(name, examinations)| {
                let examinations = examinations.into_iter();
                examinations.map(move |examination| Self { name, examination })
            })
            .collect()
    }

    /// What was found within a limit.
    pub(crate) async fn findings(&self) -> Vec<Finding> {
        match timeout(LIMIT, self.examination.examine()).await {
            Ok(findings) => findings,
            Err(_) => vec![Finding::unknown(
                self.name,
                format!("the examination took longer than {LIMIT:?}"),
                "see whether the server answers",
            )],
        }
    }
}

/// Looks at all servers and keeps what was found last.
pub(crate) struct Examiner {
    examined: Vec<Examined>,
    found: Mutex<Vec<(&'static str, Finding)>>,
}

impl Examiner {
    pub(crate) fn new(examined: Vec<Examined>) -> Self {
        Self {
            examined,
            found: Mutex::default(),
        }
    }

    /// Looks every 30 s, or 5 s while something is broken or away, and logs what is found anew and what
    /// is well again.
    pub(crate) async fn watch(&self, stop: &CancellationToken) {
        loop {
            let looking = async {
                self.look().await;
                let is_well = self.check().await.is_ok();
                sleep(if is_well { LOOK_AGAIN } else { LOOK_SOON }).await;
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = looking => {}
            }
        }
    }

    async fn look(&self) {
        let mut found = Vec::new();
        for examined in &self.examined {
            let findings = examined.findings().await;
            found.extend(findings.into_iter().map(|finding| (examined.name, finding)));
        }
        let before = std::mem::replace(&mut *self.found.lock(), found.clone());
        for (server, finding) in found.iter().filter(|found| !before.contains(found)) {
            let Finding {
                level,
                subject,
                what,
                remedy,
            } = finding;
            match level {
                Level::Broken => {
                    error!(server, subject, what, remedy, "a guarantee does not hold");
                }
                Level::Degraded => {
                    warn!(server, subject, what, remedy, "one of several is away");
                }
                Level::Risk => warn!(
                    server,
                    subject, what, remedy, "a guarantee may not hold after the next fault"
                ),
                Level::Unknown => info!(server, subject, what, remedy, "a check could not be done"),
            }
        }
        for (server, finding) in before.iter().filter(|before| !found.contains(before)) {
            let Finding { subject, what, .. } = finding;
            info!(server, subject, what, "the finding is gone");
        }
    }
}

#[async_trait]
impl Dependency for Examiner {
    fn name(&self) -> &'static str {
        "examination"
    }

    /// Whether the latest look found a guarantee that does not hold, or a server that is away.
    async fn check(&self) -> Result<(), DependencyDown> {
        let found = self.found.lock();
        let is_bad = |level| matches!(level, Level::Broken | Level::Degraded);
        let mut bad: Vec<_> = found.iter().filter(|found| is_bad(found.1.level)).collect();
        bad.sort_by_key(|(_, finding)| finding.level);
        let Some((server, finding)) = bad.first() else {
            return Ok(());
        };
        let more = match bad.len() - 1 {
            0 => String::new(),
            more => format!(" ({more} more: `tickets doctor`)"),
        };
        Err(DependencyDown::because(format!(
            "{server}: {}: {}. {}{more}",
            finding.subject, finding.what, finding.remedy
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Server(Mutex<Vec<Finding>>);

    #[async_trait]
    impl Examination for Server {
        async fn examine(&self) -> Vec<Finding> {
            self.0.lock().clone()
        }
    }

    #[tokio::test]
    async fn readiness_says_what_is_broken_or_away_and_not_what_may_break_or_is_unknown() {
        let server = Arc::new(Server(Mutex::default()));
        let examiner = Examiner::new(vec![Examined {
            name: "queue",
            examination: server.clone(),
        }]);
        examiner.check().await.unwrap();
        let finding = |level| Finding::new(level, "queues", format!("{level}"), "mend it");
        *server.0.lock() = vec![finding(Level::Risk), finding(Level::Unknown)];
        examiner.look().await;
        examiner.check().await.unwrap();
        *server.0.lock() = vec![finding(Level::Risk), finding(Level::Degraded)];
        examiner.look().await;
        let down = examiner.check().await.unwrap_err().to_string();
        assert_eq!(down, "queue: queues: degraded. mend it");
        *server.0.lock() = vec![finding(Level::Degraded), finding(Level::Broken)];
        examiner.look().await;
        let down = examiner.check().await.unwrap_err().to_string();
        assert_eq!(
            down,
            "queue: queues: broken. mend it (1 more: `tickets doctor`)"
        );
        server.0.lock().clear();
        examiner.look().await;
        examiner.check().await.unwrap();
    }
}
