//! The configuration: `base.toml`, then `{APP_ENV}.toml`, then `APP__SECTION__KEY`
//! variables, and for secrets files that variables name. Read and checked as a whole, so that every fault is listed at once.

mod admin;
mod auth;
mod cache;
mod cors;
mod limits;
mod live;
mod log;
mod memory;
mod metrics;
mod mysql;
mod queue;
mod rabbitmq;
mod reader;
mod redis;
mod secret_files;
mod server;
mod store;
#[cfg(test)]
mod tests;
mod tickets;
mod tls;
mod tracing;
mod urls;
mod worker;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use ::worker::WorkerSettings;
use fields::{Fault, Faults, Fields, Place, Value};
use http_api::{ClientLimitSettings, LiveSettings};
use secrecy::SecretString;

pub use self::auth::{AuthSettings, JwtSettings, setting_of};
pub use self::cache::{CacheAdapter, CacheSettings};
pub use self::limits::LimitStore;
pub use self::log::{LogFormat, LogSettings, LoggedRequests};
pub use self::memory::MemorySettings;
pub use self::mysql::MySqlSettings;
pub use self::queue::{QueueChoice, QueueSettings};
pub use self::rabbitmq::RabbitMqSettings;
use self::reader::{like, millis, setting, variable};
pub use self::redis::RedisSettings;
pub use self::server::ServerSettings;
pub use self::store::{StoreChoice, StoreSettings};
pub use self::tickets::TicketSettings;
pub use self::tls::TlsSettings;
pub use self::tracing::TracingSettings;

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
    /// The name of the environment, from the variable `APP_ENV`.
    pub environment: String,
    /// `server.*`
    pub server: ServerSettings,
    /// The section `tls`; `None` if only plain HTTP is served.
    pub tls: Option<TlsSettings>,
    /// Whether the section has a certificate although only plain HTTP is served.
    pub has_unused_certificate: bool,
    /// `cors.allowed_origins`: the sites whose pages may ask.
    pub allowed_origins: Vec<String>,
    /// The section `log`.
    pub log: LogSettings,
    /// `metrics.*`: where metrics are read, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// `tracing.*`, if traces are made.
    pub tracing: Option<TracingSettings>,
    /// `queue.*`
    pub queue: QueueSettings,
    /// The section `store`.
    pub store: StoreSettings,
    /// `worker.*`
    pub worker: WorkerSettings,
    /// The section `tickets`.
    pub tickets: TicketSettings,
    /// `limits.*`
    pub limits: ClientLimitSettings,
    /// `limits.store`
    pub limit_store: LimitStore,
    /// `cache.*`
    pub cache: CacheSettings,
    /// `redis.*`, if anything is kept there.
    pub redis: Option<RedisSettings>,
    /// `live.*`
    pub live: LiveSettings,
    /// `live.stalled_after_ms`: a waiting line that does not move for so long is called stalled.
    pub stalled_after: Duration,
    /// `admin.token`; administration is open to everybody without it.
    pub admin_token: Option<SecretString>,
    /// `auth.*`
    pub auth: AuthSettings,
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

impl From<Faults> for ConfigurationFaults {
    fn from(faults: Faults) -> Self {
        Self(faults.told.iter().map(ToString::to_string).collect())
    }
}

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
        let is_ours = start.is_some_and(|start| start.eq_ignore_ascii_case(PREFIX.as_bytes()))
            || tracing::STANDARD.iter().any(|standard| name == *standard);
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
        let sources = Sources::of(directory, variables)?;
        let (environment, strays) = (sources.environment, sources.strays);
        let settings = fields::read(sources.values, sources.faults, |fields| {
            read(fields, environment, strays)
        });
        settings.map_err(|mut faults| {
            // One whose file cannot be read is not missing as well.
            let mut told = BTreeSet::new();
            faults.told.retain(|Fault { place, .. }| {
                !sources.unread.contains(&&**place) || told.insert(place.clone())
            });
            faults.into()
        })
    }
}

