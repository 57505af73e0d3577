//! The command line.

use std::fmt::Display;
use std::future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use domain::order::{Lanes, MAX_LANES};
use domain::ports::{Clock, DeadLetter, Level, StoreIdentity};
use domain::receipt::ProcessId;
use domain::use_cases::audit_shows;
use http_api::AuditReport;
use hyper::StatusCode;
use runtime::error_chain;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokens::Verifier;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::application::{Application, Role};
use crate::client::{self, Answer, NO_ANSWER, Trust};
use crate::clock::SystemClock;
use crate::examiner::Examined;
use crate::settings::{AuthSettings, JwtSettings, Settings, setting_of, variables_of};
use crate::wiring::{QueuePorts, QueueUse, StorePorts, StoreUse};
use crate::{seed, telemetry, wiring};

/// What is asked first when an adapter is missing.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let adapters = wiring::COMPILED_ADAPTERS.join(", ");
    format!("{} (adapters: {adapters})", env!("CARGO_PKG_VERSION"))
});

/// The on-sale engine: accepts ticket orders, decides them in sequence and reports each outcome.
///
/// Settings come from config/base.toml, then config/$APP_ENV.toml, then variables
/// APP__SECTION__KEY; each overrides the ones before it. Secrets may be in files, which
/// APP__SECTION__KEY_FILE names.
#[derive(Debug, Parser)]
#[command(name = "tickets", version = VERSION.as_str())]
pub struct Cli {
    /// The directory of base.toml and of one file for each environment.
    #[arg(long, env = "APP_CONFIG_DIR", default_value = "config", global = true)]
    config_dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the service until a signal stops it.
    ///
    /// SIGTERM, SIGINT, SIGQUIT and SIGHUP stop it: it finishes what it has accepted first. A
    /// second signal forces the exit at once, unless it is SIGHUP.
    Serve(ServeArgs),
    /// Checks whether the process on this machine is ready; exits 1 if it is not.
    ///
    /// This is the health check of containers that have no HTTP client. It asks /health/ready
    /// at server.host and server.port, or at tls.port over HTTPS unless tls.mode is off.
    Health,
    /// Checks the queue and the store for faults that break a guarantee; exits 1 if it finds one.
    ///
    /// It connects with this configuration, looks for the keys of tokens, and checks the broker's policies and alarms, the
    /// members of its queues, rights, and whether commits are durable. It changes nothing in the
    /// broker. Each finding says what to do. It exits 1 also if a server does not answer.
    Doctor,
    /// Brings the store's schema up to date; creates the database if it is missing.
    Migrate,
    /// Adds the demo user 1 and the demo show 230920, unless they exist.
    Seed,
    /// Replays the history of every show and checks each change; exits 1 on any violation.
    ///
    /// It reads the store. If the store is in memory, it asks the process on this machine, at
    /// server.host and server.port, or tls.port.
    Audit(AuditArgs),
    /// Changes the number of lanes, which the broker records.
    Lanes {
        #[command(subcommand)]
        command: LanesCommand,
    },
    /// Lists the orders that could not be decided, or puts them back into their lanes.
    DeadLetters {
        #[command(subcommand)]
        command: DeadLettersCommand,
    },
}

#[derive(Debug, Subcommand)]
enum LanesCommand {
    /// Changes the number of lanes, while no process runs and all lanes are empty.
    ///
    /// First stop the api processes, let the workers empty the lanes, and stop the workers.
    /// Afterwards set queue.lanes to the same number and start all processes.
    Set {
        /// The new number of lanes.
        #[arg(value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_LANES)))]
        lanes: u8,
    },
}

#[derive(Debug, Subcommand)]
enum DeadLettersCommand {
    /// Prints the oldest dead letters, one JSON object per line.
    List(DeadLettersArgs),
    /// Moves the oldest dead letters that are orders to the end of their lanes.
    Redrive(DeadLettersArgs),
}

#[derive(Debug, Args)]
struct DeadLettersArgs {
    /// The largest number of dead letters.
    #[arg(long, default_value_t = 1_000)]
    limit: usize,
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// What this process does: accept orders, decide them, or both.
    #[arg(long, value_enum, default_value_t = Role::All)]
    role: Role,
}

