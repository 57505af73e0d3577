//! The binary: signals, exit codes, messages.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::helpers::{DEADLINE, config_dir, patient};
use crate::raw::{Connection, pipeline_orders, raw_order};
use crate::tls::TestCertificate;

fn tickets(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickets"));
    command
        .args(arguments)
        .env("APP_CONFIG_DIR", config_dir())
        .env("APP__SERVER__PORT", "0")
        .env("APP__SERVER__ALLOWED_HOSTS", "x")
        .envs(patient())
        .envs(variables.iter().copied())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

fn ended(arguments: &[&str], variables: &[(&str, &str)]) -> (Output, String) {
    let output = tickets(arguments, variables).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, stderr)
}

/// A serving process; killed if the test fails half-way.
pub(crate) struct Serving {
    process: Child,
    log: Box<dyn BufRead + Send>,
    pub(crate) address: String,
    /// The line `tickets starts`.
    built: serde_json::Value,
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

impl Serving {
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        Self::of(tickets(&["serve"], variables))
    }

    fn of(mut command: Command) -> Self {
        let process = command.env("APP__LOG__FORMAT", "json").spawn().unwrap();
        let mut serving = Self::listening(process);
        let built = serving.log_line("tickets starts");
        assert_eq!(built["adapters.compiled"], "memory,mysql,rabbitmq,redis");
        serving.address = built["address"].as_str().unwrap().to_owned();
        serving.built = built;
        serving
    }

    /// With a log in this format, of which nothing has been read but the beginning.
    pub(crate) fn formatted(format: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = tickets(&["serve"], variables);
        let process = command.env("APP__LOG__FORMAT", format).spawn().unwrap();
        let mut serving = Self::listening(process);
        let mut line = String::new();
        while !line.contains("tickets starts") {
            line.clear();
            assert_ne!(serving.log.read_line(&mut line).unwrap(), 0, "it ended");
        }
        let is_port = |text: &&str| text.starts_with("127.0.0.1:");
        let mut words = line.split(['=', ' ', '"', ',']);
        serving.address = words.find(is_port).unwrap().to_owned();
        serving
    }

    /// Reads the rest of the log while it comes: a line that waits for too long is dropped.
    pub(crate) fn rest_of_log(&mut self) -> JoinHandle<String> {
        let mut log = std::mem::replace(&mut self.log, Box::new(std::io::empty()));
        std::thread::spawn(move || {
            let mut rest = String::new();
            log.read_to_string(&mut rest).unwrap();
            rest
        })
    }

    fn listening(mut process: Child) -> Self {
        Self {
            log: Box::new(BufReader::new(process.stderr.take().unwrap())),
            process,
            address: String::new(),
            built: serde_json::Value::Null,
        }
    }

