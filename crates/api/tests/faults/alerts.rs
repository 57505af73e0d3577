//! Each alert fires by a cause that happens to real processes, and none in a clean sale.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::application::{Application, Role};
use api::clock::SystemClock;
use api::settings::Settings;
use domain::ports::Clock;
use domain::time::Timestamp;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tcp_proxy::Weather;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::buyers::{Buyers, Sale, set_up};
use crate::deployment::{CONFIG, Deployment, Process};
use crate::prometheus::Prometheus;
use crate::proof::prove;
use crate::scene::Scene;
use crate::seed::Chance;

fn targets(api: &Process, worker: &Process) -> [(&'static str, SocketAddr); 2] {
    [("api", api.metrics()), ("worker", worker.metrics())]
}

/// As long as a minute and a half of rules that are not shortened.
const LONG_ENOUGH: Duration = Duration::from_secs(9);

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_sale_fires_nothing_and_the_end_of_its_only_api_process_does() {
    let mut chance = Chance::new();
    let deployment = Deployment::new().await;
    let mut api = deployment.start_ready("api").await;
    let worker = deployment.start_ready("worker").await;
    let sale = Sale {
        capacity: 150,
        ..Sale::default()
    };
    set_up(&api.url, sale).await;
    let prometheus = Prometheus::start(&targets(&api, &worker)).await;
    let buyers = Buyers::start(&[&api.url], sale, &mut chance);
    buyers.wait_for_accepted(1_000).await;
    sleep(LONG_ENOUGH).await;
    let orders = buyers.stop().await;
    prove(&deployment, &api.url, orders).await;
    sleep(LONG_ENOUGH).await;
    let sold = prometheus.ask("sum(tickets_decisions_total)").await;
    assert!(sold[0].1 > 1_000.0, "it has not seen the sale: {sold:?}");
    assert_eq!(prometheus.fired().await, BTreeSet::new());

    api.kill().await;
    let gone = [
        "TicketsFewerProcesses",
        "TicketsNobodyAccepts",
        "TicketsProcessNotScraped",
    ];
    prometheus.wait_until_only(&gone).await;
}

/// Its successor decides so slowly that buyers wait for long, and then as usual.
#[tokio::test(flavor = "multi_thread")]
async fn the_only_worker_is_killed_under_load_and_its_successor_is_slow() {
    let mut chance = Chance::new();
    let Scene {
        deployment,
        api,
        mut worker,
        buyers,
    } = Scene::start(&mut chance).await;
    let prometheus = Prometheus::start(&targets(&api, &worker)).await;
    buyers.wait_for_accepted(200).await;
    // Fewer processes than before are only noticed if there was a before.
    sleep(LONG_ENOUGH).await;
    worker.kill().await;
    let killed = [
        "TicketsFewerProcesses",
        "TicketsLaneWithoutOwner",
        "TicketsNobodyDecides",
        "TicketsNothingDecided",
        "TicketsOrdersWaitUndecided",
        "TicketsProcessNotScraped",
    ];
    prometheus.wait_until_only(&killed).await;
    let orders = buyers.stop().await;

    deployment
        .database
        .set(Weather::Slow(Duration::from_millis(30)));
    let small = [("APP__WORKER__BATCH_MAX", "10")];
    let slow = deployment.start_with("worker", &small).await;
    slow.wait_until_ready().await;
    prometheus.scrape(&targets(&api, &slow));
    let late = ["TicketsOrdersWaitUndecided", "TicketsVerdictsLate"];
    prometheus.wait_until_only(&late).await;

    deployment.database.set(Weather::Fair);
    prove(&deployment, &api.url, orders).await;
    prometheus.wait_until_only(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_message_becomes_a_dead_letter() {
    let deployment = Deployment::new().await;
    let api = deployment.start_ready("api").await;
    let worker = deployment.start_ready("worker").await;
    let prometheus = Prometheus::start(&targets(&api, &worker)).await;
    let queue = deployment.backend.queue();
    queue.publish("standard.0", b"poison").await;
    prometheus.wait_until_only(&["TicketsDeadLetters"]).await;
    queue.take_first("dead").await;
    prometheus.wait_until_only(&[]).await;
    let fired = prometheus.fired().await;
    assert!(fired.into_iter().eq(["TicketsDeadLetters"]));
}

/// Orders are refused, and nobody can have a lane.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_away() {
    let mut chance = Chance::new();
    let scene = Scene::start(&mut chance).await;
    let prometheus = Prometheus::start(&targets(&scene.api, &scene.worker)).await;
    scene.buyers.wait_for_accepted(200).await;
    scene.deployment.database.set(Weather::Down);
    scene.deployment.database.cut();
    let away = ["TicketsErrors", "TicketsLaneWithoutOwner"];
    prometheus.wait_until_also(&away).await;
    scene.deployment.database.set(Weather::Fair);
    scene.wait_until_it_sells().await;
    prometheus.wait_until_only(&[]).await;
    scene.end().await;
}

/// Is set, as no other process on this machine is.
#[derive(Default)]
struct SetClock {
    ahead_micros: AtomicI64,
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        let ahead = self.ahead_micros.load(Ordering::Relaxed);
        Timestamp::from_micros(SystemClock.now().as_micros() + ahead).unwrap()
    }
}

/// Two files of a pair that ends in so many days.
fn write_certificate(folder: &Path, days: u64) -> [String; 2] {
    let mut params = CertificateParams::new(["tickets.test".to_owned()]).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    params.not_after = date_time_ymd(1970, 1, 1) + now + Duration::from_secs(days * 86_400);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    [
        ("certificate.pem", certificate.pem()),
        ("key.pem", key.serialize_pem()),
    ]
    .map(|(name, pem)| {
        let file = folder.join(name);
        fs::write(&file, pem).unwrap();
        file.to_str().unwrap().to_owned()
    })
}

/// The clock of a worker beside another one, whose is right: a process cannot have a clock of its
/// own on one machine, so this one runs in the test.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_is_off_and_a_certificate_ends_soon() {
    let deployment = Deployment::new().await;
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key] = write_certificate(folder.path(), 15);
    let https = [
        ("APP__TLS__MODE", "on"),
        ("APP__TLS__PORT", "0"),
        ("APP__TLS__CERTIFICATE_FILE", &certificate),
        ("APP__TLS__KEY_FILE", &key),
    ];
    let api = deployment.start_with("api", &https).await;
    api.wait_until_ready().await;
    let right = deployment.start_ready("worker").await;
    let mut variables: HashMap<_, _> = deployment.variables().iter().cloned().collect();
    variables.insert("APP__SERVER__PORT".to_owned(), "0".to_owned());
    let settings = Settings::load(Path::new(CONFIG), variables).unwrap();
    let clock = Arc::new(SetClock::default());
    let wrong = Application::build(settings, Role::Worker, clock.clone()).await;
    let wrong = wrong.unwrap();
    let [api, right] = targets(&api, &right);
    let all = [api, right, ("worker", wrong.metrics_address().unwrap())];
    let stop = CancellationToken::new();
    let running = tokio::spawn(wrong.run_until_stopped(stop.clone()));
    let prometheus = Prometheus::start(&all).await;
    write_certificate(folder.path(), 13);
    clock.ahead_micros.store(90_000, Ordering::Relaxed);
    let both = ["TicketsCertificateEnds", "TicketsClockSkew"];
    prometheus.wait_until_only(&both).await;
    write_certificate(folder.path(), 15);
    prometheus.wait_until_only(&["TicketsClockSkew"]).await;
    clock.ahead_micros.store(0, Ordering::Relaxed);
    prometheus.wait_until_only(&[]).await;
    stop.cancel();
    running.await.unwrap().unwrap();
}
