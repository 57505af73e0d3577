//! `tickets doctor`: what it says of servers that it is content with, and of others.

use std::process::Command;
use std::time::Duration;

use api::application::Role;
use port_contracts::within;
use reqwest::Client;
use serde_json::json;
use test_servers::services;
use tokio::time::sleep;

use crate::backend::Backend;
use crate::helpers::{TestService, config_dir};

/// What the program printed, and whether it was content.
fn tickets(backend: &Backend, command: &str, changed: &[(&str, &str)]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tickets"))
        .args(command.split(' '))
        .env("APP_CONFIG_DIR", config_dir())
        .envs(backend.variables())
        .envs(changed.iter().copied())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// The URL of this variable with a password that no server has.
fn with_wrong_password(backend: &Backend, name: &str) -> String {
    let variables = backend.variables();
    let (_, url) = variables.iter().find(|(known, _)| known == name).unwrap();
    let (login, rest) = url.rsplit_once('@').unwrap();
    let (user, _) = login.rsplit_once(':').unwrap();
    format!("{user}:not-the-password@{rest}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_or_not_migrated_is_said_with_a_remedy() {
    let backend = Backend::start().await;
    let elsewhere = format!("{}-mistyped", backend.database().url());
    for changed in [&[][..], &[("APP__MYSQL__URL", elsewhere.as_str())]] {
        for command in ["audit", "seed"] {
            let (is_done, said) = tickets(&backend, command, changed);
            assert!(!is_done, "{said}");
            for remedy in ["`tickets migrate`", "mysql.url"] {
                assert!(said.contains(remedy), "{command}: {said}");
            }
            let is_missing = said.contains("Unknown database");
            assert_eq!(is_missing, !changed.is_empty(), "{command}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_started_is_said_to_refuse_with_its_address() {
    let backend = Backend::start().await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap().to_string();
    drop(closed);
    let url = format!("mysql://u:not-the-password@{address}/tickets");
    for command in ["seed", "audit", "doctor"] {
        let (is_done, said) = tickets(&backend, command, &[("APP__MYSQL__URL", &url)]);
        assert!(!is_done, "{said}");
        assert!(
            said.contains(&address) && said.contains("refused"),
            "{command}: {said}"
        );
        assert!(!said.contains("not-the-password"), "{command}: {said}");
        assert!(!said.contains("did not answer"), "{command}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_answer_are_said_to_and_others_with_a_remedy() {
    let backend = Backend::start().await;
    let (is_done, said) = tickets(&backend, "migrate", &[]);
    assert!(is_done, "{said}");
    let (is_content, said) = tickets(&backend, "doctor", &[]);
    assert!(is_content, "{said}");
    // A command that only looks declares nothing.
    let of_queue = format!(
        "unknown: queue {}tickets.lanes: not there",
        backend.queue().as_str()
    );
    assert!(said.contains(&of_queue), "{said}");
    let (is_done, said) = tickets(&backend, "dead-letters list", &[]);
    assert!(!is_done && said.contains("rabbitmq.prefix"), "{said}");
    assert!(!backend.queue().has_queue("lanes").await);

    let service = TestService::on(&backend, Role::All, &[]).await;
    let (is_content, said) = tickets(&backend, "doctor", &[]);
    assert!(is_content, "{said}");
    assert_eq!(
        said,
        "queue (rabbitmq): answers\nstore (mysql): answers\nrabbitmq.management_urls is not set: \
         policies, members, alarms and rights were not checked\n"
    );

    let kept = "keeps the password that its data were made with";
    for (name, well, ill) in [
        (
            "APP__RABBITMQ__URL",
            "store (mysql): answers",
            "rabbitmq.url",
        ),
        ("APP__MYSQL__URL", "queue (rabbitmq): answers", "mysql.url"),
    ] {
        let url = with_wrong_password(&backend, name);
        let (is_content, said) = tickets(&backend, "doctor", &[(name, &url)]);
        assert!(!is_content, "{said}");
        assert!(said.contains(kept) && said.contains(ill), "{said}");
        assert!(said.contains(well), "{said}");
        assert!(!said.contains("not-the-password"), "{said}");
    }
    let url = with_wrong_password(&backend, "APP__MYSQL__URL");
    let (is_done, said) = tickets(&backend, "migrate", &[("APP__MYSQL__URL", &url)]);
    assert!(!is_done && said.contains(kept), "{said}");

    // What only the queue's start can find is said beside the store's state.
    let (is_content, said) = tickets(&backend, "doctor", &[("APP__QUEUE__LANES", "7")]);
    assert!(
        !is_content && said.contains("store (mysql): answers"),
        "{said}"
    );
    assert_eq!(said.matches("7 lanes are configured").count(), 1, "{said}");
    let vhost = format!("{}/no-such-vhost", backend.variables()[1].1);
    let (is_content, said) = tickets(&backend, "doctor", &[("APP__RABBITMQ__URL", &vhost)]);
    assert!(!is_content && said.contains("vhost and rights"), "{said}");
    service.stop().await.unwrap();
}

/// What an operator may set at any time, and no client of AMQP is told.
#[expect(clippy::disallowed_methods, reason = "the broker answers")]
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_drops_orders_is_said_by_the_doctor_and_in_readiness() {
    let backend = Backend::start().await;
    let (is_done, said) = tickets(&backend, "migrate", &[]);
    assert!(is_done, "{said}");
    let management = services::rabbitmq_management_url();
    let known = ("APP__RABBITMQ__MANAGEMENT_URLS", management.as_str());
    // Before the first process has started nothing is there, which is no fault.
    let (is_content, said) = tickets(&backend, "doctor", &[known]);
    assert!(is_content && !said.contains("broken"), "{said}");
    let declaring = TestService::on(&backend, Role::All, &[]).await;
    let (is_content, said) = tickets(&backend, "doctor", &[known]);
    assert!(is_content && !said.contains("broken"), "{said}");

    let prefix = backend.queue().as_str();
    let policy = format!("{management}/api/policies/%2F/{prefix}");
    let dropping = json!({
        "pattern": format!("^{prefix}"), "definition": {"message-ttl": 2_000}, "apply-to": "queues",
    });
    let client = Client::new();
    let set = client.put(&policy).json(&dropping).send().await.unwrap();
    assert!(set.status().is_success(), "{set:?}");
    let (is_content, said) = tickets(&backend, "doctor", &[known]);
    // One looks at its start, and then every 30 s.
    let service = TestService::on(&backend, Role::All, &[known]).await;
    let ready = within("readiness says it", async {
        loop {
            let ready = service.get("/health/ready").await;
            if ready.body.to_string().contains("message-ttl") {
                return ready;
            }
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    let removed = client.delete(&policy).send().await.unwrap();
    assert!(removed.status().is_success(), "{removed:?}");

    assert!(!is_content && said.contains("broken"), "{said}");
    assert!(said.contains("message-ttl is 2000"), "{said}");
    assert!(said.contains("rabbitmqctl clear_policy"), "{said}");
    assert_eq!(ready.status, 200);
    assert_eq!(ready.text("status"), "degraded");
    service.stop().await.unwrap();
    declaring.stop().await.unwrap();
}
