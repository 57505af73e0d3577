//! What the URLs of servers may look like. The drivers read them; what a driver would take for
//! something else, or for nothing, is refused here: a URL leads where it says.
//!
//! No message repeats a URL, which holds a password.

use std::collections::BTreeSet;
use std::str::FromStr;

use url::Url;

/// What a driver reads of a query.
type Parameters = &'static [&'static str];

/// Of `sqlx`, which takes no word of any other; character set and time zone are the adapter's own.
const MYSQL_PARAMETERS: Parameters = &[
    "ssl-mode", "ssl-ca", "ssl-cert", "ssl-key", "sslmode", "sslca", "sslcert", "sslkey", "socket",
];
/// Of `lapin`; the heartbeat is the adapter's own.
const AMQP_PARAMETERS: Parameters = &[
    "frame_max",
    "channel_max",
    "connection_timeout",
    "auth_mechanism",
];

/// As `sqlx` reads them, in either case.
const SSL_MODES: Parameters = &[
    "DISABLED",
    "PREFERRED",
    "REQUIRED",
    "VERIFY_CA",
    "VERIFY_IDENTITY",
];
/// As `lapin` reads them, in either case.
const SASL_MECHANISMS: Parameters = &["plain", "amqplain", "external", "anonymous"];
const NUMBER: &str = "a whole number that is not too large";

/// `mysql://user:password@host:3306/database`; a slash at its end is left out.
///
/// # Errors
/// What is wrong and what to write instead.
pub(crate) fn mysql(text: &str) -> Result<String, String> {
    const LIKE: &str = "mysql://user:password@host:3306/database";
    let url = parsed(text, &["mysql", "mariadb"], LIKE)?;
    known_parameters(&url, MYSQL_PARAMETERS)?;
    for name in ["ssl-mode", "sslmode"] {
        parameter(&url, name, is_one_of(SSL_MODES), &SSL_MODES.join(", "))?;
    }
    let database = url.path().trim_matches('/');
    if database.is_empty() {
        return Err(format!("names no database; it must be like {LIKE}"));
    }
    if database.contains(['/', '@']) {
        return Err(format!(
            "names a database with / or @ in it: in a user or password / is written %2f and @ \
             %40; it must be like {LIKE}"
        ));
    }
    if url.path().ends_with('/') {
        let mut url = url.clone();
        url.set_path(database);
        return Ok(url.into());
    }
    Ok(text.to_owned())
}

/// `amqp://user:password@host:5672/vhost`.
///
/// # Errors
/// Like [`mysql`].
pub(crate) fn amqp(text: &str) -> Result<String, String> {
    const LIKE: &str = "amqp://user:password@host:5672/vhost, or amqps://… for TLS";
    let url = parsed(text, &["amqp", "amqps"], LIKE)?;
    known_parameters(&url, AMQP_PARAMETERS)?;
    parameter(&url, "frame_max", is_number::<u32>, NUMBER)?;
    parameter(&url, "channel_max", is_number::<u16>, NUMBER)?;
    parameter(&url, "connection_timeout", is_number::<u64>, NUMBER)?;
    let mechanisms = SASL_MECHANISMS.join(", ");
    parameter(
        &url,
        "auth_mechanism",
        is_one_of(SASL_MECHANISMS),
        &mechanisms,
    )?;
    match url.path() {
        // The vhost / is meant by none, and by // out of habit.
        "" | "//" => Ok(text.to_owned()),
        "/" => Err(
            "names the vhost with the empty name: leave out the / at the end for the vhost \
             called /, or write %2f behind it"
                .to_owned(),
        ),
        path if path.get(1..).is_some_and(|vhost| vhost.contains('/')) => Err(format!(
            "names a vhost with / in it, which is written %2f; it must be like {LIKE}"
        )),
        _ => Ok(text.to_owned()),
    }
}

/// `http://user:password@host:15672`.
///
/// # Errors
/// Like [`mysql`].
pub(crate) fn management(text: &str) -> Result<String, String> {
    let url = parsed(text, &["http"], "http://user:password@host:15672")?;
    known_parameters(&url, &[])?;
    Ok(text.to_owned())
}

/// `http://collector:4318`, to which `path` is added if it has none.
///
/// # Errors
/// Like [`mysql`].
pub(crate) fn collector(text: &str, path: &str) -> Result<String, String> {
    let mut url = parsed(text, &["http"], "http://collector:4318")?;
    known_parameters(&url, &[])?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user, which would not be sent; set the variable \
            OTEL_EXPORTER_OTLP_HEADERS to the header that the collector wants"
            .to_owned());
    }
    if matches!(url.path(), "" | "/") {
        url.set_path(path);
    }
    Ok(url.into())
}

