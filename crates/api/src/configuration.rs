//! The configuration: `base.toml`, then `{APP_ENV}.toml`, then `APP__SECTION__KEY`
//! variables. Read and checked as a whole, so that every fault is listed at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use domain::order::{Lanes, MAX_LANES, Quantity};
use domain::receipt::MIN_SECRET_LENGTH;
use secrecy::SecretString;
use serde_json::Value;

use crate::{server_urls, telemetry};

/// The environment that needs no secrets.
const DEVELOPMENT: &str = "development";
/// Of all variables that concern the process, in capitals or not.
const PREFIX: &str = "APP_";
/// Which file is read after `base.toml`.
const ENVIRONMENT: &str = "APP_ENV";
/// Where the files are; the command line reads it.
const CONFIG_DIR: &str = "APP_CONFIG_DIR";
/// Longest of all configured durations: a day.
const MAX_DURATION_MS: u64 = 24 * 60 * 60 * 1_000;

/// The whole effective configuration, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `APP_ENV`.
    pub environment: String,
    /// `server.*`
    pub server: ServerSettings,
    /// `log.*`
    pub log: LogSettings,
    /// `queue.*`
    pub queue: QueueSettings,
    /// `store.*`
    pub store: StoreSettings,
    /// `worker.*`
    pub worker: WorkerSettings,
    /// `tickets.*`
    pub tickets: TicketSettings,
    /// `live.*`
    pub live: LiveSettings,
    /// `admin.token`; administration is open to everybody without it.
    pub admin_token: Option<SecretString>,
    /// `clock.max_skew_ms`: how far the store's clock may be off.
    pub max_clock_skew: Duration,
    /// Variables that begin with `APP_` and are no settings, nor like one.
    pub ignored_variables: Vec<String>,
}

/// Where HTTP is served.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// How long a graceful stop may take.
    pub shutdown_deadline: Duration,
    /// How long before that readiness says that the process stops, and all is served as before.
    pub lame_duck: Duration,
    /// From a request's first byte to its last.
    pub request_timeout: Duration,
    /// Between an answer and the next request of a connection.
    pub keep_alive: Duration,
}

impl ServerSettings {
    /// Where a process on this machine reaches this one, unless its port is 0.
    #[must_use]
    pub const fn own_address(&self) -> SocketAddr {
        let host = match self.host {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            host => host,
        };
        SocketAddr::new(host, self.port)
    }
}

/// What is logged and how.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// A filter such as `info` or `info,domain=debug`.
    pub level: String,
    /// Text for people or JSON for machines.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text.
    Text,
    /// One JSON object.
    Json,
}

/// The orders' queue.
#[derive(Debug, Clone)]
pub struct QueueSettings {
    /// Which adapter.
    pub adapter: QueueAdapter,
    /// How many lanes it has.
    pub lanes: Lanes,
    /// The most orders that may wait in memory.
    pub capacity: usize,
    /// How long an order may wait for its place in the queue.
    pub publish_timeout: Duration,
    /// Orders of class `high` per round.
    pub high_weight: NonZeroU32,
    /// Orders of class `standard` per round.
    pub standard_weight: NonZeroU32,
}

/// The adapters of the queue.
#[derive(Debug, Clone)]
pub enum QueueAdapter {
    /// In this process.
    Memory,
    /// A RabbitMQ broker.
    RabbitMq(RabbitMqSettings),
}

impl QueueAdapter {
    /// The adapter's name in the configuration.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::RabbitMq(_) => "rabbitmq",
        }
    }
}

/// `rabbitmq.*`
#[derive(Debug, Clone)]
pub struct RabbitMqSettings {
    /// The nodes of the broker: `amqp://user:password@host:port/vhost`.
    pub urls: Vec<SecretString>,
    /// Of the broker's management API, tried in turn. Empty if it is not to be asked.
    pub management_urls: Vec<SecretString>,
    /// Goes before the name of every exchange and queue.
    pub prefix: String,
}

/// The users', shows' and tickets' store.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Which adapter.
    pub adapter: StoreAdapter,
    /// Whether user `1` and show `230920` are added at start.
    pub seed_demo: bool,
}

/// The adapters of the store.
#[derive(Debug, Clone)]
pub enum StoreAdapter {
    /// In this process.
    Memory,
    /// A MySQL or MariaDB server.
    MySql(MySqlSettings),
}