#[derive(Debug, Args)]
struct AuditArgs {
    /// Asks the process at this URL instead of reading the store; admin.token must be its token.
    #[arg(long)]
    url: Option<String>,
    /// Trusts the certificates in this PEM file, too, if the URL begins with https.
    #[arg(long, requires = "url")]
    ca_file: Option<PathBuf>,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Cli {
    /// Does what the command line says; errors go to stderr.
    pub async fn run(self) -> ExitCode {
        let loaded = variables_of(std::env::vars_os())
            .and_then(|variables| Settings::load(&self.config_dir, variables));
        let settings = match loaded {
            Ok(settings) => settings,
            Err(faults) => return failed(&faults),
        };
        let ended = match self.command {
            Command::Serve(args) => serve(settings, args.role).await,
            Command::Health => health(&settings).await,
            Command::Doctor => doctor(&settings).await,
            Command::Migrate => migrate(&settings).await,
            Command::Seed => seed(&settings).await,
            Command::Audit(args) => audit(settings, args).await,
            Command::Lanes {
                command: LanesCommand::Set { lanes },
            } => set_lanes(&settings, lanes).await,
            Command::DeadLetters { command } => dead_letters(&settings, command).await,
        };
        let code = ended.unwrap_or_else(|error| failed(error.as_ref()));
        telemetry::flush();
        code
    }
}

/// Before logging has started there is only stderr, afterwards the log is on stderr too.
fn failed(error: &dyn std::error::Error) -> ExitCode {
    if tracing::dispatcher::has_been_set() {
        error!(error = error_chain(error), "failed");
    } else {
        // Nobody is left to tell if stderr is closed.
        let _written = writeln!(io::stderr(), "tickets: {}", error_chain(error));
    }
    ExitCode::FAILURE
}

fn exit_code(is_well: bool) -> ExitCode {
    ExitCode::from(u8::from(!is_well))
}

async fn serve(settings: Settings, role: Role) -> anyhow::Result<ExitCode> {
    role.fits(&settings)?;
    telemetry::log_panics();
    let mut signals = Signals::listen().context("listening to signals")?;
    let application = Application::build(settings, role, clock()).await?;
    let stop = CancellationToken::new();
    let stopped = application.run_until_stopped(stop.clone());
    tokio::pin!(stopped);
    tokio::select! {
        ended = &mut stopped => return ended.map(|()| ExitCode::SUCCESS),
        name = signals.stop() => info!(signal = name, "asked to stop"),
    }
    stop.cancel();
    tokio::select! {
        ended = stopped => ended.map(|()| ExitCode::SUCCESS),
        name = signals.force() => {
            warn!(signal = name, "forced to exit at once; accepted orders may be left undecided");
            telemetry::flush();
            // Returning would wait for what the runtime still does.
            std::process::exit(1)
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    /// `None` if the process was started to survive its terminal, as `nohup` does.
    hang_up: Option<Signal>,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        let ignored = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let hang_up = if ignores_hang_up(&ignored) {
            None
        } else {
            Some(signal(SignalKind::hangup())?)
        };
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hang_up,
        })
    }

    async fn stop(&mut self) -> &'static str {
        let hung_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.quit.recv() => "SIGQUIT",
            _ = hung_up => "SIGHUP",
        }
    }

    /// Without SIGHUP: a terminal that closes sends it more than once, and service managers
    /// send it beside SIGTERM.
    async fn force(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.quit.recv() => "SIGQUIT",
        }
    }
}

/// What `/proc/self/status` says of the signals that the process was started to ignore: a
/// hexadecimal number, whose lowest bit is signal 1, SIGHUP.
fn ignores_hang_up(status: &str) -> bool {
    let mut lines = status.lines();
    let ignored = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & 1 == 1)
}

/// Asks for what takes no time.
async fn ask_at_once(url: &str, trust: &Trust) -> anyhow::Result<Answer> {
    let no_answer = || format!("no answer from {url}; does `tickets serve` run there?");
    let answer = timeout(NO_ANSWER, client::get(url, None, trust)).await;
    answer.with_context(no_answer)?.with_context(no_answer)
}

/// Where the process on this machine serves.
fn own_url(settings: &Settings) -> anyhow::Result<String> {
    let (scheme, setting, port) = match &settings.tls {
        None => ("http", "server.port", settings.server.port),
        Some(tls) => ("https", "tls.port", tls.port),
    };
    if port == 0 {
        bail!(
            "{setting}: is 0, so the port of the process on this machine is not known; \
             set the port that it listens on"
        );
    }
    let address = SocketAddr::new(settings.server.own_host(), port);
    Ok(format!("{scheme}://{address}"))
}

async fn health(settings: &Settings) -> anyhow::Result<ExitCode> {
    let url = format!("{}/health/ready", own_url(settings)?);
    let answer = ask_at_once(&url, &Trust::ThisMachine).await?;
    // The answer is the exit code, whether anybody reads the reasons or not.
    let _unread = print(String::from_utf8_lossy(&answer.body));
    Ok(exit_code(answer.status.is_success()))
}

