//! `log.*`

use fields::{Fields, all, text, word};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use super::reader::setting;

/// What is logged and how.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// A filter such as `info` or `info,domain=debug`.
    pub level: String,
    /// Which requests have a line.
    pub requests: LoggedRequests,
    /// Text for people or JSON for machines.
    pub format: LogFormat,
}

/// Requests that have a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoggedRequests {
    /// None: metrics count them.
    Off,
    /// Those that were answered with a 5xx status.
    Failed,
    /// Each.
    All,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text.
    Text,
    /// One JSON object.
    Json,
}

pub(super) fn read(fields: &mut Fields<'_, '_>) -> Option<LogSettings> {
    let level = |text: &str| check_level(text).map(|()| text.to_owned());
    let requests = [
        ("off", LoggedRequests::Off),
        ("failed", LoggedRequests::Failed),
        ("all", LoggedRequests::All),
    ];
    let formats = word([("text", LogFormat::Text), ("json", LogFormat::Json)]);
    all!(LogSettings {
        level: setting(fields, "log.level", text(level)),
        requests: setting(fields, "log.requests", word(requests)),
        format: setting(fields, "log.format", formats),
    })
}

/// Whether `level` is a filter in which every level is one: the library takes any word for the
/// name of a target, and logs nothing but that.
///
/// # Errors
/// What is wrong, and what a filter looks like.
fn check_level(level: &str) -> Result<(), String> {
    const LIKE: &str = "give one of error, warn, info, debug, trace and off, or for parts of the \
        program too, such as info,worker=debug";
    let is_level = |name: &str| !name.is_empty() && name.parse::<LevelFilter>().is_ok();
    // Behind its name a target may have spans in brackets.
    let is_target = |target: &str| {
        let name = target.split('[').next().unwrap_or_default();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
        !target.is_empty() && name.chars().all(is_plain)
    };
    for part in level.split(',') {
        let is_known = match part.rsplit_once('=') {
            Some((target, name)) => is_target(target) && is_level(name),
            None => is_level(part),
        };
        if !is_known {
            return Err(format!("has a part that names no level; {LIKE}"));
        }
    }
    EnvFilter::try_new(level)
        .map(drop)
        .map_err(|_| format!("is not a filter; {LIKE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for level in [
            "info",
            "WARN",
            "off",
            "info,api=debug",
            "info,adapter_rabbitmq::link=trace",
            "warn,[order{id=7}]=debug",
        ] {
            assert_eq!(check_level(level), Ok(()), "{level}");
        }
        for level in [
            "",
            "warning",
            "verbose",
            "loud=",
            "=info",
            "api",
            "info,api=loud",
            "info,,api=debug",
            "info;api=debug",
            "[x",
        ] {
            let fault = check_level(level).unwrap_err();
            assert!(fault.contains("error, warn, info"), "{level}: {fault}");
            assert!(!fault.contains("loud"), "{level}: {fault}");
        }
    }
}