impl StoreAdapter {
    /// The adapter's name in the configuration.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::MySql(_) => "mysql",
        }
    }
}

/// `mysql.*`
#[derive(Debug, Clone)]
pub struct MySqlSettings {
    /// `mysql://user:password@host:port/database`, of each server. The one that takes changes is
    /// used.
    pub urls: Vec<SecretString>,
    /// The most connections of this process.
    pub max_connections: u32,
    /// Users whose class an api process keeps in memory.
    pub user_directory_max: usize,
    /// Whether the schema is brought up to date before anything else.
    pub migrate_at_start: bool,
}

/// The deciding side.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// The most orders of one transaction.
    pub batch_max: usize,
    /// Time between two sweeps of due holds.
    pub hold_sweep_interval: Duration,
}

/// Orders and their ids.
#[derive(Debug, Clone)]
pub struct TicketSettings {
    /// The first signs, all verify. Empty, in development only: the secret that everybody can
    /// read in `application.rs`.
    pub id_secrets: Vec<SecretString>,
    /// The most seats of one order.
    pub max_quantity: Quantity,
    /// `tickets.sold_out_gate`: whether orders for sold-out shows are refused at once.
    pub sold_out_gate: bool,
}

/// Notifications.
#[derive(Debug, Clone)]
pub struct LiveSettings {
    /// The most WebSockets and event streams of this process together.
    pub max_connections: usize,
    /// The most tickets and shows that one connection may listen to.
    pub max_subscriptions: usize,
    /// The most messages that wait for one connection.
    pub outgoing_buffer: usize,
    /// Between two signs of life.
    pub heartbeat: Duration,
    /// Between two messages about a ticket's waiting line.
    pub line_interval: Duration,
    /// A waiting line that does not move for so long is called stalled.
    pub stalled_after: Duration,
}

/// Every fault of the configuration.
#[derive(Debug)]
pub struct ConfigurationFaults(Vec<String>);

impl fmt::Display for ConfigurationFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has {} fault(s):", self.0.len())?;
        self.0
            .iter()
            .try_for_each(|fault| write!(f, "\n  - {fault}"))
    }
}

impl std::error::Error for ConfigurationFaults {}