/// What the files and the variables say, unread.
struct Sources {
    environment: String,
    values: Value<'static>,
    /// Names of variables that are no settings.
    strays: BTreeSet<String>,
    /// Settings whose files cannot be used.
    unread: Vec<&'static str>,
    faults: Faults,
}

impl Sources {
    fn of(
        directory: &Path,
        variables: HashMap<String, String>,
    ) -> Result<Self, ConfigurationFaults> {
        let environment = variables
            .get(ENVIRONMENT)
            .map_or(DEVELOPMENT, String::as_str)
            .to_owned();
        let file = |name: &str| config::File::from(directory.join(format!("{name}.toml")));
        let mut faults = Faults::new(usize::MAX, fields::dotted);
        let mut strays = BTreeSet::new();
        let mut settings = HashMap::new();
        let standard = variables.clone();
        // In sequence: the same environment has the same faults each time.
        for (name, value) in variables.into_iter().collect::<BTreeMap<_, _>>() {
            let written = name.to_uppercase();
            if is_stray(&name) {
                strays.insert(name);
            } else if settings.insert(written.clone(), value).is_some() {
                let place = Place::Field(&Place::Document, &written);
                faults.note(place, "is set twice, in capitals and in small letters");
            }
        }
        tracing::set_by_standard(&standard, &mut settings);
        let unread = secret_files::read(&mut settings, &mut faults);
        for (name, above) in below_others(&settings) {
            let place = Place::Field(&Place::Document, &name);
            faults.note(
                place,
                format_args!("is set beside {above}; remove one of them"),
            );
            settings.remove(&name);
        }
        let variables = config::Environment::with_prefix("APP")
            .prefix_separator("__")
            .separator("__")
            .source(Some(settings));
        let tree: Value<'_> = config::Config::builder()
            .add_source(file("base"))
            .add_source(file(&environment))
            .add_source(variables)
            .build()
            .and_then(config::Config::try_deserialize)
            .map_err(|error| {
                // The parser goes on with the line itself, which may have a secret.
                let error = error.to_string();
                let what = error.lines().next().unwrap_or_default();
                ConfigurationFaults(vec![format!(
                    "{what} (APP_ENV is {environment}, APP_CONFIG_DIR is {})",
                    directory.display()
                )])
            })?;
        let mut values = BTreeMap::new();
        flatten("", tree, &mut values);
        let values = values.into_iter().map(|(key, value)| (key.into(), value));
        Ok(Self {
            environment,
            values: Value::Table(values.collect()),
            strays,
            unread,
            faults,
        })
    }
}

/// Variables that would be a part of what another one sets, and that other one: a setting has no
/// parts.
fn below_others(settings: &HashMap<String, String>) -> BTreeMap<String, String> {
    let above = |name: &String| {
        let mut above = name.match_indices("__").map(|(at, _)| &name[..at]);
        above
            .find(|above| settings.contains_key(*above))
            .map(str::to_owned)
    };
    let names = settings.keys();
    names
        .filter_map(|name| Some((name.clone(), above(name)?)))
        .collect()
}

/// Whether the name looks like a setting's and is none, which is seen when all are known.
fn is_stray(name: &str) -> bool {
    let written = name.to_uppercase();
    let rest = written.strip_prefix(PREFIX);
    rest.is_some_and(|rest| !rest.starts_with('_')) && ![ENVIRONMENT, CONFIG_DIR].contains(&name)
}

