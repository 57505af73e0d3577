//! `onsale run` from its command line to its exit code, against a service that
//! is there: honest, or seen through a liar.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics is a test that fails"
)]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};

use black_box::issuer::Issuer;
use rcgen::{KeyPair, PKCS_ED25519, generate_simple_self_signed};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use self::support::{TOKEN, service, start};

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config");

/// A run with its files.
struct Run {
    output: Output,
    folder: TempDir,
}

impl Run {
    async fn of(scenario: &Path, address: SocketAddr) -> Self {
        Self::with(scenario, &["--url", &format!("http://{address}")], None).await
    }

    /// With more arguments, and an agent's token.
    async fn with(scenario: &Path, arguments: &[&str], agent: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_onsale"))
            .arg("run")
            .arg("--scenario")
            .arg(scenario)
            .args(arguments)
            .args(["--seed", "7"])
            .arg("--json")
            .arg(folder.path().join("out.json"))
            .arg("--html")
            .arg(folder.path().join("out.html"))
            .env("APP__ADMIN__TOKEN", TOKEN)
            .env("APP_CONFIG_DIR", CONFIG)
            .envs(agent.map(|token| ("ONSALE_AGENT_TOKEN", token)))
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        Self { output, folder }
    }

    async fn of_smoke(address: SocketAddr) -> Self {
        Self::of_smoke_with(&["--url", &format!("http://{address}")], None).await
    }

    /// Of `smoke.toml`, with time for everything: its limits are for a machine that has
    /// nothing else to do.
    async fn of_smoke_with(arguments: &[&str], agent: Option<&str>) -> Self {
        let folder = smoke(&[
            ("timeout_ms = 1000\n", "timeout_ms = 60000\n"),
            ("[client]\n", "[client]\ntimeout_ms = 60000\n"),
            ("patience_seconds = 15\n", "patience_seconds = 120\n"),
            ("run_seconds = 60\n", "run_seconds = 600\n"),
        ]);
        Self::with(&folder.path().join("smoke.toml"), arguments, agent).await
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.folder.path().join("out.json")).unwrap())
            .unwrap()
    }

    /// It ended well, and nothing that a client heard was wrong.
    fn assert_passed(&self) {
        assert!(self.output.status.success(), "{}", self.told());
        let json = self.json();
        assert_eq!(json["passed"], true);
        let violations = json["violations"].as_object().unwrap();
        assert!(violations.len() >= 9 && violations.values().all(|count| count == 0));
        assert_eq!(json["orders"]["sent"], json["scenario"]["orders"]);
        assert_eq!(json["orders"]["accepted"], json["verdicts"]["total"]);
    }

    fn told(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        text(&self.output.stdout) + &text(&self.output.stderr)
    }
}

/// `smoke.toml` with other words.
fn smoke(replaced: &[(&str, &str)]) -> TempDir {
    let mut text = std::fs::read_to_string(scenario("smoke.toml")).unwrap();
    for (before, after) in replaced {
        assert_eq!(text.matches(before).count(), 1, "{before}");
        text = text.replace(before, after);
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("smoke.toml"), text).unwrap();
    folder
}