/// The variables of the process that concern it, as text.
///
/// # Errors
/// Names those that are not UTF-8, without their values.
pub fn variables_of(
    process: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<HashMap<String, String>, ConfigurationFaults> {
    let mut variables = HashMap::new();
    let mut faults = Vec::new();
    for (name, value) in process {
        let start = name.as_encoded_bytes().get(..PREFIX.len());
        let is_ours = start.is_some_and(|start| start.eq_ignore_ascii_case(PREFIX.as_bytes()));
        // A path, which needs not be text.
        if !is_ours || name == CONFIG_DIR {
            continue;
        }
        let name = name.to_string_lossy().into_owned();
        match value.into_string() {
            Ok(value) => {
                variables.insert(name, value);
            }
            Err(_) => faults.push(format!("{name}: its value is not UTF-8 text; set it anew")),
        }
    }
    if faults.is_empty() {
        Ok(variables)
    } else {
        Err(ConfigurationFaults(faults))
    }
}

impl Settings {
    /// Reads the files of `directory` and the variables of the process.
    ///
    /// # Errors
    /// [`ConfigurationFaults`], all at once.
    pub fn load(
        directory: &Path,
        variables: HashMap<String, String>,
    ) -> Result<Self, ConfigurationFaults> {
        let environment = variables
            .get(ENVIRONMENT)
            .map_or(DEVELOPMENT, String::as_str)
            .to_owned();
        let file = |name: &str| config::File::from(directory.join(format!("{name}.toml")));
        let mut reader = Reader::default();
        let mut settings = BTreeSet::new();
        for name in variables.keys() {
            let written = name.to_uppercase();
            if is_stray(name) {
                reader.strays.insert(name.clone());
            } else if !settings.insert(written.clone()) {
                reader.fault(&written, "is set twice, in capitals and in small letters");
            }
        }
        let variables = config::Environment::with_prefix("APP")
            .prefix_separator("__")
            .separator("__")
            .source(Some(variables));
        let tree: Value = config::Config::builder()
            .add_source(file("base"))
            .add_source(file(&environment))
            .add_source(variables)
            .build()
            .and_then(config::Config::try_deserialize)
            .map_err(|error| {
                ConfigurationFaults(vec![format!(
                    "{error} (APP_ENV is {environment}, APP_CONFIG_DIR is {})",
                    directory.display()
                )])
            })?;
        flatten("", &tree, &mut reader.values);
        read(environment, reader)
    }
}

/// Whether the name looks like a setting's and is none, which is seen when all are known.
fn is_stray(name: &str) -> bool {
    let written = name.to_uppercase();
    let rest = written.strip_prefix(PREFIX);
    rest.is_some_and(|rest| !rest.starts_with('_')) && ![ENVIRONMENT, CONFIG_DIR].contains(&name)
}

fn read(environment: String, mut reader: Reader) -> Result<Settings, ConfigurationFaults> {
    let secrets_required = environment != DEVELOPMENT;
    let server = reader.server();
    let log = reader.log();
    let queue = reader.queue();
    let store = reader.store();
    let worker = reader.worker();
    let tickets = reader.tickets(secrets_required);
    let live = reader.live();
    let admin_token = reader.admin_token(secrets_required);
    let max_clock_skew = reader.duration_ms("clock.max_skew_ms", 1);
    for key in std::mem::take(&mut reader.values).into_keys() {
        match reader.like(&key) {
            Some(right) => {
                let variable = variable(right);
                let fault = format!("is not a setting; did you mean {right} ({variable})?");
                reader.fault(&key, fault);
            }
            None => reader.fault(&key, "is not a setting; remove it"),
        }
    }
    let mut ignored_variables = Vec::new();
    for name in std::mem::take(&mut reader.strays) {
        match reader.like(&name[PREFIX.len()..]) {
            Some(right) => {
                let right = variable(right);
                reader.fault(
                    &name,
                    format_args!("is not a setting; did you mean {right}?"),
                );
            }
            // Others use the prefix, too.
            None => ignored_variables.push(name),
        }
    }
    let settings = (|| {
        Some(Settings {
            environment,
            server: server?,
            log: log?,
            queue: queue?,
            store: store?,
            worker: worker?,
            tickets: tickets?,
            live: live?,
            admin_token,
            max_clock_skew: max_clock_skew?,
            ignored_variables,
        })
    })();
    match settings {
        Some(settings) if reader.faults.is_empty() => Ok(settings),
        _ => Err(ConfigurationFaults(reader.faults)),
    }
}

/// The variable that sets `key`.
fn variable(key: &str) -> String {
    format!("APP__{}", key.to_uppercase().replace('.', "__"))
}

/// `check` says what is wrong with one of them.
fn several_urls(
    text: &str,
    check: impl Fn(&str) -> Result<String, String>,
) -> Result<Vec<SecretString>, String> {
    let urls: Vec<_> = text.split(',').map(str::trim).collect();
    if urls.contains(&"") {
        return Err("must be URLs with one comma between two of them".to_owned());
    }
    let checked = (1..).zip(&urls).map(|(number, url)| match check(url) {
        Ok(url) => Ok(SecretString::from(url)),
        Err(what) if urls.len() == 1 => Err(what),
        Err(what) => Err(format!("URL {number} of {} {what}", urls.len())),
    });
    checked.collect()
}

/// `{"a": {"b": 1}}` becomes `a.b = "1"`; a list becomes its items, comma-separated.
fn flatten(prefix: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    let text = match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let key = if prefix.is_empty() {
                    name.clone()
                } else {
                    format!("{prefix}.{name}")
                };
                flatten(&key, value, into);
            }
            return;
        }
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    };
    into.insert(prefix.to_owned(), text);
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Takes settings out of the flat tree; what is left at the end is unknown.
#[derive(Default)]
struct Reader {
    values: BTreeMap<String, String>,
    /// Names of variables that are no settings.
    strays: BTreeSet<String>,
    /// All settings that were asked for.
    known: BTreeSet<String>,
    faults: Vec<String>,
}

impl Reader {
    fn fault(&mut self, key: &str, what: impl fmt::Display) {
        // The value itself is not repeated: it may be a secret.
        self.faults.push(format!("{key}: {what}"));
    }

    /// The setting that `name` would be, were it not for its dots and underscores.
    fn like(&self, name: &str) -> Option<&str> {
        let letters = |name: &str| name.to_lowercase().replace(['.', '_', '-'], "");
        let name = letters(name);
        let mut known = self.known.iter();
        known.find(|key| letters(key) == name).map(String::as_str)
    }