async fn doctor(settings: &Settings) -> anyhow::Result<ExitCode> {
    /// Longer than any adapter tries.
    const LIMIT: Duration = Duration::from_secs(15);

    let store = connect_store(settings, StoreUse::Changes);
    // A store that is away says nothing of the queue.
    let mut identity = store.as_ref().ok().and_then(|store| store.identity.clone());
    if let Some(asked) = &identity
        && !matches!(timeout(LIMIT, asked.deployment()).await, Ok(Ok(_)))
    {
        identity = None;
        if settings.queue.adapter().is_shared() {
            print(
                "the store has not answered which deployment this is: the owner of the queues was \
                 not checked",
            )?;
        }
    }
    let queue = connect_queue(settings, identity).await;
    let mut is_well = true;
    for (name, adapter, connected) in [
        (
            "queue",
            settings.queue.adapter().name(),
            queue.map(|ports| (ports.dependency, ports.examinations)),
        ),
        (
            "store",
            settings.store.adapter().name(),
            store.map(|ports| (ports.dependency, ports.examinations)),
        ),
    ] {
        let (found, examinations) = match connected {
            Ok((dependency, examinations)) => {
                let found = match timeout(LIMIT, dependency.check()).await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(down)) => Err(down.reason),
                    Err(_) => Err(format!("no answer within {LIMIT:?}")),
                };
                (found, examinations)
            }
            Err(error) => (Err(error_chain(error.as_ref())), Vec::new()),
        };
        is_well &= found.is_ok();
        let found = found.err().unwrap_or_else(|| "answers".to_owned());
        print(format_args!("{name} ({adapter}): {found}"))?;
        for examined in Examined::all([(name, examinations)]) {
            for finding in examined.findings().await {
                is_well &= finding.level != Level::Broken;
                print(format_args!(
                    "  {}: {}: {}\n    {}",
                    finding.level, finding.subject, finding.what, finding.remedy
                ))?;
            }
        }
    }
    if let Some(unseen) = settings.queue.adapter().unseen() {
        print(unseen)?;
    }
    if let AuthSettings::Jwt(jwt) = &settings.auth {
        is_well &= has_keys(jwt).await?;
    }
    Ok(exit_code(is_well))
}

/// Whether there are keys to verify tokens with, which it prints.
async fn has_keys(jwt: &JwtSettings) -> anyhow::Result<bool> {
    let looking = Verifier::look_for_keys(jwt.rules.algorithms.clone(), jwt.keys.clone());
    let looked = looking.await;
    let found = match &looked {
        Ok(()) => "there is one for auth.algorithms".to_owned(),
        Err(error) => error_chain(&**error),
    };
    print(format_args!(
        "token keys ({}): {found}",
        setting_of(&jwt.keys)
    ))?;
    Ok(looked.is_ok())
}

/// A failure of the store, with what is to be done about it.
async fn explained<T>(
    settings: &Settings,
    store: &StorePorts,
    done: anyhow::Result<T>,
) -> anyhow::Result<T> {
    let Err(error) = done else {
        return done;
    };
    Err(match store.dependency.check().await {
        // Neither reads nor adds anything that a clock dates.
        Err(down) if !down.is_clock_off() => error.context(format!(
            "{}; the database is the one that {} names",
            down.reason,
            settings.store.adapter().address_setting()
        )),
        _ => error,
    })
}

async fn audit(settings: Settings, args: AuditArgs) -> anyhow::Result<ExitCode> {
    let report = match (args.url, settings.store.adapter().is_shared()) {
        (None, true) => {
            let store = connect_store(&settings, StoreUse::Reads)?;
            let audited = audit_shows(&*store.shows, &*store.ledger).await;
            AuditReport::from(explained(&settings, &store, audited.map_err(Into::into)).await?)
        }
        (url, _) => {
            let (url, trust) = match url {
                Some(url) => {
                    if args.ca_file.is_some() && url.starts_with("http://") {
                        bail!("--ca-file has no use with http://; begin the URL with https://");
                    }
                    (url, Trust::authorities(args.ca_file.as_deref())?)
                }
                None => (own_url(&settings)?, Trust::ThisMachine),
            };
            fetch_audit(&url, settings.admin_token.as_ref(), &trust).await?
        }
    };
    print(if args.json {
        serde_json::to_string(&report)?
    } else {
        report.to_string()
    })?;
    Ok(exit_code(report.violations == 0))
}