fn read(
    fields: &mut Fields<'_, '_>,
    environment: String,
    strays: BTreeSet<String>,
) -> Option<Settings> {
    let server = server::read(fields);
    let tls = tls::read(fields, server.as_ref().map(|server| server.port));
    let https = tls.as_ref().and_then(|(tls, _)| tls.as_ref());
    let metrics = metrics::read(fields, server.as_ref(), https);
    let tracing = tracing::read(fields);
    let allowed_origins = cors::read(fields);
    let log = log::read(fields);
    let queue = queue::read(fields);
    let store = store::read(fields);
    let worker = worker::read(fields);
    // Whoever forgets APP_ENV has development's defaults: only what is in memory, and so gone with
    // the process, needs no protection.
    let queue_is_shared = |queue: &QueueSettings| !matches!(queue.adapter, QueueChoice::Memory(_));
    let store_is_shared = |store: &StoreSettings| !matches!(store.adapter, StoreChoice::Memory(_));
    let secrets_needed = environment != DEVELOPMENT
        || queue.as_ref().is_some_and(queue_is_shared)
        || store.as_ref().is_some_and(store_is_shared);
    let auth = auth::read(fields, secrets_needed);
    let has_tokens = matches!(auth, Some(AuthSettings::Jwt(_)));
    let tickets = tickets::read(fields, secrets_needed || has_tokens);
    let limit_store = limits::store(fields);
    let limits = limits::read(fields);
    let cache_adapter = cache::adapter(fields);
    let cache = cache::read(fields, cache_adapter);
    let redis_is_used =
        limit_store == Some(LimitStore::Redis) || cache_adapter == Some(CacheAdapter::Redis);
    let redis = redis::read(fields, redis_is_used);
    let live = live::read(fields);
    let admin_token = admin::read(fields, secrets_needed);
    let max_clock_skew = setting(fields, "clock.max_skew_ms", millis(1));
    let known = fields.known().to_vec();
    fields.each(|key, mut unknown| -> Option<()> {
        unknown.fault(no_setting(key, &known));
        None
    });
    let mut ignored_variables = Vec::new();
    for name in strays {
        match like(&name[PREFIX.len()..], &known) {
            Some(right) => {
                let right = variable(right);
                let what = format!("is not a setting; did you mean {right}?");
                fields.fault(&name, what);
            }
            // Others use the prefix, too.
            None => ignored_variables.push(name),
        }
    }
    let (live, stalled_after) = live?;
    let (tls, has_unused_certificate) = tls?;
    Some(Settings {
        environment,
        server: server?,
        tls,
        has_unused_certificate,
        allowed_origins: allowed_origins?,
        log: log?,
        metrics: metrics?,
        tracing: tracing?,
        queue: queue?,
        store: store?,
        worker: worker?,
        tickets: tickets?,
        limits: limits?,
        limit_store: limit_store?,
        cache: cache?,
        redis: redis?,
        live,
        stalled_after,
        admin_token: admin_token?,
        auth: auth?,
        max_clock_skew: max_clock_skew?,
        ignored_variables,
    })
}

/// What is wrong with a key that is none of those that are `known`, and which was meant.
fn no_setting(key: &str, known: &[&'static str]) -> String {
    if let Some(right) = like(key, known) {
        let variable = variable(right);
        return format!("is not a setting; did you mean {right} ({variable})?");
    }
    let of_file = key
        .strip_suffix(".file")
        .and_then(secret_files::variable_of_file);
    if let Some(variable) = of_file {
        return format!("is not a setting; did you mean {variable}?");
    }
    let section = key.split_inclusive('.').next().unwrap_or(key);
    let others = known.iter().copied();
    let others: Vec<_> = others.filter(|other| other.starts_with(section)).collect();
    if others.is_empty() {
        return "is not a setting; remove it".to_owned();
    }
    let others = others.join(", ");
    format!("is not a setting; remove it, or name one of {others}")
}

/// `{"a": {"b": 1}}` becomes `a.b = 1`; a list of texts becomes one text, with commas. A text may
/// be a variable's, which stands for any type.
fn flatten(key: &str, value: Value<'static>, into: &mut BTreeMap<String, Value<'static>>) {
    let is_text = |item: &Value<'_>| matches!(item, Value::Text(_));
    let fields = match value {
        Value::Table(fields) => fields,
        Value::Text(text) => {
            into.insert(key.to_owned(), Value::Bare(text.trim().to_owned().into()));
            return;
        }
        Value::List(items) if items.iter().all(is_text) => {
            let text = Value::List(items).to_string();
            into.insert(key.to_owned(), Value::Text(text.into()));
            return;
        }
        other => {
            into.insert(key.to_owned(), other);
            return;
        }
    };
    for (name, value) in fields {
        if key.is_empty() {
            flatten(&name, value, into);
        } else {
            flatten(&format!("{key}.{name}"), value, into);
        }
    }
}