    fn is_set(&mut self, key: &str) -> bool {
        self.known.insert(key.to_owned());
        self.values.contains_key(key)
    }

    fn take<T>(&mut self, key: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        self.known.insert(key.to_owned());
        let Some(text) = self.values.remove(key) else {
            self.fault(key, format_args!("is missing; set {}", variable(key)));
            return None;
        };
        read(text.trim()).map_err(|what| self.fault(key, what)).ok()
    }

    fn number<T: FromStr + PartialOrd + fmt::Display>(
        &mut self,
        key: &str,
        min: T,
        max: T,
    ) -> Option<T> {
        self.take(key, |text| match text.parse() {
            Ok(number) if min <= number && number <= max => Ok(number),
            _ => Err(format!("must be a whole number from {min} to {max}")),
        })
    }

    fn duration_ms(&mut self, key: &str, min: u64) -> Option<Duration> {
        self.number(key, min, MAX_DURATION_MS)
            .map(Duration::from_millis)
    }

    fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        self.take(key, |text| {
            choices
                .iter()
                .find(|(name, _)| *name == text)
                .map(|(_, choice)| *choice)
                .ok_or_else(|| {
                    let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
                    format!("must be one of: {}", names.join(", "))
                })
        })
    }

    fn server(&mut self) -> Option<ServerSettings> {
        let host = self.take("server.host", |text| {
            text.parse()
                .map_err(|_| "must be an IP address such as 127.0.0.1, 0.0.0.0 or ::1".to_owned())
        });
        let port = self.number("server.port", 0, u16::MAX);
        let deadline = self.number("server.shutdown_deadline_seconds", 1_u64, 3_600);
        let lame_duck = self.number("server.lame_duck_seconds", 0_u64, 3_600);
        let request_timeout = self.duration_ms("server.request_timeout_ms", 100);
        let keep_alive = self.number("server.keep_alive_seconds", 1_u64, 3_600);
        Some(ServerSettings {
            host: host?,
            port: port?,
            shutdown_deadline: Duration::from_secs(deadline?),
            lame_duck: Duration::from_secs(lame_duck?),
            request_timeout: request_timeout?,
            keep_alive: Duration::from_secs(keep_alive?),
        })
    }

    fn log(&mut self) -> Option<LogSettings> {
        let level = self.take("log.level", |text| {
            telemetry::check_level(text).map(|()| text.to_owned())
        });
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        let format = self.choice("log.format", &formats);
        Some(LogSettings {
            level: level?,
            format: format?,
        })
    }

    fn queue(&mut self) -> Option<QueueSettings> {
        let is_rabbitmq = self.choice("queue.adapter", &[("memory", false), ("rabbitmq", true)]);
        let rabbitmq = self.rabbitmq(is_rabbitmq == Some(true));
        let lanes = self
            .number("queue.lanes", 1, MAX_LANES)
            .and_then(Lanes::new);
        let capacity = self.number("queue.capacity", 1, 100_000_000);
        let publish_timeout = self.duration_ms("queue.publish_timeout_ms", 1);
        let high_weight = self.number("queue.high_weight", NonZeroU32::MIN, MAX_WEIGHT);
        let standard_weight = self.number("queue.standard_weight", NonZeroU32::MIN, MAX_WEIGHT);
        Some(QueueSettings {
            adapter: if is_rabbitmq? {
                QueueAdapter::RabbitMq(rabbitmq?)
            } else {
                QueueAdapter::Memory
            },
            lanes: lanes?,
            capacity: capacity?,
            publish_timeout: publish_timeout?,
            high_weight: high_weight?,
            standard_weight: standard_weight?,
        })
    }

    fn store(&mut self) -> Option<StoreSettings> {
        let is_mysql = self.choice("store.adapter", &[("memory", false), ("mysql", true)]);
        let mysql = self.mysql(is_mysql == Some(true));
        let seed_demo = self.choice("store.seed_demo", &YES_OR_NO);
        Some(StoreSettings {
            adapter: if is_mysql? {
                StoreAdapter::MySql(mysql?)
            } else {
                StoreAdapter::Memory
            },
            seed_demo: seed_demo?,
        })
    }

    fn rabbitmq(&mut self, is_used: bool) -> Option<RabbitMqSettings> {
        let urls = self.urls("rabbitmq.url", "rabbitmq.urls", is_used, server_urls::amqp);
        let prefix = self.take("rabbitmq.prefix", |text| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            if text.len() <= MAX_PREFIX_LENGTH && text.chars().all(is_plain) {
                Ok(text.to_owned())
            } else {
                Err(format!(
                    "must be at most {MAX_PREFIX_LENGTH} characters of A-Za-z0-9._-"
                ))
            }
        });
        let management_urls = self.take("rabbitmq.management_urls", |text| {
            if text.is_empty() {
                Ok(Vec::new())
            } else {
                several_urls(text, server_urls::management)
            }
        });
        Some(RabbitMqSettings {
            urls: urls?,
            management_urls: management_urls?,
            prefix: prefix?,
        })
    }

    /// Several URLs with a comma between two of them, or one by the short form.
    fn urls(
        &mut self,
        one: &str,
        many: &str,
        is_used: bool,
        check: fn(&str) -> Result<String, String>,
    ) -> Option<Vec<SecretString>> {
        if !self.is_set(many) {
            return self.url(one, is_used, check).map(|url| vec![url]);
        }
        if self.is_set(one) {
            self.values.remove(one);
            self.fault(one, format_args!("is set beside {many}; set one of them"));
        }
        self.take(many, |text| several_urls(text, check))
    }

    fn mysql(&mut self, is_used: bool) -> Option<MySqlSettings> {
        let urls = self.urls("mysql.url", "mysql.urls", is_used, server_urls::mysql);
        // One for each purpose: claims, changes, what sells, what reads.
        let max_connections = self.number("mysql.max_connections", 4, 10_000);
        let user_directory_max = self.number("mysql.user_directory_max", 0, 1_000_000_000);
        let migrate_at_start = self.choice("mysql.migrate_at_start", &YES_OR_NO);
        Some(MySqlSettings {
            urls: urls?,
            max_connections: max_connections?,
            user_directory_max: user_directory_max?,
            migrate_at_start: migrate_at_start?,
        })
    }

    /// A URL that is needed only if its adapter is used. The adapter reads it.
    fn url(
        &mut self,
        key: &str,
        is_used: bool,
        check: impl Fn(&str) -> Result<String, String>,
    ) -> Option<SecretString> {
        if !self.is_set(key) && !is_used {
            return None;
        }
        self.take(key, |text| check(text).map(SecretString::from))
    }

    fn worker(&mut self) -> Option<WorkerSettings> {
        let batch_max = self.number("worker.batch_max", 1, 10_000);
        let hold_sweep_interval = self.duration_ms("worker.hold_sweep_interval_ms", 10);
        Some(WorkerSettings {
            batch_max: batch_max?,
            hold_sweep_interval: hold_sweep_interval?,
        })
    }

    fn tickets(&mut self, secrets_required: bool) -> Option<TicketSettings> {
        let key = "tickets.id_secrets";
        let id_secrets = if self.is_set(key) || secrets_required {
            self.take(key, id_secrets)
        } else {
            Some(Vec::new())
        };
        let sold_out_gate = self.choice("tickets.sold_out_gate", &YES_OR_NO);
        let max_quantity = self
            .number("tickets.max_quantity", 1, 10_000)
            .and_then(Quantity::new);
        Some(TicketSettings {
            id_secrets: id_secrets?,
            max_quantity: max_quantity?,
            sold_out_gate: sold_out_gate?,
        })
    }

    fn live(&mut self) -> Option<LiveSettings> {
        let max_connections = self.number("live.max_connections", 1, 1_000_000);
        let max_subscriptions = self.number("live.max_subscriptions", 1, 10_000);
        let outgoing_buffer = self.number("live.outgoing_buffer", 2, 100_000);
        let heartbeat = self.number("live.heartbeat_seconds", 1_u64, 3_600);
        let line_interval = self.duration_ms("live.line_interval_ms", 50);
        let stalled_after = self.duration_ms("live.stalled_after_ms", 100);
        if let (Some(subscriptions), Some(buffer)) = (max_subscriptions, outgoing_buffer)
            && buffer <= subscriptions
        {
            self.fault(
                "live.outgoing_buffer",
                "must be more than live.max_subscriptions: \
                 every subscription is answered with the state",
            );
        }
        Some(LiveSettings {
            max_connections: max_connections?,
            max_subscriptions: max_subscriptions?,
            outgoing_buffer: outgoing_buffer?,
            heartbeat: Duration::from_secs(heartbeat?),
            line_interval: line_interval?,
            stalled_after: stalled_after?,
        })
    }

    fn admin_token(&mut self, required: bool) -> Option<SecretString> {
        let key = "admin.token";
        if self.is_set(key) || required {
            self.take(key, bearer_token)
        } else {
            None
        }
    }
}