/// Asks the process at `url`, as administration.
///
/// # Errors
/// Says why there was no answer, or not this one.
pub async fn fetch_audit(
    url: &str,
    token: Option<&SecretString>,
    trust: &Trust,
) -> anyhow::Result<AuditReport> {
    let base = url.trim_end_matches('/');
    let url = format!("{base}/admin/audit");
    // An audit may take minutes: that nobody answers is seen by what takes none.
    ask_at_once(&format!("{base}/health/live"), trust).await?;
    let Answer { status, body } = client::get(&url, token, trust)
        .await
        .with_context(|| format!("no answer from {url}; does `tickets serve` run there?"))?;
    if status == StatusCode::UNAUTHORIZED {
        bail!("{url} refuses admin.token; set APP__ADMIN__TOKEN to that of the process");
    }
    if !status.is_success() {
        bail!("{url} answers {status}: {}", String::from_utf8_lossy(&body));
    }
    serde_json::from_slice(&body)
        .with_context(|| format!("the answer of {url} is not an audit of this version"))
}

fn connect_store(settings: &Settings, usage: StoreUse) -> anyhow::Result<StorePorts> {
    settings.store.adapter().connect(settings, clock(), usage)
}

async fn connect_queue(
    settings: &Settings,
    identity: Option<Arc<dyn StoreIdentity>>,
) -> anyhow::Result<QueuePorts> {
    let process = ProcessId::new(rand::random());
    let queue = settings.queue.adapter();
    queue
        .connect(settings, clock(), process, identity, QueueUse::Looks)
        .await
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

fn print(text: impl Display) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{text}").context("writing to stdout")
}

/// What is in memory is another process's memory.
fn needs_a_server(is_shared: bool, setting: &str) -> anyhow::Result<()> {
    if !is_shared {
        bail!("{setting}: is memory, which only the process that serves it can see");
    }
    Ok(())
}

async fn migrate(settings: &Settings) -> anyhow::Result<ExitCode> {
    needs_a_server(settings.store.adapter().is_shared(), "store.adapter")?;
    // What it waits for is logged.
    telemetry::start(&settings.log).context("starting the log")?;
    let store = connect_store(settings, StoreUse::Changes)?;
    (store.migrate)().await?;
    print("the schema is up to date")?;
    Ok(ExitCode::SUCCESS)
}

async fn seed(settings: &Settings) -> anyhow::Result<ExitCode> {
    needs_a_server(settings.store.adapter().is_shared(), "store.adapter")
        .context("set store.seed_demo, and the process adds them at its start")?;
    let store = connect_store(settings, StoreUse::Changes)?;
    let seeded = seed::demo(&*store.users, &*store.shows).await;
    explained(settings, &store, seeded).await?;
    print("user 1 and show 230920 are there")?;
    Ok(ExitCode::SUCCESS)
}

async fn set_lanes(settings: &Settings, lanes: u8) -> anyhow::Result<ExitCode> {
    let lanes = Lanes::new(lanes).context("the number of lanes")?;
    let identity = connect_store(settings, StoreUse::Reads)?.identity;
    settings.queue.adapter().set_lanes(lanes, identity).await?;
    print(format_args!(
        "there are {} lanes now; set queue.lanes to that number for every process",
        lanes.count()
    ))?;
    Ok(ExitCode::SUCCESS)
}

async fn dead_letters(
    settings: &Settings,
    command: DeadLettersCommand,
) -> anyhow::Result<ExitCode> {
    needs_a_server(settings.queue.adapter().is_shared(), "queue.adapter")?;
    let identity = connect_store(settings, StoreUse::Reads)?.identity;
    let queue = connect_queue(settings, identity).await?;
    match command {
        DeadLettersCommand::List(args) => {
            for letter in queue.dead_letters.list(args.limit).await? {
                print(described(&letter))?;
            }
        }
        DeadLettersCommand::Redrive(args) => {
            let put_back = queue.dead_letters.redrive(args.limit).await?;
            print(format_args!("{put_back} orders are back in their lanes"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn described(letter: &DeadLetter) -> Value {
    let order = letter.order.as_ref().map(|order| {
        json!({
            "ticket_id": order.ticket_id.to_string(),
            "show_id": order.show_id.as_str(),
            "user_id": order.user_id.as_str(),
            "quantity": order.quantity.seats(),
            "requested_at": order.requested_at.to_string(),
        })
    });
    let payload = (!letter.payload.is_empty()).then(|| String::from_utf8_lossy(&letter.payload));
    json!({
        "at": letter.at.to_string(),
        "reason": letter.reason,
        "order": order,
        "payload": payload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_started_to_ignore_hang_ups_does() {
        let status = |mask: &str| format!("Name:\ttickets\nSigIgn:\t{mask}\nSigCgt:\t0\n");
        assert!(ignores_hang_up(&status("0000000000001001")));
        assert!(!ignores_hang_up(&status("0000000000001000")));
        assert!(!ignores_hang_up(""));
    }
}
