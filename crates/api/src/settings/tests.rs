use std::path::PathBuf;

use secrecy::ExposeSecret as _;

use super::*;

fn load(variables: &[(&str, &str)]) -> Result<Settings, ConfigurationFaults> {
    Settings::load(&directory(), owned(variables))
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

fn owned(variables: &[(&str, &str)]) -> HashMap<String, String> {
    let variables = variables.iter();
    variables
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
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
    assert!(faults.contains("5 fault(s)"), "{faults}");
    for name in [
        "TICKETS__ID_SECRETS",
        "ADMIN__TOKEN",
        "AUTH__MODE",
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
        ("APP__AUTH__MODE", "off"),
        ("APP__RABBITMQ__URL", "amqp://u:0123456789abcdef@mq"),
        ("APP__MYSQL__URL", "mysql://u:0123456789abcdef@db/tickets"),
    ])
    .unwrap();
    assert_eq!(settings.queue.adapter().name(), "rabbitmq");
    assert_eq!(settings.store.adapter().name(), "mysql");
    assert_eq!(settings.tickets.id_secrets.len(), 2);
    assert!(!settings.store.seed_demo);
    assert!(!format!("{settings:?}").contains("0123456789abcdef"));
}

/// The addresses that an adapter is given.
fn addresses<T>(
    variables: &[(&str, &str)],
    read: impl FnOnce(&mut Fields<'_, '_>) -> Option<T>,
    urls: impl FnOnce(T) -> Vec<SecretString>,
) -> Result<Vec<String>, String> {
    let sources = Sources::of(&directory(), owned(variables)).unwrap();
    let settings = fields::read(sources.values, sources.faults, |fields| {
        let settings = read(fields);
        fields.each(|_, _| Some(()));
        settings
    });
    let urls = urls(settings.map_err(|faults| ConfigurationFaults::from(faults).0.join("\n"))?);
    let urls = urls.iter().map(|url| url.expose_secret().to_owned());
    Ok(urls.collect())
}

#[test]
fn the_broker_may_have_one_address_or_several() {
    let urls = |variables: &[_]| {
        addresses(
            variables,
            |fields| rabbitmq::settings(fields, true),
            |it| it.urls,
        )
    };
    let one = ("APP__RABBITMQ__URL", "amqp://a");
    assert_eq!(urls(&[one]).unwrap(), ["amqp://a"]);
    let many = ("APP__RABBITMQ__URLS", "amqp://a, amqp://b");
    assert_eq!(urls(&[many]).unwrap(), ["amqp://a", "amqp://b"]);
    let faults = |variables: &[_]| urls(variables).unwrap_err();
    assert!(faults(&[one, many]).contains("rabbitmq.url: is set beside rabbitmq.urls"));
    let gap = ("APP__RABBITMQ__URLS", "amqp://u:hunter2@a,,amqp://b");
    assert!(faults(&[gap]).contains("rabbitmq.urls: must be URLs"));
    assert!(!faults(&[gap]).contains("hunter2"));
    assert!(faults(&[]).contains("rabbitmq.url: is missing"));
}

#[test]
fn the_database_may_have_one_address_or_several() {
    let urls = |variables: &[_]| {
        addresses(
            variables,
            |fields| mysql::settings(fields, true),
            |it| it.urls,
        )
    };
    let one = ("APP__MYSQL__URL", "mysql://a/t");
    assert_eq!(urls(&[one]).unwrap(), ["mysql://a/t"]);
    let many = ("APP__MYSQL__URLS", "mysql://a/t, mysql://b/t");
    assert_eq!(urls(&[many]).unwrap(), ["mysql://a/t", "mysql://b/t"]);
    let faults = urls(&[one, many]).unwrap_err();
    assert!(
        faults.contains("mysql.url: is set beside mysql.urls"),
        "{faults}"
    );
    let few = ("APP__MYSQL__MAX_CONNECTIONS", "3");
    let faults = urls(&[one, few]).unwrap_err();
    assert!(faults.contains("from 4 to"), "{faults}");
}