const YES_OR_NO: [(&str, bool); 2] = [("true", true), ("false", false)];
/// Queue names have at most 255 bytes.
const MAX_PREFIX_LENGTH: usize = 64;
const MAX_WEIGHT: NonZeroU32 = NonZeroU32::new(1_000).unwrap();

/// A secret twice is one that was to be another.
fn id_secrets(text: &str) -> Result<Vec<SecretString>, String> {
    let secrets: Vec<_> = text.split(',').map(str::trim).collect();
    let distinct: BTreeSet<_> = secrets.iter().collect();
    if distinct.len() < secrets.len() {
        return Err("has the same secret twice; give each once".to_owned());
    }
    secrets.into_iter().map(long_enough).collect()
}

/// What `Authorization: Bearer …` can carry.
fn bearer_token(token: &str) -> Result<SecretString, String> {
    if !token.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err("must be visible ASCII characters: no header could carry others".to_owned());
    }
    long_enough(token)
}

fn long_enough(secret: &str) -> Result<SecretString, String> {
    if secret.len() < MIN_SECRET_LENGTH {
        return Err(format!(
            "every secret needs at least {MIN_SECRET_LENGTH} bytes; `openssl rand -hex 32` makes one"
        ));
    }
    Ok(SecretString::from(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(variables: &[(&str, &str)]) -> Result<Settings, ConfigurationFaults> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Settings::load(&directory, variables)
    }

    #[test]
    fn development_needs_nothing() {
        let settings = load(&[]).unwrap();
        assert_eq!(settings.server.port, 3001);
        assert!(settings.store.seed_demo);
        assert!(settings.tickets.id_secrets.is_empty() && settings.admin_token.is_none());
    }

    #[test]
    fn production_needs_its_secrets() {
        let faults = load(&[("APP_ENV", "production")]).unwrap_err().to_string();
        assert!(faults.contains("4 fault(s)"), "{faults}");
        for name in [
            "TICKETS__ID_SECRETS",
            "ADMIN__TOKEN",
            "RABBITMQ__URL",
            "MYSQL__URL",
        ] {
            assert!(faults.contains(&format!("APP__{name}")), "{faults}");
        }
        let settings = load(&[
            ("APP_ENV", "production"),
            (
                "APP__TICKETS__ID_SECRETS",
                "0123456789abcdef,fedcba9876543210",
            ),
            ("APP__ADMIN__TOKEN", "0123456789abcdef"),
            ("APP__RABBITMQ__URL", "amqp://u:0123456789abcdef@mq"),
            ("APP__MYSQL__URL", "mysql://u:0123456789abcdef@db/tickets"),
        ])
        .unwrap();
        assert_eq!(settings.queue.adapter.name(), "rabbitmq");
        assert_eq!(settings.store.adapter.name(), "mysql");
        assert_eq!(settings.tickets.id_secrets.len(), 2);
        assert!(!settings.store.seed_demo);
        assert!(!format!("{settings:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn the_broker_may_have_one_address_or_several() {
        use secrecy::ExposeSecret as _;

        let urls = |variables: &[(&str, &str)]| {
            let rabbitmq = [&[("APP__QUEUE__ADAPTER", "rabbitmq")], variables].concat();
            load(&rabbitmq).map(|settings| match settings.queue.adapter {
                QueueAdapter::RabbitMq(rabbitmq) => {
                    let urls = rabbitmq.urls.iter();
                    urls.map(|url| url.expose_secret().to_owned()).collect()
                }
                QueueAdapter::Memory => Vec::new(),
            })
        };
        let one = ("APP__RABBITMQ__URL", "amqp://a");
        assert_eq!(urls(&[one]).unwrap(), ["amqp://a"]);
        let many = ("APP__RABBITMQ__URLS", "amqp://a, amqp://b");
        assert_eq!(urls(&[many]).unwrap(), ["amqp://a", "amqp://b"]);
        let faults = |variables: &[_]| urls(variables).unwrap_err().to_string();
        assert!(faults(&[one, many]).contains("rabbitmq.url: is set beside rabbitmq.urls"));
        let gap = ("APP__RABBITMQ__URLS", "amqp://u:hunter2@a,,amqp://b");
        assert!(faults(&[gap]).contains("rabbitmq.urls: must be URLs"));
        assert!(!faults(&[gap]).contains("hunter2"));
        assert!(faults(&[]).contains("rabbitmq.url: is missing"));
    }

    #[test]
    fn the_database_may_have_one_address_or_several() {
        use secrecy::ExposeSecret as _;

        let mysql = ("APP__STORE__ADAPTER", "mysql");
        let urls = |variables: &[(&str, &str)]| {
            let all = [&[mysql], variables].concat();
            load(&all).map(|settings| match settings.store.adapter {
                StoreAdapter::MySql(mysql) => {
                    let urls = mysql.urls.iter();
                    urls.map(|url| url.expose_secret().to_owned()).collect()
                }
                StoreAdapter::Memory => Vec::new(),
            })
        };
        let one = ("APP__MYSQL__URL", "mysql://a/t");
        assert_eq!(urls(&[one]).unwrap(), ["mysql://a/t"]);
        let many = ("APP__MYSQL__URLS", "mysql://a/t, mysql://b/t");
        assert_eq!(urls(&[many]).unwrap(), ["mysql://a/t", "mysql://b/t"]);
        let faults = urls(&[one, many]).unwrap_err().to_string();
        assert!(
            faults.contains("mysql.url: is set beside mysql.urls"),
            "{faults}"
        );
        let few = ("APP__MYSQL__MAX_CONNECTIONS", "3");
        let faults = urls(&[one, few]).unwrap_err().to_string();
        assert!(faults.contains("from 4 to"), "{faults}");
    }

    #[test]
    fn variables_override_files() {
        let settings = load(&[("APP__SERVER__PORT", "0"), ("APP__QUEUE__LANES", "7")]).unwrap();
        assert_eq!(settings.server.port, 0);
        assert_eq!(settings.queue.lanes.count(), 7);
    }

    #[test]
    fn every_fault_is_listed_with_its_setting() {
        let faults = load(&[
            ("APP__SERVER__PORT", "70000"),
            ("APP__SERVER__HOST", "localhost"),
            ("APP__QUEUE__ADAPTER", "kafka"),
            ("APP__QUEUE__LANES", "65"),
            ("APP__WORKER__BATCH_MAX", "0"),
            ("APP__ADMIN__TOKEN", "hunter2"),
            ("APP__SERVER__PROT", "1"),
            ("APP__LOG__LEVEL", "=="),
            ("APP__STORE__ADAPTER", "mysql"),
            ("APP__RABBITMQ__PREFIX", "a b"),
            ("APP__LIVE__MAX_SUBSCRIPTIONS", "256"),
            ("APP__LIVE__HEARTBEAT_SECONDS", "0"),
        ])
        .unwrap_err()
        .to_string();
        for key in [
            "server.port:",
            "server.host:",
            "queue.adapter:",
            "queue.lanes:",
            "worker.batch_max:",
            "admin.token:",
            "server.prot:",
            "log.level:",
            "mysql.url:",
            "rabbitmq.prefix:",
            "live.outgoing_buffer:",
            "live.heartbeat_seconds:",
        ] {
            assert!(faults.contains(key), "{key} in {faults}");
        }
        assert!(faults.contains("12 fault(s)"), "{faults}");
        assert!(!faults.contains("hunter2"), "{faults}");
    }

    #[test]
    fn a_name_with_an_underscore_too_few_is_refused_with_the_right_one() {
        let faults = load(&[
            ("APP_QUEUE__LANES", "7"),
            ("APP_ADMIN_TOKEN", "0123456789abcdef"),
            ("APP_RABBITMQ_URLS", "amqp://a"),
            ("APP__MYSQL_URL", "mysql://u:p@db/tickets"),
            ("APP__SERVER__PROT", "1"),
        ])
        .unwrap_err()
        .to_string();
        for fault in [
            "APP_QUEUE__LANES: is not a setting; did you mean APP__QUEUE__LANES?",
            "APP_ADMIN_TOKEN: is not a setting; did you mean APP__ADMIN__TOKEN?",
            "APP_RABBITMQ_URLS: is not a setting; did you mean APP__RABBITMQ__URLS?",
            "mysql_url: is not a setting; did you mean mysql.url (APP__MYSQL__URL)?",
            "server.prot: is not a setting; remove it",
            "5 fault(s)",
        ] {
            assert!(faults.contains(fault), "{fault} in {faults}");
        }
        assert!(!faults.contains("0123456789abcdef"), "{faults}");
        // Others use the prefix, too.
        let settings = load(&[("APP_NAME", "shop"), ("APP_CONFIG_DIR", "x")]).unwrap();
        assert_eq!(settings.ignored_variables, ["APP_NAME"]);
        // Small letters mean the same, once.
        let small = ("app__queue__lanes", "7");
        assert_eq!(load(&[small]).unwrap().queue.lanes.count(), 7);
        let twice = load(&[small, ("APP__QUEUE__LANES", "8")]).unwrap_err();
        assert!(
            twice
                .to_string()
                .contains("APP__QUEUE__LANES: is set twice"),
            "{twice}"
        );
        let fault = load(&[("app_queue_lanes", "7")]).unwrap_err().to_string();
        assert!(fault.contains("did you mean APP__QUEUE__LANES?"), "{fault}");
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_no_text_is_named_without_its_value() {
        use std::os::unix::ffi::OsStringExt as _;

        let binary = || OsString::from_vec(b"hunter2\xff".to_vec());
        let read = |name: &str| variables_of([(name.into(), binary())]);
        let fault = read("APP__ADMIN__TOKEN").unwrap_err().to_string();
        assert!(
            fault.contains("APP__ADMIN__TOKEN: its value is not UTF-8"),
            "{fault}"
        );
        assert!(!fault.contains("hunter2"), "{fault}");
        read("APP_ENV").unwrap_err();
        for other in ["LS_COLORS", "APP_CONFIG_DIR"] {
            assert!(read(other).unwrap().is_empty());
        }
        let name = OsString::from_vec(b"LS_\xff".to_vec());
        assert!(variables_of([(name, binary())]).unwrap().is_empty());
        for name in ["APP_ENV", "app__queue__lanes"] {
            let text = variables_of([(name.into(), "moon".into())]).unwrap();
            assert_eq!(text[name], "moon");
        }
    }

    #[test]
    fn secrets_that_cannot_do_their_work_are_refused() {
        let fault = |name, value| load(&[(name, value)]).unwrap_err().to_string();
        for token in [
            "0123456789abcdeé",
            "0123456789\tabcdef",
            "0123456789\u{7f}abcdef",
        ] {
            let fault = fault("APP__ADMIN__TOKEN", token);
            assert!(
                fault.contains("admin.token: must be visible ASCII"),
                "{fault}"
            );
            assert!(!fault.contains("0123456789"), "{fault}");
        }
        let twice = fault(
            "APP__TICKETS__ID_SECRETS",
            "0123456789abcdef,fedcba9876543210, 0123456789abcdef",
        );
        assert!(
            twice.contains("tickets.id_secrets: has the same secret twice"),
            "{twice}"
        );
        assert!(!twice.contains("0123456789"), "{twice}");
    }

    #[test]
    fn urls_that_lead_elsewhere_are_refused_with_their_setting() {
        let faults = load(&[
            (
                "APP__MYSQL__URL",
                "mysql://u:hunter2@db/tickets?sslmod=REQUIRED",
            ),
            ("APP__RABBITMQ__URLS", "amqp://mq,amqp://u:hunter2@mq/"),
            ("APP__RABBITMQ__MANAGEMENT_URLS", "mq:15672"),
        ])
        .unwrap_err()
        .to_string();
        for fault in [
            "mysql.url: has a parameter",
            "rabbitmq.urls: URL 2 of 2 names the vhost",
            "rabbitmq.management_urls: begins otherwise",
        ] {
            assert!(faults.contains(fault), "{fault} in {faults}");
        }
        assert!(!faults.contains("hunter2"), "{faults}");
    }

    #[test]
    fn a_process_is_reached_where_it_listens() {
        for (host, reached) in [
            ("0.0.0.0", "127.0.0.1:3001"),
            ("127.0.0.2", "127.0.0.2:3001"),
            ("::", "[::1]:3001"),
            ("fd00::7", "[fd00::7]:3001"),
        ] {
            let settings = load(&[("APP__SERVER__HOST", host)]).unwrap();
            assert_eq!(settings.server.own_address().to_string(), reached);
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let faults = load(&[("APP_ENV", "moon")]).unwrap_err().to_string();
        assert!(faults.contains("moon.toml"), "{faults}");
    }
}
