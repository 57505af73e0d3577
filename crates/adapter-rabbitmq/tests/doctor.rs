//! What the doctor finds in a real broker.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics is a test that fails"
)]

mod management;
mod process;

use std::sync::Arc;
use std::time::Duration;

use adapter_rabbitmq::doctor::{BrokerDoctor, BrokerDoctorConfig};
use adapter_rabbitmq::{RabbitMq, RabbitMqConfig};
use domain::ports::{Examination, Finding, Level};
use port_contracts::{LANES, ManualClock, fixtures, within};
use reqwest::Url;
use serde_json::{Value, json};
use test_servers::{TestPrefix, services};
use tokio::time::sleep;

use crate::management::{Setting, put};
use crate::process::{config, start};

const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Nothing answers there.
const NOBODY: &str = "http://ada:hunter2@127.0.0.1:1";

/// A deployment that was just declared.
struct Deployed {
    config: RabbitMqConfig,
    prefix: TestPrefix,
    _process: Arc<RabbitMq>,
}

impl Deployed {
    async fn start() -> Self {
        let prefix = TestPrefix::new();
        let config = config(&services::rabbitmq_url(), &prefix);
        let clock = Arc::new(ManualClock::new(fixtures::start()));
        Self {
            _process: start(&config, &clock).await,
            config,
            prefix,
        }
    }

    fn doctor(&self, management_urls: &[&str]) -> BrokerDoctor {
        let config = BrokerDoctorConfig {
            management_urls: management_urls.iter().map(|&url| url.to_owned()).collect(),
            urls: self.config.urls.clone(),
            prefix: self.config.prefix.clone(),
            lanes: LANES,
            may_be_new: false,
        };
        BrokerDoctor::new(&config).unwrap()
    }

    async fn examine(&self) -> Vec<Finding> {
        within(
            "examine",
            self.doctor(&[&services::rabbitmq_management_url()])
                .examine(),
        )
        .await
    }

    /// What is not well with the one queue, and is known.
    async fn of_queue(&self) -> Vec<Finding> {
        let subject = format!("queue {}", self.queue());
        let mut found = self.examine().await;
        found.retain(|finding| finding.subject == subject && finding.level != Level::Unknown);
        found
    }

    /// Examines until it is so much: statistics take the broker some seconds.
    async fn of_queue_in_the_end(&self, count: usize) -> Vec<Finding> {
        within("as many findings as wanted", async {
            loop {
                let found = self.of_queue().await;
                if found.len() == count {
                    return found;
                }
                sleep(LOOK_AGAIN).await;
            }
        })
        .await
    }

    fn queue(&self) -> String {
        format!("{}tickets.standard.1", self.prefix.as_str())
    }

    async fn policy(&self, kind: &'static str, definition: Value) -> Setting {
        let queue = self.queue().replace('.', "[.]");
        let body = json!({"pattern": format!("^{queue}$"), "apply-to": "queues",
                          "definition": definition});
        Setting::put(&[kind, "/", self.prefix.as_str()], &body).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_deployment_is_not_broken() {
    let deployed = Deployed::start().await;
    let found = deployed.examine().await;
    let about_queues: Vec<&Finding> = found
        .iter()
        .filter(|finding| finding.level == Level::Broken || finding.subject.contains("queue"))
        .collect();
    assert_eq!(about_queues, [] as [&Finding; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_drops_orders_is_found_and_gone_when_it_is_cleared() {
    let deployed = Deployed::start().await;
    for (kind, definition, level, words, clear) in [
        // The lanes' queues overflow by refusing, whatever a policy says.
        (
            "policies",
            json!({"max-length": 3}),
            Level::Risk,
            "max-length is 3: orders beyond it are refused",
            "clear_policy",
        ),
        (
            "policies",
            json!({"message-ttl": 60_000}),
            Level::Broken,
            "message-ttl is 60000 ms: ",
            "clear_policy",
        ),
        (
            "operator-policies",
            json!({"message-ttl": 60_000}),
            Level::Broken,
            "message-ttl is 60000 ms: ",
            "clear_operator_policy",
        ),
    ] {
        let policy = deployed.policy(kind, definition).await;
        // RabbitMQ 3 has operator policies in its statistics only.
        let found = if kind == "policies" {
            deployed.of_queue().await
        } else {
            deployed.of_queue_in_the_end(1).await
        };
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].level, level);
        assert!(found[0].what.starts_with(words), "{found:?}");
        let clear = format!("rabbitmqctl {clear} -p / {}", deployed.prefix.as_str());
        assert!(found[0].remedy.contains(&clear), "{found:?}");
        policy.clear().await;
        deployed.of_queue_in_the_end(0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_missing_is_found() {
    let deployed = Deployed::start().await;
    deployed.prefix.delete_queue("standard.1").await;
    let found = deployed.of_queue_in_the_end(1).await;
    assert!(found[0].what.starts_with("missing: "), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_management_url_is_asked_when_one_is_silent() {
    let deployed = Deployed::start().await;
    let examining = deployed.doctor(&[NOBODY, &services::rabbitmq_management_url()]);
    let found = within("examine", examining.examine()).await;
    let nothing = |finding: &Finding| finding.subject == "management API";
    assert!(!found.iter().any(nothing), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_can_be_asked_that_is_the_finding() {
    let deployed = Deployed::start().await;
    let mut refused: Url = services::rabbitmq_management_url().parse().unwrap();
    refused.set_password(Some("hunter2")).unwrap();
    let examining = deployed.doctor(&[NOBODY, refused.as_str()]);
    let found = within("examine", examining.examine()).await;
    let [finding] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(finding.level, Level::Unknown);
    assert!(
        finding.what.contains("127.0.0.1:1: no connection"),
        "{finding:?}"
    );
    assert!(
        finding.what.contains("refuses user and password"),
        "{finding:?}"
    );
    assert!(!format!("{finding:?}").contains("hunter2"), "{finding:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_the_tags_finds_out_what_it_may_not_see() {
    let deployed = Deployed::start().await;
    let name = format!("{}watcher", deployed.prefix.as_str());
    let body = json!({"password": "s3cret", "tags": "management"});
    let _user = Setting::put(&["users", &name], &body).await;
    let body = json!({"configure": "^$", "write": "^$", "read": "^$"});
    put(&["permissions", "/", &name], &body).await;
    let mut url: Url = services::rabbitmq_management_url().parse().unwrap();
    url.set_username(&name).unwrap();
    url.set_password(Some("s3cret")).unwrap();
    let examining = deployed.doctor(&[url.as_str()]);
    let found = within("examine", examining.examine()).await;
    let told: Vec<(Level, &str)> = found
        .iter()
        .map(|finding| (finding.level, finding.subject.split(' ').next().unwrap()))
        .collect();
    assert_eq!(
        told,
        [(Level::Unknown, "nodes"), (Level::Unknown, "user")],
        "{found:?}"
    );
}
