//! Which sides of the service a process runs.

use anyhow::bail;

use crate::settings::Settings;

/// Which sides of the service a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Does both in one process.
    All,
    /// Accepts orders and answers requests.
    Api,
    /// Decides orders; answers only health checks.
    Worker,
}

impl Role {
    /// As the command line has it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Api => "api",
            Self::Worker => "worker",
        }
    }

    pub(super) fn accepts(self) -> bool {
        self != Self::Worker
    }

    pub(super) fn decides(self) -> bool {
        self != Self::Api
    }

    /// Memory adapters are seen by one process only, so that process has to do everything.
    ///
    /// # Errors
    /// Names the settings that do not fit.
    pub fn fits(self, settings: &Settings) -> anyhow::Result<()> {
        let are_shared =
            settings.queue.adapter().is_shared() && settings.store.adapter().is_shared();
        if self != Self::All && !are_shared {
            bail!(
                "--role {}: with queue.adapter or store.adapter `memory` only --role all \
                 works, because other processes cannot see this one's memory",
                self.name()
            );
        }
        Ok(())
    }
}
