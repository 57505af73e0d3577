//! How many files this process may have open, and what is left of that for clients.
//!
//! Each connection is an open file. At the limit the system refuses to open another one,
//! and a client then waits without an answer, and so does the database's pool.

use std::thread::available_parallelism;

use anyhow::bail;
use async_trait::async_trait;
use domain::ports::{Dependency, DependencyDown};
use http_api::ConnectionLimits;
use socket2::{Domain, Socket, Type};
use tracing::warn;

use crate::settings::Settings;

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
        let connections = settings.store.adapter().connections();
        let files = Self {
            limit: raised_limit(),
            reserved: Self::reserved_beside(connections.map_or(0, |(most, _)| most)),
        };
        let (limit, reserved) = (files.limit, files.reserved);
        if limit < reserved + Self::MIN_CONNECTIONS {
            let lower = connections.map(|(_, setting)| format!(", or lower {setting}"));
            bail!(
                "the limit of {limit} open files leaves no room for clients: this configuration \
                 needs {reserved} files for itself. Raise the hard limit (ulimit -Hn, LimitNOFILE \
                 of systemd, ulimits of compose){}",
                lower.unwrap_or_default()
            );
        }
        let wanted = settings.live.max_connections;
        let served = files.connections().served;
        if served < wanted {
            warn!(
                files.limit = limit,
                files.reserved = reserved,
                live.max_connections = wanted,
                connections.max = served,
                "the limit of open files is too low for live.max_connections: clients past \
                 connections.max are answered 503"
            );
        }
        Ok(files)
    }

    fn reserved_beside(connections_of_the_store: u32) -> u64 {
        let threads = available_parallelism().map_or(1, usize::from) as u64;
        Self::FIXED + Self::PER_THREAD * threads + u64::from(connections_of_the_store)
    }

    /// What is left for clients.
    pub(crate) fn connections(self) -> ConnectionLimits {
        let accepted = self.limit.saturating_sub(self.reserved);
        ConnectionLimits::of(usize::try_from(accepted).unwrap_or(usize::MAX))
    }
}

/// Whether another file can be opened: else an order would be taken over a connection that is
/// there, and neither the broker nor the database would be reached for it.
#[async_trait]
impl Dependency for OpenFiles {
    fn name(&self) -> &'static str {
        "files"
    }

    async fn check(&self) -> Result<(), DependencyDown> {
        let opened = Socket::new(Domain::IPV4, Type::DGRAM, None);
        opened.map(drop).map_err(|error| DependencyDown {
            reason: format!(
                "no file can be opened: {error}. The process may have {} open; raise the hard \
                 limit (ulimit -Hn, LimitNOFILE of systemd, ulimits of compose)",
                self.limit
            ),
            source: Some(error.into()),
        })
    }
}

/// This process's limit of open files, after it was raised as far as it may be.
fn raised_limit() -> u64 {
    let raised = rlimit::increase_nofile_limit(u64::MAX);
    let as_it_is = || rlimit::getrlimit(rlimit::Resource::NOFILE).map(|(soft, _)| soft);
    // A system that knows no such limit has none.
    raised.or_else(|_| as_it_is()).unwrap_or(u64::MAX)
}
