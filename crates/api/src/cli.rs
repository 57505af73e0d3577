//! The command line.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::application::{Application, Role};
use crate::audit::AuditReport;
use crate::configuration::Settings;
use crate::worker::chain;

/// The on-sale engine: takes ticket orders, decides them in sequence, tells the outcome.
///
/// Settings come from config/base.toml, config/$APP_ENV.toml and variables
/// APP__SECTION__KEY, in this sequence.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// Where base.toml and the environments' files are.
    #[arg(long, env = "APP_CONFIG_DIR", default_value = "config", global = true)]
    config_dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the service until SIGTERM or SIGINT; a second signal forces the end.
    Serve(ServeArgs),
    /// Replays every show and checks each step. Exits 1 on any violation.
    Audit(AuditArgs),
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// Which sides of the service this process runs.
    #[arg(long, value_enum, default_value_t = Role::All)]
    role: Role,
}

#[derive(Debug, Args)]
struct AuditArgs {
    /// The process to ask; admin.token must be that process's. By default the
    /// one on this machine, at the configured port.
    #[arg(long)]
    url: Option<String>,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Cli {
    /// Does what the command line says; errors go to stderr.
    pub async fn run(self) -> ExitCode {
        let settings = match Settings::load(&self.config_dir, std::env::vars().collect()) {
            Ok(settings) => settings,
            Err(faults) => return failed(&faults),
        };
        let ended = match self.command {
            Command::Serve(args) => serve(settings, args.role).await,
            Command::Audit(args) => audit(settings, args).await,
        };
        ended.unwrap_or_else(|error| failed(error.as_ref()))
    }
}

/// Before logging has started there is only stderr, afterwards the log is on stderr too.
fn failed(error: &dyn std::error::Error) -> ExitCode {
    if tracing::dispatcher::has_been_set() {
        error!(error = chain(error), "failed");
    } else {
        // Nobody is left to tell if stderr is closed.
        let _written = writeln!(io::stderr(), "tickets: {}", chain(error));
    }
    ExitCode::FAILURE
}

async fn serve(settings: Settings, role: Role) -> anyhow::Result<ExitCode> {
    role.fits(&settings)?;
    let mut signals = Signals::listen().context("listening to signals")?;
    let application = Application::build(settings, role).await?;
    let stop = CancellationToken::new();
    let stopped = application.run_until_stopped(stop.clone());
    tokio::pin!(stopped);
    tokio::select! {
        ended = &mut stopped => return ended.map(|()| ExitCode::SUCCESS),
        name = signals.next() => info!(signal = name, "asked to stop"),
    }
    stop.cancel();
    tokio::select! {
        ended = stopped => ended.map(|()| ExitCode::SUCCESS),
        name = signals.next() => {
            warn!(signal = name, "forced to stop; accepted orders may be left undecided");
            // Returning would wait for what the runtime still does.
            std::process::exit(1)
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

async fn audit(settings: Settings, args: AuditArgs) -> anyhow::Result<ExitCode> {
    let url = args
        .url
        .unwrap_or_else(|| format!("http://127.0.0.1:{}", settings.server.port));
    let report = AuditReport::fetch(&url, settings.admin_token.as_ref()).await?;
    let text = if args.json {
        serde_json::to_string(&report)?
    } else {
        report.to_string()
    };
    writeln!(io::stdout(), "{text}").context("writing to stdout")?;
    Ok(if report.violations == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