    /// Reads the log up to the line with this message.
    pub(crate) fn log_line(&mut self, message: &str) -> serde_json::Value {
        loop {
            let mut line = String::new();
            assert_ne!(
                self.log.read_line(&mut line).unwrap(),
                0,
                "no `{message}` in the log"
            );
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            if line["message"] == message {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args([name, &id]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn exit_code(&mut self) -> i32 {
        self.process.wait().unwrap().code().unwrap()
    }
}

#[test]
fn sigterm_decides_what_was_accepted_and_exits_0() {
    let mut serving = Serving::start(&[]);
    assert_eq!(pipeline_orders(&serving.address, 5_000), 5_000);
    serving.signal("-TERM");
    assert_eq!(serving.exit_code(), 0);
    assert_eq!(serving.log_line("asked to stop")["signal"], "SIGTERM");
    serving.log_line("stopped");
}

#[test]
fn a_second_signal_forces_the_stop() {
    let mut serving = Serving::start(&[("APP__SERVER__LAME_DUCK_SECONDS", "600")]);
    serving.signal("-INT");
    serving.log_line("readiness now answers 503; requests are still served");
    serving.signal("-TERM");
    assert_eq!(serving.exit_code(), 1);
    serving.log_line("forced to exit at once; accepted orders may be left undecided");
}

/// Nobody but its client has such a request, so nothing is lost with it.
#[test]
fn a_body_that_never_comes_does_not_hold_up_the_stop() {
    let variables = [("APP__SERVER__REQUEST_TIMEOUT_MS", "86400000")];
    let mut serving = Serving::start(&variables);
    let head = "POST /tickets HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    let mut waiting = Vec::new();
    for rest in [
        "Expect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        "Content-Length: 9\r\n\r\n{",
        "Transfer-Encoding: chunked\r\n\r\n1;",
    ] {
        let mut connection = Connection::open(&serving.address);
        connection.send(&format!("{}{head}{rest}", raw_order()));
        assert!(connection.receive().0.starts_with("HTTP/1.1 202"));
        waiting.push(connection);
    }
    serving.signal("-TERM");
    assert_eq!(serving.exit_code(), 0);
    serving.log_line("stopped");
}

/// As on a mount that hangs. Nobody writes into the terminal.
#[test]
fn a_file_that_hangs_does_not_hold_up_the_stop() {
    let certificate = TestCertificate::new();
    let mut command = tickets(&["serve"], &[]);
    command.envs(certificate.variables("on"));
    let mut serving = Serving::of(command);
    let file = certificate.file("certificate");
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/dev/ptmx", &file).unwrap();
    let opened = format!("/proc/{}/fd", serving.process.id());
    let is_read = || {
        let files = std::fs::read_dir(&opened).unwrap().flatten();
        let mut files = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        files.any(|file| file.ends_with("ptmx"))
    };
    let started = Instant::now();
    while !is_read() {
        assert!(started.elapsed() < DEADLINE, "nobody looks at the file");
        std::thread::sleep(Duration::from_millis(50));
    }
    serving.signal("-TERM");
    assert_eq!(serving.exit_code(), 0);
    serving.log_line("stopped");
}

#[test]
fn a_process_that_can_open_no_file_is_not_ready() {
    let mut serving = Serving::start(&[]);
    let mut connection = Connection::open(&serving.address);
    let mut ready = |expected: &str| loop {
        connection.send("GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n");
        let (head, body) = connection.receive();
        if head.starts_with(expected) {
            break body;
        }
    };
    ready("HTTP/1.1 200");
    let limit = |files: &str| {
        let id = serving.process.id().to_string();
        let files = format!("--nofile={files}:");
        let set = Command::new("prlimit")
            .args(["--pid", &id, &files])
            .status();
        assert!(set.unwrap().success());
    };
    limit("3");
    let body = ready("HTTP/1.1 503");
    assert!(body.contains("no file can be opened"), "{body}");
    limit("1000");
    ready("HTTP/1.1 200");
    serving.signal("-TERM");
    assert_eq!(serving.exit_code(), 0);
}

#[test]
fn a_terminal_that_closes_stops_like_sigterm_however_often_it_says_so() {
    for name in ["HUP", "QUIT"] {
        let mut serving = Serving::start(&[]);
        assert_eq!(pipeline_orders(&serving.address, 100), 100);
        serving.signal(&format!("-{name}"));
        let stopping = serving.log_line("asked to stop");
        assert_eq!(stopping["signal"], format!("SIG{name}"));
        serving.signal("-HUP");
        assert_eq!(serving.exit_code(), 0);
        serving.log_line("stopped");
    }
}

#[test]
fn under_nohup_a_terminal_that_closes_changes_nothing() {
    let mut serving = Serving::of(in_a_shell("trap '' HUP && exec \"$0\" serve"));
    serving.signal("-HUP");
    assert_eq!(pipeline_orders(&serving.address, 100), 100);
    serving.signal("-TERM");
    assert_eq!(serving.log_line("asked to stop")["signal"], "SIGTERM");
    assert_eq!(serving.exit_code(), 0);
}

/// A process whose log says much, about every order.
fn talkative() -> Serving {
    Serving::start(&[("APP__LOG__LEVEL", "trace")])
}

#[test]
fn a_log_whose_reader_has_gone_ends_no_sale() {
    let mut serving = talkative();
    let nobody = Command::new("true").stderr(Stdio::piped()).spawn();
    let mut nobody = nobody.unwrap();
    serving.log = Box::new(BufReader::new(nobody.stderr.take().unwrap()));
    nobody.wait().unwrap();
    assert_eq!(pipeline_orders(&serving.address, 1_000), 1_000);
    serving.signal("-TERM");
    assert_eq!(serving.exit_code(), 0);
}

#[test]
fn a_log_that_nobody_reads_stops_no_sale() {
    let mut serving = talkative();
    // Many times what the pipe takes, and more than what may wait for it.
    for _ in 0..10 {
        assert_eq!(pipeline_orders(&serving.address, 2_000), 2_000);
    }
    serving.signal("-TERM");
    assert_eq!(serving.exit_code(), 0);
}

#[test]
fn a_log_that_cannot_be_written_ends_no_sale() {
    for stderr in ["2>/dev/full", "2>&-"] {
        // Where it listens is in the log, so it has to be told.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let port = address.port();
        let serve = format!("APP__SERVER__PORT={port} exec \"$0\" serve {stderr}");
        let mut process = in_a_shell(&serve).spawn().unwrap();
        let started = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(started.elapsed() < DEADLINE, "it does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(pipeline_orders(&address.to_string(), 100), 100);
        let mut serving = Serving {
            log: Box::new(BufReader::new(process.stderr.take().unwrap())),
            process,
            address: address.to_string(),
            built: serde_json::Value::Null,
        };
        serving.signal("-TERM");
        assert_eq!(serving.exit_code(), 0, "{stderr}");
    }
}

#[test]
fn output_that_cannot_be_written_is_an_error_but_for_health() {
    let serving = Serving::start(&[]);
    let url = format!("http://{}", serving.address);
    let port = serving.address.rsplit_once(':').unwrap().1;
    let code = |arguments: &str, errors: &str| {
        let command =
            format!("APP__SERVER__PORT={port} exec \"$0\" {arguments} >/dev/full 2>{errors}");
        in_a_shell(&command).status().unwrap().code()
    };
    for errors in ["&1", "&-", "/dev/null"] {
        assert_eq!(code(&format!("audit --url {url}"), errors), Some(1));
        // Its answer is the exit code.
        assert_eq!(code("health", errors), Some(0));
    }
}

#[test]
fn health_asks_where_the_process_listens() {
    for host in ["127.0.0.2", "0.0.0.0"] {
        let serving = Serving::start(&[("APP__SERVER__HOST", host)]);
        let port = serving.address.rsplit_once(':').unwrap().1;
        let at = |host| [("APP__SERVER__HOST", host), ("APP__SERVER__PORT", port)];
        let (output, stderr) = ended(&["health"], &at(host));
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        let (output, stderr) = ended(&["health"], &at("127.0.0.3"));
        let is_everywhere = host == "0.0.0.0";
        assert_eq!(output.status.success(), is_everywhere, "{stderr}");
    }
    let (output, stderr) = ended(&["health"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains("server.port: is 0"), "{stderr}");
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_a_fault_without_its_value() {
    use std::os::unix::ffi::OsStrExt as _;

    let mut command = tickets(&["serve"], &[]);
    let binary = std::ffi::OsStr::from_bytes(b"hunter2-hunter2-\xff");
    let output = command.env("APP__ADMIN__TOKEN", binary).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("APP__ADMIN__TOKEN"), "{stderr}");
    assert!(!stderr.contains("hunter2"), "{stderr}");
    // What is not for this program may be anything.
    let mut serving = tickets(&["serve"], &[]);
    serving.env("OTHERS", binary);
    let mut serving = Serving::of(serving);
    serving.signal("-TERM");
    assert_eq!(serving.exit_code(), 0);
}

#[test]
fn every_configuration_fault_is_printed_and_no_secret() {
    let variables = [
        ("APP_ENV", "production"),
        ("APP__QUEUE__LANES", "0"),
        ("APP__ADMIN__TOKEN", "hunter2"),
    ];
    let (output, stderr) = ended(&["serve"], &variables);
    assert_eq!(output.status.code(), Some(1));
    for part in [
        "queue.lanes",
        "admin.token",
        "tickets.id_secrets",
        "rabbitmq.url",
        "mysql.url",
        "auth.mode",
        "6 fault(s)",
    ] {
        assert!(stderr.contains(part), "{part} in {stderr}");
    }
    assert!(!stderr.contains("hunter2"), "{stderr}");
}

#[test]
fn a_role_that_memory_cannot_serve_is_refused() {
    for role in ["api", "worker"] {
        let (output, stderr) = ended(&["serve", "--role", role], &[]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr.contains(&format!("--role {role}")), "{stderr}");
    }
}

#[test]
fn the_version_names_the_adapters() {
    let (output, _) = ended(&["--version"], &[]);
    let version = String::from_utf8(output.stdout).unwrap();
    let rest = version.strip_prefix("tickets ").unwrap();
    assert!(
        rest.ends_with("(adapters: memory, mysql, rabbitmq, redis)\n"),
        "{rest}"
    );
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (output, stderr) = ended(&["serve"], &[("APP__SERVER__PORT", &port)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.contains("server.port") && stderr.contains(&port),
        "{stderr}"
    );
}

#[test]
fn a_taken_port_of_metrics_is_named_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (output, stderr) = ended(&["serve"], &[("APP__METRICS__PORT", &port)]);
    assert_eq!(output.status.code(), Some(1));
    for part in ["metrics.port", &port, "to 0 for any"] {
        assert!(stderr.contains(part), "{stderr}");
    }
}

/// In development nobody has to choose ports for them.
#[test]
fn two_processes_beside_each_other_have_their_own_metrics() {
    let [first, second] = [(); 2].map(|()| Serving::start(&[]));
    let address = |serving: &Serving| {
        serving.built["metrics.address"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_ne!(address(&first), address(&second));
    let off = Serving::start(&[("APP__METRICS__PORT", "")]);
    assert_eq!(off.built["metrics.address"], serde_json::Value::Null);
}

#[test]
fn audit_prints_a_table_or_json_and_exits_0() {
    let serving = Serving::start(&[]);
    assert_eq!(pipeline_orders(&serving.address, 20), 20);
    let url = format!("http://{}", serving.address);
    let (output, stderr) = ended(&["audit", "--url", &url], &[]);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(
        table.trim_end().ends_with("1 shows, 0 violations"),
        "{table}"
    );
    let (output, _) = ended(&["audit", "--json", "--url", &url], &[]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["violations"], 0);
}

#[test]
fn audit_without_a_service_says_so() {
    let (output, stderr) = ended(&["audit", "--url", "http://127.0.0.1:9"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.contains("no answer from http://127.0.0.1:9"),
        "{stderr}"
    );
}

/// What a shell does with the program, which is `$0`.
fn in_a_shell(text: &str) -> Command {
    let serve = tickets(&["serve"], &[]);
    let mut command = Command::new("sh");
    command
        .args(["-c", text])
        .arg(serve.get_program())
        .envs(
            serve
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stderr(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// `tickets serve` with a limit of open files that it cannot raise.
fn with_open_files(limit: usize) -> Command {
    in_a_shell(&format!("ulimit -n {limit} && exec \"$0\" serve"))
}

#[test]
fn past_the_limit_of_open_files_clients_get_503_and_liveness_goes_on() {
    const ORDERS_OF: &str = "GET /shows/230920 HTTP/1.1\r\nHost: x\r\n\r\n";
    // Written otherwise it is the same.
    const LIVE: &str = "GET /%68ealth/live HTTP/1.1\r\nHost: x\r\n\r\n";
    // Room for some clients whatever the number of threads is.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut serving = Serving::of(with_open_files(64 + 8 * threads + 100));
    // Of 100 connections a sixteenth is left to tell the others.
    assert_eq!(serving.built["connections.max"], 94);
    let ask = |request: &str| {
        let mut connection = Connection::open(&serving.address);
        connection.send(request);
        let (head, body) = connection.receive();
        (connection, head, body)
    };
    let mut served = Vec::new();
    let (head, body) = loop {
        let (connection, head, body) = ask(ORDERS_OF);
        if !head.starts_with("HTTP/1.1 200") {
            break (head, body);
        }
        served.push(connection);
        assert!(served.len() < 100, "nobody was refused");
    };
    assert_eq!(served.len(), 94);
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert!(head.to_lowercase().contains("connection: close"), "{head}");
    assert!(head.to_lowercase().contains("retry-after: "), "{head}");
    assert!(
        body.contains("\"code\":\"connections_exhausted\""),
        "{body}"
    );
    for _ in 0..50 {
        let (_, head, _) = ask(ORDERS_OF);
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        let (_, head, _) = ask(LIVE);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    }
    let failed = serving.log_line("a request failed");
    assert_eq!(failed["code"], "connections_exhausted");
    // Those that were served still are.
    for connection in &mut served {
        connection.send(&raw_order());
        let (head, _) = connection.receive();
        assert!(head.starts_with("HTTP/1.1 202"), "{head}");
    }
    drop(served);
    serving.signal("-TERM");
    assert_eq!(serving.exit_code(), 0);
}

#[test]
fn commands_ask_over_https() {
    let certificate = TestCertificate::new();
    let variables = certificate.variables("on");
    let mut serving = Serving::of({
        let mut command = tickets(&["serve"], &[]);
        command.envs(variables.clone());
        command
    });
    let https = serving.built["https.address"].as_str().unwrap();
    let port = https.rsplit_once(':').unwrap().1;
    let asked = |arguments: &[&str]| {
        let mut command = tickets(arguments, &[]);
        command.envs(variables.clone()).env("APP__TLS__PORT", port);
        let output = command.output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    // Of this machine: whatever the certificate names.
    for own in ["health", "audit"] {
        assert_eq!(asked(&[own]), (Some(0), String::new()));
    }
    let url = format!("https://localhost:{port}");
    let trusted = certificate.file("certificate");
    let trusted = trusted.to_str().unwrap();
    let named = ["audit", "--url", &url, "--ca-file", trusted];
    assert_eq!(asked(&named), (Some(0), String::new()));
    let (code, told) = asked(&named[..3]);
    assert_eq!(code, Some(1));
    assert!(told.contains("invalid peer certificate"), "{told}");
    assert!(told.contains("name that with --ca-file"), "{told}");
    // Nothing of these is the process's fault.
    let key = certificate.file("key");
    for (url, file, what) in [
        (&*url, key.to_str().unwrap(), "has no certificate in it"),
        (&url, "/dev/zero", "longer than 1048576 bytes"),
        (&url, "/none", "--ca-file /none: No such file"),
        (
            "http://localhost:1",
            trusted,
            "--ca-file has no use with http://",
        ),
    ] {
        let (code, told) = asked(&["audit", "--url", url, "--ca-file", file]);
        assert_eq!(code, Some(1));
        assert!(told.contains(what) && !told.contains("no answer"), "{told}");
    }
    let plain_to_tls = format!("http://localhost:{port}");
    let tls_to_plain = format!("https://{}", serving.address);
    for (url, what) in [
        (&plain_to_tls, "begin the URL with https://"),
        (&tls_to_plain, "begin the URL with http://"),
    ] {
        let (_, told) = asked(&["audit", "--url", url]);
        assert!(told.contains(what), "{told}");
    }
    let (_, told) = asked(&["audit", "--url", "localhost:1"]);
    assert!(told.contains("begins with http:// or https://"), "{told}");
    serving.signal("-TERM");
    assert_eq!(serving.exit_code(), 0);
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_at_the_start_with_its_setting() {
    let certificate = TestCertificate::new();
    let other = TestCertificate::new();
    let faulty = |file: &str, path: &std::path::Path, expected: &str| {
        let mut command = tickets(&["serve"], &[]);
        command.envs(certificate.variables("on")).env(file, path);
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    };
    let missing = certificate.file("missing");
    let key = certificate.file("key");
    let (chain, secret) = ("APP__TLS__CERTIFICATE_FILE", "APP__TLS__KEY_FILE");
    let told = format!(
        "tls.certificate_file: {}: cannot be read",
        missing.display()
    );
    faulty(chain, missing.as_path(), &told);
    faulty(chain, key.as_path(), "tls.certificate_file: ");
    faulty(chain, key.as_path(), "has no certificate in it");
    faulty(secret, missing.as_path(), "tls.key_file: ");
    faulty(
        secret,
        certificate.file("certificate").as_path(),
        "has no private key in it",
    );
    faulty(
        secret,
        other.file("key").as_path(),
        "does not fit the certificate",
    );
}

#[test]
fn who_says_nothing_before_the_handshake_of_tls_counts_as_a_client() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut command = with_open_files(64 + 8 * threads + 100);
    let certificate = TestCertificate::new();
    command.envs(certificate.variables("on"));
    command.env("APP__SERVER__REQUEST_TIMEOUT_MS", "600000");
    let serving = Serving::of(command);
    let https = serving.built["https.address"].as_str().unwrap();
    let connect = |_| std::net::TcpStream::connect(https).unwrap();
    let _silent: Vec<_> = (0..94).map(connect).collect();
    let started = Instant::now();
    loop {
        let mut connection = Connection::open(&serving.address);
        connection.send("GET /shows/230920 HTTP/1.1\r\nHost: x\r\n\r\n");
        if connection.receive().0.starts_with("HTTP/1.1 503") {
            break;
        }
        assert!(started.elapsed() < DEADLINE, "nobody was refused");
    }
}

#[test]
fn a_limit_of_open_files_that_does_not_fit_is_told_at_the_start() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut serving = with_open_files(64 + 8 * threads + 100);
    let mut process = serving.env("APP__LOG__FORMAT", "json").spawn().unwrap();
    let mut first = String::new();
    let mut log = BufReader::new(process.stderr.take().unwrap());
    while !first.contains("the limit of open files is too low for live.max_connections") {
        first.clear();
        assert_ne!(log.read_line(&mut first).unwrap(), 0, "not said");
    }
    process.kill().unwrap();
    process.wait().unwrap();
    let output = with_open_files(64 + 8 * threads + 10).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("open files leaves no room for clients") && stderr.contains("ulimit"),
        "{stderr}"
    );
}

/// A process that is frozen: its machine takes the connection, and nobody answers.
#[test]
fn a_process_that_does_not_answer_is_not_waited_for() {
    let frozen = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = frozen.local_addr().unwrap().port().to_string();
    let url = format!("http://127.0.0.1:{port}");
    for arguments in [&["health"][..], &["audit", "--url", &url]] {
        let (output, stderr) = ended(arguments, &[("APP__SERVER__PORT", &port)]);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.contains("no answer from") && stderr.contains(&url),
            "{stderr}"
        );
    }
}

/// How many, once in a while, and nothing of what was sent.
#[test]
fn refused_requests_are_counted_in_the_log() {
    let variables = [("APP__ADMIN__TOKEN", "the administration's own token")];
    let mut serving = Serving::start(&variables);
    let mut connection = Connection::open(&serving.address);
    for _ in 0..3 {
        connection.send("GET /users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer hunter2\r\n\r\n");
        assert!(connection.receive().0.starts_with("HTTP/1.1 401"));
    }
    let wrong = "/tickets/0199a2b4-7d3e-8001-8a5f-3c0d9e412b77";
    connection.send(&format!("GET {wrong} HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert!(connection.receive().0.starts_with("HTTP/1.1 404"));
    let (mut unauthorized, mut wrong) = (0, 0);
    while unauthorized < 3 || wrong < 1 {
        let line = serving.log_line("requests were refused");
        unauthorized += line["requests.unauthorized"].as_u64().unwrap();
        wrong += line["ids.wrong"].as_u64().unwrap();
        assert_eq!(line["requests.rate_limited"], 0);
        assert!(!line.to_string().contains("hunter2"), "{line}");
    }
    assert_eq!((unauthorized, wrong), (3, 1));
    serving.signal("-TERM");
    assert_eq!(serving.exit_code(), 0);
}

#[test]
fn proxies_that_are_everybody_are_warned_of() {
    const WARNING: &str = "server.trusted_proxies has a network of all addresses";

    for (proxies, is_warned_of) in [("0.0.0.0/0", true), ("::/0", true), ("10.0.0.0/8", false)] {
        let mut command = in_a_shell("exec \"$0\" serve 2>&1");
        let mut process = command
            .env("APP__SERVER__TRUSTED_PROXIES", proxies)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stdout.take().unwrap());
        let mut lines = String::new();
        while !lines.contains("tickets starts") {
            assert_ne!(log.read_line(&mut lines).unwrap(), 0, "{lines}");
        }
        process.kill().unwrap();
        process.wait().unwrap();
        assert_eq!(lines.contains(WARNING), is_warned_of, "{proxies}: {lines}");
    }
}

#[test]
fn the_doctor_looks_for_the_keys_of_tokens() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("jwks.json");
    let examined = |jwks: &str| {
        std::fs::write(&file, jwks).unwrap();
        let variables = [
            ("APP__AUTH__MODE", "jwt"),
            ("APP__AUTH__ISSUER", "https://issuer"),
            ("APP__AUTH__AUDIENCE", "tickets"),
            ("APP__AUTH__ALGORITHMS", "EdDSA"),
            ("APP__AUTH__JWKS_FILE", file.to_str().unwrap()),
            ("APP__TICKETS__ID_SECRETS", "a secret that signs"),
        ];
        let (output, stderr) = ended(&["doctor"], &variables);
        let said = String::from_utf8(output.stdout).unwrap();
        let keys = "token keys (auth.jwks_file): ";
        assert!(said.contains(keys), "{said} {stderr}");
        (output.status.success(), said)
    };
    // RFC 8037, appendix A.2.
    let key = r#"{"keys": [{"kty": "OKP", "crv": "Ed25519",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let (is_well, said) = examined(key);
    assert!(is_well && said.contains("there is one"), "{said}");
    let (is_well, said) = examined("{\"keys\": []}");
    assert!(!is_well && said.contains("no key"), "{said}");
}

/// Who reads the log learns which routes are asked for and how that went, and of no buyer.
#[test]
fn requests_are_logged_where_that_is_asked_for() {
    let told = |requests: &str| {
        let mut service = Serving::start(&[("APP__LOG__REQUESTS", requests)]);
        let log = service.rest_of_log();
        let mut connection = Connection::open(&service.address);
        let body = r#"{"show_id": 230920, "user_id": "ada-lovelace"}"#;
        let length = body.len();
        let requests = format!(
            "POST /tickets?who=ada HTTP/1.1\r\nhost: x\r\nauthorization: Bearer s3cret\r\n\
             content-type: application/json\r\nx-request-id: of-the-client\r\n\
             content-length: {length}\r\n\r\n{body}\
             GET /tickets/0199a2b4-7d3e-8001-8a5f-3c0d9e412b77 HTTP/1.1\r\nhost: x\r\n\r\n\
             ADALOVELACE /shows HTTP/1.1\r\nhost: x\r\n\r\n\
             GET /nothing/ada HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        );
        connection.send(&requests);
        let answers = connection.until_closed();
        service.signal("-TERM");
        let lines = log.join().unwrap();
        for secret in ["ada", "ADA", "s3cret", "0199a2b4"] {
            assert!(!lines.contains(secret), "{lines}");
        }
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        let of_requests = lines.filter(|line: &serde_json::Value| line["target"] == "requests");
        (answers, of_requests.collect::<Vec<_>>())
    };
    assert!(told("off").1.is_empty());
    assert!(told("failed").1.is_empty());
    let (answers, lines) = told("all");
    let seen: Vec<_> = lines
        .iter()
        .map(|line| {
            assert_eq!(
                (&line["level"], &line["message"]),
                (&"INFO".into(), &"answered".into())
            );
            assert!(line["duration_ms"].as_f64().unwrap() > 0.0);
            let id = line["request.id"].as_str().unwrap();
            assert!(
                answers.contains(&format!("x-request-id: {id}\r\n")),
                "{answers}"
            );
            let text = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
            let status = line["http.response.status_code"].as_u64().unwrap();
            (
                text("http.request.method"),
                text("http.route"),
                status,
                text("code"),
            )
        })
        .collect();
    let line = |method: &str, route: &str, status: u64, code: &str| {
        (method.to_owned(), route.to_owned(), status, code.to_owned())
    };
    assert_eq!(
        seen,
        [
            line("POST", "/tickets", 404, "user_not_found"),
            line("GET", "/tickets/{id}", 404, "ticket_not_found"),
            line("other", "/shows", 405, "method_not_allowed"),
            line("GET", "none", 404, "route_not_found"),
        ]
    );
    assert_eq!(lines[0]["request.id"], "of-the-client");
}