/// `redis://user:password@host:6379/0`.
///
/// # Errors
/// Like [`mysql`].
pub(crate) fn redis(text: &str) -> Result<String, String> {
    const LIKE: &str = "redis://user:password@host:6379/0, or rediss://… for TLS";
    let url = parsed(text, &["redis", "rediss"], LIKE)?;
    known_parameters(&url, &[])?;
    let database = url.path().trim_matches('/');
    if database.is_empty() || is_number::<u16>(database) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "names a database that is not a number; it must be like {LIKE}"
        ))
    }
}

fn parsed(text: &str, schemes: &[&str], like: &str) -> Result<Url, String> {
    let wrong = |what: &str| Err(format!("{what}; it must be like {like}"));
    if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return wrong("has a space or a control character in it: write it as %20 and the like");
    }
    let Ok(url) = Url::parse(text) else {
        return wrong(
            "is not a URL: in a user or password : is written %3a, / %2f, @ %40, # %23, ? %3f, \
             % %25 and a comma %2c",
        );
    };
    if !schemes.contains(&url.scheme()) {
        return wrong("begins otherwise");
    }
    match url.host_str() {
        None | Some("") => return wrong("names no host"),
        Some(host) if host.contains('%') => return wrong("has a host with % in it"),
        Some(_) => {}
    }
    if url.port() == Some(0) {
        return wrong("names port 0");
    }
    if url.fragment().is_some() {
        return wrong("has a # in it, which is written %23");
    }
    Ok(url)
}

/// Refuses a value that the driver would refuse, without its name or for the whole URL.
fn parameter(
    url: &Url,
    name: &str,
    is_right: impl Fn(&str) -> bool,
    values: &str,
) -> Result<(), String> {
    let mut values_given = url.query_pairs().filter(|(given, _)| given == name);
    if values_given.any(|(_, value)| !is_right(&value)) {
        return Err(format!("has the parameter {name}, which must be {values}"));
    }
    Ok(())
}

fn is_one_of(choices: Parameters) -> impl Fn(&str) -> bool {
    |value| choices.iter().any(|one| one.eq_ignore_ascii_case(value))
}

fn is_number<T: FromStr>(value: &str) -> bool {
    T::from_str(value).is_ok()
}

