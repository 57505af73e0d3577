//! The configuration: `base.toml`, then `{APP_ENV}.toml`, then `APP__SECTION__KEY`
//! variables. Read and checked as a whole, so that every fault is listed at once.

mod admin;
mod live;
mod log;
mod memory;
mod mysql;
mod queue;
mod rabbitmq;
mod reader;
mod server;
mod store;
#[cfg(test)]
mod tests;
mod tickets;
mod urls;
mod worker;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use ::worker::WorkerSettings;
use http_api::LiveSettings;
use secrecy::SecretString;
use serde_json::Value;

pub use self::log::{LogFormat, LogSettings};
pub use self::memory::MemorySettings;
pub use self::mysql::MySqlSettings;
pub use self::queue::QueueSettings;
pub use self::rabbitmq::RabbitMqSettings;
use self::reader::{Reader, variable};
pub use self::server::ServerSettings;
pub use self::store::StoreSettings;
pub use self::tickets::TicketSettings;

/// The environment that needs no secrets.
const DEVELOPMENT: &str = "development";
/// Of all variables that concern the process, in capitals or not.
const PREFIX: &str = "APP_";
/// Which file is read after `base.toml`.
const ENVIRONMENT: &str = "APP_ENV";
/// Where the files are; the command line reads it.
const CONFIG_DIR: &str = "APP_CONFIG_DIR";

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
    /// `live.stalled_after_ms`: a waiting line that does not move for so long is called stalled.
    pub stalled_after: Duration,
    /// `admin.token`; administration is open to everybody without it.
    pub admin_token: Option<SecretString>,
    /// `clock.max_skew_ms`: how far the store's clock may be off.
    pub max_clock_skew: Duration,
    /// Variables that begin with `APP_` and are no settings, nor like one.
    pub ignored_variables: Vec<String>,
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
        let (environment, reader) = reader(directory, variables)?;
        read(environment, reader)
    }
}

/// What the files of `directory` and the variables say, unread.
fn reader(
    directory: &Path,
    variables: HashMap<String, String>,
) -> Result<(String, Reader), ConfigurationFaults> {
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
    Ok((environment, reader))
}

/// Whether the name looks like a setting's and is none, which is seen when all are known.
fn is_stray(name: &str) -> bool {
    let written = name.to_uppercase();
    let rest = written.strip_prefix(PREFIX);
    rest.is_some_and(|rest| !rest.starts_with('_')) && ![ENVIRONMENT, CONFIG_DIR].contains(&name)
}

fn read(environment: String, mut reader: Reader) -> Result<Settings, ConfigurationFaults> {
    let secrets_required = environment != DEVELOPMENT;
    let server = server::read(&mut reader);
    let log = log::read(&mut reader);
    let queue = queue::read(&mut reader);
    let store = store::read(&mut reader);
    let worker = worker::read(&mut reader);
    let tickets = tickets::read(&mut reader, secrets_required);
    let live = live::read(&mut reader);
    let admin_token = admin::read(&mut reader, secrets_required);
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
        let (live, stalled_after) = live?;
        Some(Settings {
            environment,
            server: server?,
            log: log?,
            queue: queue?,
            store: store?,
            worker: worker?,
            tickets: tickets?,
            live,
            stalled_after,
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