#[test]
fn metrics_are_read_where_they_should_or_nowhere() {
    let at = |port| load(&[("APP__METRICS__PORT", port)]).map(|settings| settings.metrics);
    assert_eq!(at("").unwrap(), None);
    let address = |port: u16| Some(std::net::SocketAddr::from(([127, 0, 0, 1], port)));
    assert_eq!(at("0").unwrap(), address(0));
    assert_eq!(at("9464").unwrap(), address(9464));
    for (port, what) in [
        (
            "70000",
            "metrics.port: must be a whole number from 0 to 65535, or empty for none",
        ),
        (
            "off",
            "metrics.port: must be a whole number from 0 to 65535, or empty for none",
        ),
        (
            "3001",
            "metrics.port: is server.port, too; set one of them to a free port",
        ),
    ] {
        let faults = at(port).unwrap_err().to_string();
        assert!(faults.contains(what), "{faults}");
    }
    let faults = load(&[("APP__METRICS__HOST", "localhost")]).unwrap_err();
    assert!(
        faults
            .to_string()
            .contains("metrics.host: must be an IP address")
    );
    // Where they are not read, their port is nobody's.
    let settings = load(&[("APP__METRICS__PORT", ""), ("APP__SERVER__PORT", "9464")]).unwrap();
    assert_eq!(settings.metrics, None);
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
        "server.prot: is not a setting; remove it, or name one of server.host, server.port, ",
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

/// Maps have another sequence each time.
#[test]
fn a_variable_below_another_is_refused_each_time() {
    for _ in 0..20 {
        let faults = load(&[
            ("APP__ADMIN__TOKEN", "0123456789abcdef"),
            ("APP__ADMIN__TOKEN__FILE", "/run/hunter2"),
            ("APP__QUEUE__LANES", "8"),
            ("app__queue__lanes__x", "1"),
            ("APP__SERVER", "x"),
            ("APP__SERVER__PORT", "0"),
            ("APP__WORKER__BATCH_MAX", "1"),
            ("app__worker__batch_max", "0"),
        ])
        .unwrap_err()
        .to_string();
        for fault in [
            "APP__ADMIN__TOKEN__FILE: is set beside APP__ADMIN__TOKEN; remove one of them",
            "APP__QUEUE__LANES__X: is set beside APP__QUEUE__LANES; remove one of them",
            "APP__SERVER__PORT: is set beside APP__SERVER; remove one of them",
            "APP__WORKER__BATCH_MAX: is set twice",
            "worker.batch_max: must be",
        ] {
            assert!(faults.contains(fault), "{fault} in {faults}");
        }
        assert!(!faults.contains("admin.token:"), "{faults}");
        assert!(!faults.contains("hunter2"), "{faults}");
    }
}

#[test]
fn a_file_says_a_number_as_a_number() {
    let faults = |text: &str| {
        let directory = tempfile::tempdir().unwrap();
        let base = std::fs::read_to_string(self::directory().join("base.toml")).unwrap();
        std::fs::write(directory.path().join("base.toml"), base).unwrap();
        std::fs::write(directory.path().join("moon.toml"), text).unwrap();
        let variables = owned(&[("APP_ENV", "moon")]);
        let faults = Settings::load(directory.path(), variables).unwrap_err();
        faults.to_string()
    };
    for value in ["5.0", "[5]", "[\"5\"]", "true"] {
        let faults = faults(&format!("queue.lanes = {value}"));
        assert!(
            faults.contains("queue.lanes: must be a whole number"),
            "{faults}"
        );
    }
    let faults = faults("rabbitmq.prefix = 5\nserver.host = [\"::1\", 5]\nstore.seed_demo = 1");
    for key in [
        "rabbitmq.prefix: must be a string",
        "server.host: must be",
        "store.seed_demo: must be true",
    ] {
        assert!(faults.contains(key), "{key} in {faults}");
    }
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
            fault.contains("admin.token: must be printable ASCII"),
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
fn a_url_that_is_named_twice_is_refused_with_its_setting() {
    let faults = load(&[
        (
            "APP__MYSQL__URLS",
            "mysql://u:hunter2@db/tickets,mysql://b/tickets,mysql://u:hunter2@db/tickets/",
        ),
        (
            "APP__RABBITMQ__URLS",
            "amqp://u:hunter2@mq, amqp://u:hunter2@mq",
        ),
    ])
    .unwrap_err()
    .to_string();
    for fault in [
        "mysql.urls: URL 3 of 3 is URL 1 again",
        "rabbitmq.urls: URL 2 of 2 is URL 1 again",
    ] {
        assert!(faults.contains(fault), "{fault} in {faults}");
    }
    assert!(!faults.contains("hunter2"), "{faults}");
}

#[test]
fn limits_are_rates_and_numbers_or_empty() {
    let settings = load(&[]).unwrap();
    let limits = settings.limits;
    let rates = [
        limits.orders_per_user,
        limits.orders_per_address,
        limits.requests_per_address,
    ];
    assert_eq!(rates, [None; 3]);
    let counts = (limits.connections_per_address, limits.streams_per_address);
    assert_eq!(counts, (None, None));
    // Guessing is slowed where nobody configured anything.
    assert!(limits.wrong_ids_per_address.is_some());
    let settings = load(&[
        ("APP__LIMITS__ORDERS_PER_USER", "5/s"),
        ("APP__LIMITS__WRONG_IDS_PER_ADDRESS", ""),
        ("APP__LIMITS__STREAMS_PER_ADDRESS", "20"),
        ("APP__SERVER__TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
    ])
    .unwrap();
    assert_eq!(
        settings.limits.orders_per_user,
        Some("5/s".parse().unwrap())
    );
    assert_eq!(settings.limits.wrong_ids_per_address, None);
    assert_eq!(settings.limits.streams_per_address, Some(20));
    let proxies = settings.server.trusted_proxies;
    assert!(proxies.contains("::1".parse().unwrap()));
    let faults = load(&[
        ("APP__LIMITS__ORDERS_PER_ADDRESS", "5/d"),
        ("APP__LIMITS__CONNECTIONS_PER_ADDRESS", "0"),
        ("APP__SERVER__TRUSTED_PROXIES", "proxy.internal"),
    ])
    .unwrap_err()
    .to_string();
    for fault in [
        "limits.orders_per_address: must be a number from 1 to 1000000 per s, m or h, such as \
         5/s, 100/m or 1000/h, or empty for no limit",
        "limits.connections_per_address: must be a whole number from 1 to 1000000, or empty",
        "server.trusted_proxies: has \"proxy.internal\", which is no network",
    ] {
        assert!(faults.contains(fault), "{fault} in {faults}");
    }
}

#[test]
fn a_cache_is_in_memory_unless_a_redis_is_named_for_it() {
    let settings = load(&[]).unwrap();
    assert_eq!(settings.cache.adapter, CacheAdapter::Memory);
    assert!(settings.redis.is_none());
    let shared = ("APP__CACHE__ADAPTER", "redis");
    let settings = load(&[shared, ("APP__REDIS__URL", "redis://cache")]).unwrap();
    assert_eq!(settings.cache.adapter, CacheAdapter::Redis);
    assert!(settings.redis.is_some());
    let wrong = [
        ("APP__CACHE__MAX_STALENESS_MS", "0"),
        ("APP__CACHE__TIMEOUT_MS", "501"),
    ];
    let faults = load(&[shared, wrong[0], wrong[1]]).unwrap_err().to_string();
    for fault in [
        "redis.url: is missing; set APP__REDIS__URL",
        "cache.max_staleness_ms: must be a whole number from 1 to 60000",
        "cache.timeout_ms: must be a whole number from 1 to 500",
    ] {
        assert!(faults.contains(fault), "{fault} in {faults}");
    }
    let faults = load(&[("APP__CACHE__ADAPTER", "disk")]).unwrap_err();
    assert!(
        faults.to_string().contains("cache.adapter: must be"),
        "{faults}"
    );
}

#[test]
fn a_process_is_reached_where_it_listens() {
    for (host, reached) in [
        ("0.0.0.0", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2"),
        ("::", "::1"),
        ("fd00::7", "fd00::7"),
    ] {
        let settings = load(&[("APP__SERVER__HOST", host)]).unwrap();
        assert_eq!(settings.server.own_host().to_string(), reached);
    }
}

#[test]
fn a_missing_file_is_named() {
    let faults = load(&[("APP_ENV", "moon")]).unwrap_err().to_string();
    assert!(faults.contains("moon.toml"), "{faults}");
}

#[test]
fn https_needs_its_files_and_nothing_while_it_is_off() {
    assert!(load(&[]).unwrap().tls.is_none());
    let faults = load(&[("APP__TLS__MODE", "required")])
        .unwrap_err()
        .to_string();
    for fault in [
        "tls.certificate_file: is empty, but tls.mode is not off; set APP__TLS__CERTIFICATE_FILE",
        "tls.key_file: is empty",
        "2 fault(s)",
    ] {
        assert!(faults.contains(fault), "{fault} in {faults}");
    }
    let files = [
        ("APP__TLS__CERTIFICATE_FILE", "/a.pem"),
        ("APP__TLS__KEY_FILE", "/b.pem"),
    ];
    assert!(load(&files).unwrap().has_unused_certificate);
    for (mode, required) in [("on", None), ("required", Some(0))] {
        let tls = load(&[&files[..], &[("APP__TLS__MODE", mode)]].concat());
        let tls = tls.unwrap().tls.unwrap();
        assert_eq!((tls.required, tls.port), (required, 3443));
        assert_eq!(tls.files.certificate, Path::new("/a.pem"));
        assert_eq!(tls.files.key, Path::new("/b.pem"));
    }
    let taken = [
        &files[..],
        &[("APP__TLS__MODE", "on"), ("APP__TLS__PORT", "3001")],
    ]
    .concat();
    let fault = load(&taken).unwrap_err().to_string();
    assert!(fault.contains("tls.port: is server.port, too"), "{fault}");
    assert!(load(&[("APP__TLS__PORT", "3001")]).is_ok());
    let fault = load(&[("APP__TLS__MODE", "yes")]).unwrap_err().to_string();
    assert!(fault.contains("tls.mode: must be"), "{fault}");
}

#[test]
fn origins_and_hosts_are_written_as_browsers_write_them() {
    let origins = |text| load(&[("APP__CORS__ALLOWED_ORIGINS", text)]);
    let settings = origins("https://shop.example, http://localhost:8080").unwrap();
    let expected = ["https://shop.example", "http://localhost:8080"];
    assert_eq!(settings.allowed_origins, expected);
    assert!(load(&[]).unwrap().allowed_origins.is_empty());
    for wrong in [
        "*",
        "null",
        "shop.example",
        "https://shop.example/",
        "https://Shop.example",
        "https://shop.example:443",
        "https://*.shop.example",
        "ftp://shop.example",
        "https://shop.example,,",
    ] {
        let fault = origins(wrong).unwrap_err().to_string();
        assert!(fault.contains("cors.allowed_origins: must be"), "{fault}");
        assert!(
            fault.contains("default port (443, 80); * stands"),
            "{fault}"
        );
    }
    let hosts = |text| load(&[("APP__SERVER__ALLOWED_HOSTS", text)]);
    let settings = hosts("tickets.example, tickets").unwrap();
    assert_eq!(
        settings.server.allowed_hosts,
        ["tickets.example", "tickets"]
    );
    for wrong in ["tickets:3001", "https://tickets", "a,,b", "*"] {
        let fault = hosts(wrong).unwrap_err().to_string();
        assert!(fault.contains("server.allowed_hosts: must be"), "{fault}");
    }
}

/// Whoever forgets `APP_ENV` must not open what others can reach.
#[test]
fn development_with_servers_needs_what_production_needs() {
    let servers = [
        ("APP__STORE__ADAPTER", "mysql"),
        ("APP__MYSQL__URL", "mysql://u:p@db/tickets"),
    ];
    let faults = load(&servers).unwrap_err().to_string();
    for name in ["TICKETS__ID_SECRETS", "ADMIN__TOKEN", "AUTH__MODE"] {
        assert!(faults.contains(&format!("APP__{name}")), "{faults}");
    }
}

#[test]
fn tokens_need_their_rules_and_one_kind_of_keys() {
    let with = |more: &[(&str, &str)]| {
        let mut variables = vec![("APP__AUTH__MODE", "jwt")];
        variables.extend(more);
        load(&variables)
    };
    let faults = with(&[]).unwrap_err().to_string();
    for name in ["issuer", "audience", "algorithms", "jwks_url"] {
        assert!(
            faults.contains(&format!("auth.{name}: is missing")),
            "{faults}"
        );
    }
    let rules = [
        ("APP__AUTH__ISSUER", "i"),
        ("APP__AUTH__AUDIENCE", "a"),
        ("APP__AUTH__ALGORITHMS", "EdDSA, ES256"),
        ("APP__TICKETS__ID_SECRETS", "0123456789abcdef"),
    ];
    let secret = "hunter2hunter2hunter2hunter2hunter2";
    let file = ("APP__AUTH__JWKS_FILE", "keys.json");
    let several = [&rules[..], &[file, ("APP__AUTH__HMAC_SECRET", secret)]].concat();
    let faults = with(&several).unwrap_err().to_string();
    assert!(faults.contains("not several"), "{faults}");
    assert!(!faults.contains("hunter2"), "{faults}");
    let old_alone = [&rules[..], &[file, ("APP__AUTH__OLD_HMAC_SECRET", secret)]].concat();
    let faults = with(&old_alone).unwrap_err().to_string();
    let told = "auth.old_hmac_secret: has no effect without auth.hmac_secret";
    assert!(
        faults.contains(told) && !faults.contains("hunter2"),
        "{faults}"
    );
    let short = [
        &rules[..],
        &[
            ("APP__AUTH__HMAC_SECRET", secret),
            ("APP__AUTH__OLD_HMAC_SECRET", "hunter2"),
        ],
    ];
    let faults = with(&short.concat()).unwrap_err().to_string();
    let told = "auth.old_hmac_secret: the secret has 7 bytes";
    assert!(faults.contains(told), "{faults}");
    let settings = with(&[&rules[..], &[file]].concat()).unwrap();
    assert!(matches!(settings.auth, AuthSettings::Jwt(_)));
    let unknown = [
        &rules[..2],
        &rules[3..],
        &[file, ("APP__AUTH__ALGORITHMS", "none")],
    ]
    .concat();
    let faults = with(&unknown).unwrap_err().to_string();
    assert!(
        faults.contains("auth.algorithms: must be one or several of HS256"),
        "{faults}"
    );
}

#[test]
fn a_broken_file_is_named_and_its_secrets_are_not() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("base.toml"),
        "[admin]\ntoken = \"hunter2\n",
    )
    .unwrap();
    let broken = Settings::load(directory.path(), owned(&[])).unwrap_err();
    let broken = broken.to_string();
    assert!(
        broken.contains("line 2") && broken.contains("APP_CONFIG_DIR"),
        "{broken}"
    );
    assert!(!broken.contains("hunter2"), "{broken}");
}

/// As Docker and Kubernetes mount them.
#[test]
fn a_secret_may_be_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let file = |name: &str, content: &[u8]| {
        std::fs::write(path(name), content).unwrap();
        path(name)
    };
    let token = file("token", b"hunter2hunter2hunter2\r\n");
    let url = file("url", b"mysql://u:hunter2@db/tickets");
    let settings = load(&[
        ("APP__ADMIN__TOKEN_FILE", &token),
        ("app__tickets__id_secrets_file", &token),
        ("APP__STORE__ADAPTER", "mysql"),
        ("APP__MYSQL__URL_FILE", &url),
        ("APP__AUTH__MODE", "off"),
        ("APP__AUTH__JWKS_FILE", "/a/setting/of/its/own"),
        // As compose hands over what is not set.
        ("APP__ADMIN__TOKEN", ""),
    ])
    .unwrap();
    let read = settings.admin_token.unwrap();
    assert_eq!(read.expose_secret(), "hunter2hunter2hunter2");
    assert_eq!(settings.tickets.id_secrets.len(), 1);

    let fault = |path: &str| {
        let fault = load(&[
            ("APP__STORE__ADAPTER", "mysql"),
            ("APP__MYSQL__URL_FILE", path),
        ])
        .unwrap_err();
        let fault = fault.to_string();
        let told = "mysql.url: the file that APP__MYSQL__URL_FILE names";
        assert!(fault.contains(told), "{fault}");
        // Nor is it missing, too.
        assert_eq!(fault.matches("mysql.url").count(), 1, "{fault}");
        assert!(!fault.contains("hunter2"), "{fault}");
        fault
    };
    let long = "hunter2".repeat(10_000);
    for (path, what) in [
        (path("none"), "cannot be read: No such file"),
        (path(""), "cannot be read: Is a directory"),
        // The secret itself, by mistake.
        ("hunter2hunter2".to_owned(), "cannot be read: No such file"),
        (file("empty", b"\n"), "is empty"),
        (file("binary", b"hunter2\xff"), "is not UTF-8"),
        (file("long", long.as_bytes()), "is longer than 65536 bytes"),
    ] {
        let fault = fault(&path);
        assert!(fault.contains(what), "{what} in {fault}");
    }
    let both = load(&[
        ("APP__ADMIN__TOKEN", "0123456789abcdef"),
        ("APP__ADMIN__TOKEN_FILE", &token),
        ("APP__SERVER__PORT_FILE", &token),
        ("APP__TICKETS__ID_SECRETS__FILE", &token),
    ]);
    let both = both.unwrap_err().to_string();
    for fault in [
        "admin.token: APP__ADMIN__TOKEN_FILE is set beside APP__ADMIN__TOKEN; remove one of them",
        "server.port_file: is not a setting",
        "id_secrets.file: is not a setting; did you mean APP__TICKETS__ID_SECRETS_FILE?",
    ] {
        assert!(both.contains(fault), "{fault} in {both}");
    }
}

#[test]
fn every_secret_may_be_in_a_file() {
    for key in [
        "admin.token",
        "auth.hmac_secret",
        "auth.old_hmac_secret",
        "mysql.url",
        "mysql.urls",
        "rabbitmq.management_urls",
        "rabbitmq.url",
        "rabbitmq.urls",
        "redis.url",
        "tickets.id_secrets",
    ] {
        let of_file = format!("{}_FILE", variable(key));
        let faults = load(&[(&of_file, "/dev/null")]).unwrap_err().to_string();
        let told = format!("{key}: the file that {of_file} names is empty");
        assert!(faults.contains(&told), "{told} in {faults}");
    }
}

#[test]
fn keys_and_algorithms_that_do_not_go_together_are_listed_with_everything_else() {
    let auth = [
        ("APP__AUTH__MODE", "jwt"),
        ("APP__AUTH__AUDIENCE", "tickets"),
        ("APP__TICKETS__ID_SECRETS", "0123456789abcdef"),
        ("APP__QUEUE__LANES", "0"),
    ];
    for (keys, algorithms, wrong) in [
        (
            ("APP__AUTH__HMAC_SECRET", "hunter2"),
            "EdDSA",
            &[
                "auth.hmac_secret: the secret has 7 bytes",
                "auth.algorithms: a secret",
            ][..],
        ),
        (
            ("APP__AUTH__JWKS_URL", "ftp://u:hunter2@id/jwks"),
            "HS256",
            &[
                "auth.jwks_url: the key set's URL must",
                "auth.algorithms: a key set",
            ],
        ),
        (
            ("APP__AUTH__JWKS_FILE", "/etc/jwks.json"),
            "HS256,EdDSA",
            &["auth.algorithms: a key set"],
        ),
    ] {
        let more = [keys, ("APP__AUTH__ALGORITHMS", algorithms)];
        let faults = load(&[&auth[..], &more[..]].concat()).unwrap_err();
        let faults = faults.to_string();
        let count = format!("{} fault(s)", wrong.len() + 2);
        let others = ["auth.issuer: is missing", "queue.lanes:", &count];
        for fault in [&others[..], wrong].concat() {
            assert!(faults.contains(fault), "{fault} in {faults}");
        }
        assert!(!faults.contains("hunter2"), "{faults}");
    }
}

#[test]
fn traces_go_where_a_setting_or_opentelemetry_says() {
    let tracing = |variables: &[(&str, &str)]| load(variables).unwrap().tracing;
    let to = |variables: &[(&str, &str)]| tracing(variables).unwrap().otlp_endpoint;
    const OURS: &str = "APP__TRACING__OTLP_ENDPOINT";
    const ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

    assert_eq!(tracing(&[]), None);
    assert_eq!(tracing(&[(ALL, "")]), None);
    assert_eq!(to(&[(OURS, "http://c:4318")]), "http://c:4318/v1/traces");
    assert_eq!(to(&[(OURS, "http://c:4318/own")]), "http://c:4318/own");
    assert_eq!(to(&[(ALL, "http://c/base/")]), "http://c/base/v1/traces");
    assert_eq!(
        to(&[(ALL, "http://a"), (TRACES, "http://t/x")]),
        "http://t/x"
    );
    assert_eq!(to(&[(ALL, "http://a"), (OURS, "http://o/x")]), "http://o/x");
    // Set to nothing, it is off.
    assert_eq!(tracing(&[(ALL, "http://a"), (OURS, "")]), None);
    let ratio = |name| tracing(&[(OURS, "http://c"), (name, "0.25")]).unwrap();
    for name in ["APP__TRACING__SAMPLE_RATIO", "OTEL_TRACES_SAMPLER_ARG"] {
        assert_eq!(ratio(name).sample_ratio, 0.25);
    }
    let read = variables_of([(ALL.into(), "http://a".into())]).unwrap();
    assert_eq!(read[ALL], "http://a");
}

#[test]
fn a_collector_that_cannot_be_asked_is_refused() {
    for (value, fault) in [
        ("https://c:4318", "must be like http://collector:4318"),
        ("collector:4318", "must be like http://collector:4318"),
        ("http://", "must be like http://collector:4318"),
        ("http://u:hunter2@c", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("http://c?x=1", "parameter"),
    ] {
        let faults = load(&[("APP__TRACING__OTLP_ENDPOINT", value)]).unwrap_err();
        let faults = faults.to_string();
        assert!(faults.contains("tracing.otlp_endpoint"), "{faults}");
        assert!(
            faults.contains(fault) && !faults.contains("hunter2"),
            "{faults}"
        );
    }
    for ratio in ["-0.1", "1.1", "NaN", "half"] {
        let faults = load(&[("APP__TRACING__SAMPLE_RATIO", ratio)]).unwrap_err();
        let faults = faults.to_string();
        let what = "tracing.sample_ratio: must be a number from 0 to 1";
        assert!(faults.contains(what), "{faults}");
    }
}