fn known_parameters(url: &Url, known: Parameters) -> Result<(), String> {
    // The driver takes `ssl-mode` and `sslmode` for the same.
    let plain = |name: &str| name.replace('-', "");
    let mut given = BTreeSet::new();
    let mut names = url.query_pairs().map(|(name, _)| name);
    let twice = names.find(|name| known.contains(&&**name) && !given.insert(plain(name)));
    if let Some(name) = twice {
        return Err(format!("has the parameter {name} twice; leave one out"));
    }
    match url
        .query_pairs()
        .find(|(name, _)| !known.contains(&&**name))
    {
        None => Ok(()),
        Some(_) if known.is_empty() => Err(
            "has a ? in it, and takes no parameters; in a password it is written %3f".to_owned(),
        ),
        // Its name could be part of a password.
        Some(_) => Err(format!(
            "has a parameter that has no effect: behind ? may be {}; in a password ? is written %3f",
            known.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(check: fn(&str) -> Result<String, String>, text: &str, word: &str) {
        let fault = check(text).unwrap_err();
        assert!(fault.contains(word), "{text}: {fault}");
        assert!(!fault.contains("hunter"), "{text}: {fault}");
    }

    #[test]
    fn a_database_is_named_as_the_driver_reads_it() {
        for text in [
            "mysql://u:hunter2@db/tickets",
            "mariadb://u:hunter2@db.example:3306/tickets",
            "mysql://u%40x:hunter%2f%3a%40%24@127.0.0.1:1/tickets?ssl-mode=REQUIRED&ssl-ca=/a/b.pem",
            "mysql://u:p$w@db/%74ickets",
            "mysql://u:p@db/tickets?sslmode=verify_ca",
        ] {
            assert_eq!(mysql(text).as_deref(), Ok(text));
        }
        for (text, same) in [
            ("mysql://u:p%2f@db/tickets/", "mysql://u:p%2f@db/tickets"),
            (
                "mysql://u:p@db/tickets/?ssl-ca=x",
                "mysql://u:p@db/tickets?ssl-ca=x",
            ),
        ] {
            assert_eq!(mysql(text).as_deref(), Ok(same));
        }
        for (text, word) in [
            ("postgres://u:hunter2@db/tickets", "begins otherwise"),
            ("u:hunter2@db/tickets", "begins otherwise"),
            ("hunter2", "is not a URL"),
            ("mysql://u:hunter#2@db/tickets", "%23"),
            ("mysql://u:hun ter@db/tickets", "%20"),
            ("mysql://u:p@db/tickets#hunter", "%23"),
            ("mysql:///tickets", "no host"),
            ("mysql://u:hunter2@db:0/tickets", "port 0"),
            ("mysql://u:hunter2@db", "no database"),
            ("mysql://u:hunter2@db/", "no database"),
            ("mysql://u:12/hunter@db/tickets", "%2f"),
            ("mysql://u:12?hunter@db/tickets", "%3f"),
            ("mysql://u:hunter2@db/a/b", "with / or @"),
            ("mysql://u:hunter2@db/tickets?charset=latin1", "no effect"),
            ("mysql://u:hunter2@a%2db/tickets", "host with %"),
            ("mysql://u:hunter2@db/tickets?sslMode=REQUIRED", "ssl-mode"),
            (
                "mysql://u:hunter2@db/tickets?ssl-mode=hunter",
                "ssl-mode, which must be DISABLED, PREFERRED, REQUIRED, VERIFY_CA, VERIFY_IDENTITY",
            ),
            ("mysql://u:hunter2@db/tickets?sslmode=", "sslmode, which"),
            (
                "mysql://u:hunter2@db/tickets?ssl-mode=REQUIRED&ssl-mode=DISABLED",
                "ssl-mode twice",
            ),
            (
                "mysql://u:hunter2@db/tickets?ssl-mode=REQUIRED&sslmode=REQUIRED",
                "sslmode twice",
            ),
        ] {
            refused(mysql, text, word);
        }
    }

    #[test]
    fn a_vhost_is_named_as_the_driver_reads_it() {
        for text in [
            "amqp://mq",
            "amqps://u:p%2cq@mq.example:5671/sales?frame_max=8192",
            "amqp://u:p@[::1]:5672/%2f",
            "amqp://u:p@mq//",
        ] {
            assert_eq!(amqp(text).as_deref(), Ok(text));
        }
        for (text, word) in [
            ("amqp://u:hunter2@mq/", "empty name"),
            ("amqp://u:hunter2@mq/sales/", "%2f"),
            ("amqp://u:hunter2@mq/a/b", "%2f"),
            ("amqp:///sales", "no host"),
            ("http://u:hunter2@mq", "begins otherwise"),
            ("amqp://u:hunter2@mq?heartbeat=60", "frame_max"),
            ("amqps://u:hunter2@mq?cacertfile=a", "no effect"),
            ("amqp://u:hunter2@mq?frame_max=hunter", "frame_max, which"),
            (
                "amqp://u:hunter2@mq?channel_max=65536",
                "channel_max, which",
            ),
            (
                "amqp://u:hunter2@mq?auth_mechanism=hunter",
                "plain, amqplain",
            ),
            (
                "amqp://u:hunter2@mq?frame_max=1&frame_max=2",
                "frame_max twice",
            ),
        ] {
            refused(amqp, text, word);
        }
    }

    #[test]
    fn the_management_api_may_be_below_a_path() {
        for text in ["http://u:p%40@mq:15672", "http://[::1]:1/rabbit/"] {
            assert_eq!(management(text).as_deref(), Ok(text));
        }
        refused(management, "http://u:hunter2@mq?a=b", "%3f");
        refused(management, "https://u:hunter2@mq", "begins otherwise");
    }

    #[test]
    fn a_redis_is_named_as_the_driver_reads_it() {
        for text in [
            "redis://cache",
            "redis://:hunter2@cache:6379",
            "rediss://u%40x:hunter%2f%3a@[::1]:6379/15",
        ] {
            assert_eq!(redis(text).as_deref(), Ok(text));
        }
        for (text, word) in [
            ("amqp://u:hunter2@cache", "begins otherwise"),
            ("redis://u:hunter2@cache/tickets", "not a number"),
            (
                "redis://u:hunter2@cache?protocol=resp3",
                "takes no parameters",
            ),
            ("rediss://u:hunter2@cache/#insecure", "%23"),
        ] {
            refused(redis, text, word);
        }
    }
}
