//! How many files this process may have open, and what is left of that for clients.
//!
//! Each connection is an open file. At the limit the system refuses to open another one,
//! and a client then waits without an answer, and so does the database's pool.

use std::thread::available_parallelism;

use anyhow::bail;
use tracing::warn;

use crate::configuration::{Settings, StoreAdapter};

/// The files that a process may open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenFiles {
    limit: u64,
    /// Kept for everything that is not a client's connection.
    reserved: u64,
}

impl OpenFiles {
    /// Listening sockets, logs, the broker's connections, files that are read for a moment.
    const FIXED: u64 = 64;
    /// What each thread of the runtime and of the HTTP server opens.
    const PER_THREAD: u64 = 8;
    /// Fewer clients than that are no service.
    const MIN_CONNECTIONS: u64 = 16;

    /// Raises this process's soft limit to its hard one, which it may do by itself, and warns
    /// when that does not cover what the settings allow.
    ///
    /// # Errors
    /// When nothing would be left for clients; says how many files are needed.
    pub(crate) fn of_this_process(settings: &Settings) -> anyhow::Result<Self> {
        let files = Self {
            // A system without such a limit has nothing to raise.
            limit: rlimit::increase_nofile_limit(u64::MAX).unwrap_or(u64::MAX),
            reserved: Self::reserved_for(settings),
        };
        let (limit, reserved) = (files.limit, files.reserved);
        if limit < reserved + Self::MIN_CONNECTIONS {
            bail!(
                "the limit of {limit} open files leaves no room for clients: this configuration \
                 needs {reserved} files for itself. Raise the hard limit (ulimit -Hn, LimitNOFILE \
                 of systemd, ulimits of compose), or lower mysql.max_connections"
            );
        }
        let wanted = settings.live.max_connections;
        if files.connections() < wanted {
            warn!(
                files.limit = limit,
                files.reserved = reserved,
                live.max_connections = wanted,
                connections.max = files.connections(),
                "the limit of open files is too low for live.max_connections: clients past \
                 connections.max are answered 503"
            );
        }
        Ok(files)
    }

    fn reserved_for(settings: &Settings) -> u64 {
        let threads = available_parallelism().map_or(1, usize::from) as u64;
        let database = match &settings.store.adapter {
            StoreAdapter::Memory => 0,
            StoreAdapter::MySql(mysql) => u64::from(mysql.max_connections),
        };
        Self::FIXED + Self::PER_THREAD * threads + database
    }

    /// The most client connections at the same time.
    pub(crate) fn connections(self) -> usize {
        usize::try_from(self.limit.saturating_sub(self.reserved)).unwrap_or(usize::MAX)
    }
}