fn scenario(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../scenarios")
        .join(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smoke_has_no_violation() {
    let run = Run::of_smoke(service().await).await;
    run.assert_passed();
    let json = run.json();
    assert_eq!(json["verdicts"]["seats_held"], 0);
    for some in ["confirmed", "cancelled"] {
        assert!(
            json["holds"][some].as_u64().unwrap() > 0,
            "{}",
            json["holds"]
        );
    }
    assert!(json["verdicts"]["expired"].as_u64().unwrap() > 0);
    assert!(json["verdicts"]["sold_out"].as_u64().unwrap() > 0);
    let page = std::fs::read_to_string(run.folder.path().join("out.html")).unwrap();
    assert!(page.contains("No violation") && page.contains("<svg") && !page.contains("<script"));
    // Not a terminal, and not asked for.
    assert!(run.output.stderr.is_empty(), "{}", run.told());
}

/// All orders come at one instant, so that most seats are gone when anybody can
/// look again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seats_are_seen_before_the_first_order_and_after_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("quick.toml");
    let text = r#"
        about = "All at once"
        [[arrivals.phases]]
        shape = "spike"
        orders = 400
        seconds = 0
        half_life_seconds = 1
        [shows]
        number = 2
        seats = 150
        [users]
        number = 400
    "#;
    std::fs::write(&scenario, text).unwrap();
    let run = Run::of(&scenario, service().await).await;
    assert!(run.output.status.success(), "{}", run.told());
    let series = &run.json()["series"];
    let before = serde_json::json!({"available": 300, "held": 0, "sold": 0});
    assert_eq!(series["seats_before"], before);
    let sold = series["sold"].as_array().unwrap();
    assert_eq!(sold.last(), Some(&300.into()), "{series}");
    assert_eq!(sold.len(), series["backlog"].as_array().unwrap().len());
    let page = std::fs::read_to_string(run.folder.path().join("out.html")).unwrap();
    let (_, plot) = page.split_once("<figcaption>Seats</figcaption>").unwrap();
    let (_, area) = plot.split_once("area c1\" points=\"").unwrap();
    // On the x axis, at the lower edge.
    assert!(area.starts_with("64.0,232.0 "), "{}", &area[..40]);
}

/// Those of the process that sold, and not those of another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_agree_with_what_clients_were_told() {
    const ON: [(&str, &str); 1] = [("APP__METRICS__PORT", "0")];
    let application = start(&ON).await;
    let url = format!("http://{}", application.address());
    let metrics = application.metrics_address().unwrap().to_string();
    tokio::spawn(application.run_until_stopped(CancellationToken::new()));
    // What was counted before a run is none of its.
    for _ in 0..2 {
        let run = Run::of_smoke_with(&["--url", &url, "--metrics", &metrics], None).await;
        run.assert_passed();
        let compared = &run.json()["metrics"];
        assert!(compared["compared"].as_u64().unwrap() > 30, "{compared}");
        assert_eq!(compared["differences"], serde_json::json!([]));
        assert!(run.told().contains("figures; all agree"), "{}", run.told());
    }

    let other = start(&ON).await;
    let metrics = other.metrics_address().unwrap().to_string();
    tokio::spawn(other.run_until_stopped(CancellationToken::new()));
    let run = Run::of_smoke_with(&["--url", &url, "--metrics", &metrics], None).await;
    assert_eq!(run.output.status.code(), Some(1), "{}", run.told());
    assert_eq!(run.json()["passed"], false);
    for figure in [
        "tickets_orders_total of accepted",
        "tickets_decisions_total of SoldOut",
        "tickets_changes_total of Expired",
    ] {
        let told = format!("metrics: {figure} is 0, not ");
        assert!(run.told().contains(&told), "{}", run.told());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_runs_on_one_deployment_do_not_meet() {
    let address = service().await;
    let (one, other) = tokio::join!(Run::of_smoke(address), Run::of_smoke(address));
    for run in [&one, &other] {
        assert!(run.output.status.success(), "{}", run.told());
    }
    assert_eq!(
        one.json()["setting"]["seed"],
        other.json()["setting"]["seed"]
    );
    assert_ne!(one.json()["setting"]["run"], other.json()["setting"]["run"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_is_given_twice_fails_the_run() {
    let latest = Mutex::new(Vec::new());
    let number = Mutex::new(0);
    let liar = liar(service().await, move |answer| {
        const BEFORE: &[u8] = br#"{"ticket_id":""#;
        let is_new = answer.starts_with(b"HTTP/1.1 202");
        let at = answer.windows(BEFORE.len()).position(|part| part == BEFORE);
        let (true, Some(at)) = (is_new, at) else {
            return;
        };
        let id = &mut answer[at + BEFORE.len()..][..36];
        let mut number = number.lock().unwrap();
        *number += 1;
        let mut latest = latest.lock().unwrap();
        if *number == 100 {
            id.copy_from_slice(&latest);
        }
        *latest = id.to_vec();
    });
    // All follow their tickets over one connection.
    let followed = smoke(&[
        ("poll = 0.3\n", "poll = 0\n"),
        ("websocket = 0.4\n", "websocket = 1\n"),
        ("websocket_connections = 8\n", "websocket_connections = 1\n"),
    ]);
    let run = Run::of(&followed.path().join("smoke.toml"), liar.await).await;
    assert_eq!(run.output.status.code(), Some(1), "{}", run.told());
    let json = run.json();
    assert_eq!(json["passed"], false);
    assert!(
        json["violations"]["duplicated"].as_u64().unwrap() > 0,
        "{json}"
    );
    // Nobody waits for news of a ticket that is another's.
    assert_eq!(json["ending"], "complete");
    assert!(run.told().contains("were given one id"), "{}", run.told());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_that_was_told_otherwise_fails_the_run() {
    let lied = Mutex::new(false);
    let liar = liar(service().await, move |answer| {
        const TRUE: &[u8] = br#""status":"reserved""#;
        const FALSE: &[u8] = br#""status":"rejected""#;
        let mut lied = lied.lock().unwrap();
        let at = answer.windows(TRUE.len()).position(|part| part == TRUE);
        if let (Some(at), false) = (at, *lied) {
            answer[at..][..FALSE.len()].copy_from_slice(FALSE);
            *lied = true;
        }
    });
    let run = Run::of_smoke(liar.await).await;
    assert_eq!(run.output.status.code(), Some(1), "{}", run.told());
    assert_eq!(
        run.json()["violations"]["contradictions"],
        1,
        "{}",
        run.told()
    );
}

/// Plain HTTP answers nothing but health, and no call without a token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buyers_send_tokens_of_their_own_over_https() {
    const CLAIMS: [&str; 4] = [
        "--token-issuer",
        "https://id.test",
        "--token-audience",
        "shop",
    ];
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let [certificate, certificate_key, key, keys] =
        ["certificate", "certificate-key", "key", "keys"].map(file);
    let pair = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&certificate, pair.cert.pem()).unwrap();
    std::fs::write(&certificate_key, pair.signing_key.serialize_pem()).unwrap();
    let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    std::fs::write(&key, pair.serialize_pem()).unwrap();
    let issuer = Issuer::read(Path::new(&key), CLAIMS[1], CLAIMS[3]).unwrap();
    std::fs::write(&keys, issuer.key_set()).unwrap();
    let application = start(&[
        ("APP__AUTH__MODE", "jwt"),
        ("APP__AUTH__ISSUER", CLAIMS[1]),
        ("APP__AUTH__AUDIENCE", CLAIMS[3]),
        ("APP__AUTH__ALGORITHMS", "EdDSA"),
        ("APP__AUTH__JWKS_FILE", &keys),
        ("APP__TLS__MODE", "required"),
        ("APP__TLS__PORT", "0"),
        ("APP__TLS__CERTIFICATE_FILE", &certificate),
        ("APP__TLS__KEY_FILE", &certificate_key),
    ])
    .await;
    let port = application.https_address().unwrap().port();
    let url = format!("https://localhost:{port}");
    tokio::spawn(application.run_until_stopped(CancellationToken::new()));

    let trusting = ["--url", &url, "--ca-file", &certificate];
    let signing = [&trusting[..], &["--token-key", &key], &CLAIMS].concat();
    Run::of_smoke_with(&signing, None).await.assert_passed();

    let stranger = Run::of_smoke_with(&["--url", &url], None).await;
    assert!(
        stranger.told().contains("invalid peer certificate"),
        "{}",
        stranger.told()
    );
    let nobody = Run::of_smoke_with(&trusting, None).await;
    assert!(nobody.told().contains("401"), "{}", nobody.told());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_orders_for_all_buyers() {
    const SECRET: &str = "a secret that only the two of us know";
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let issuer = Issuer::read(&secret, "an issuer", "an audience").unwrap();
    let application = start(&[
        ("APP__AUTH__MODE", "jwt"),
        ("APP__AUTH__ISSUER", "an issuer"),
        ("APP__AUTH__AUDIENCE", "an audience"),
        ("APP__AUTH__ALGORITHMS", "HS256"),
        ("APP__AUTH__HMAC_SECRET", SECRET),
    ])
    .await;
    let url = format!("http://{}", application.address());
    tokio::spawn(application.run_until_stopped(CancellationToken::new()));
    let run = Run::of_smoke_with(&["--url", &url], Some(&issuer.of_agent())).await;
    run.assert_passed();
}

/// The program itself, which a build of the workspace puts beside `onsale`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_starts_the_service_with_tokens_and_https() {
    let run = Run::of_smoke_with(&["--secured"], None).await;
    run.assert_passed();
    assert_eq!(run.json()["setting"]["on"], "memory");
    assert_eq!(run.json()["metrics"]["processes"], 1);
}

#[tokio::test]
async fn every_fault_of_a_scenario_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("odd.toml");
    std::fs::write(&scenario, "about = 5\n[shows]\nchairs = 7\n").unwrap();
    let run = Run::of(&scenario, SocketAddr::from(([127, 0, 0, 1], 1))).await;
    assert_eq!(run.output.status.code(), Some(1));
    for fault in [
        "about: must be a string",
        "shows.chairs: is unknown",
        "users.number: is missing",
    ] {
        assert!(run.told().contains(fault), "{}", run.told());
    }
}

#[tokio::test]
async fn what_the_run_has_not_started_is_not_broken() {
    let faults = scenario("chaos-smoke.toml");
    let run = Run::of(&faults, SocketAddr::from(([127, 0, 0, 1], 1))).await;
    assert_eq!(run.output.status.code(), Some(1));
    assert!(run.told().contains("leave --url out"), "{}", run.told());
}

/// Passes everything on, and lets `lie` change what the service says.
async fn liar(service: SocketAddr, lie: impl Fn(&mut [u8]) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let lie = Arc::new(lie);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let lie = Arc::clone(&lie);
            tokio::spawn(async move {
                let server = TcpStream::connect(service).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                tokio::spawn(async move {
                    let _ended = tokio::io::copy(&mut from_client, &mut to_server).await;
                });
                let mut piece = vec![0; 16 * 1_024];
                while let Ok(length @ 1..) = from_server.read(&mut piece).await {
                    lie(&mut piece[..length]);
                    if to_client.write_all(&piece[..length]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}
