//! Whether the broker is set up so that accepted orders cannot get lost: asked of RabbitMQ's
//! management API, which says what a client of AMQP cannot see: policies, members, alarms.
//!
//! Asking and judging are apart: `management.rs` brings the answers, the other modules turn them
//! into findings without asking anything. What could not be looked at is a finding, too.

mod answers;
mod consumers;
mod deployment;
mod error;
mod exchange;
mod finding;
mod management;
mod nodes;
mod patterns;
mod queues;
mod rights;
mod shell;

use std::fmt;

use async_trait::async_trait;
use domain::order::Lanes;
use domain::ports::{Examination, Finding};
use lapin::uri::AMQPUri;

use crate::doctor::answers::{Answers, NoReply};
use crate::doctor::deployment::Deployment;
pub use crate::doctor::error::{DoctorError, InvalidManagementUrl};
use crate::doctor::management::Management;
use crate::error::InvalidUrl;
use crate::topology::Topology;

/// Which deployment is examined, and where its broker's management API is.
#[derive(Clone)]
pub struct BrokerDoctorConfig {
    /// `http://user:password@host:15672`, tried in turn. The user needs the tag `monitoring`, and
    /// `administrator` for rights to be looked at.
    pub management_urls: Vec<String>,
    /// Those of [`RabbitMqConfig`](crate::RabbitMqConfig): the first says the vhost, and whose
    /// rights matter.
    pub urls: Vec<String>,
    /// Goes before the name of every exchange and queue.
    pub prefix: String,
    /// How many lanes the queue has.
    pub lanes: Lanes,
    /// No process may have started yet, so that nothing is declared.
    pub may_be_new: bool,
}

/// The URLs hold passwords.
impl fmt::Debug for BrokerDoctorConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerDoctorConfig")
            .field("prefix", &self.prefix)
            .field("lanes", &self.lanes)
            .finish_non_exhaustive()
    }
}

/// Examines the broker of one deployment. Changes nothing there.
pub struct BrokerDoctor {
    management: Management,
    deployment: Deployment,
}

/// The URLs hold passwords.
impl fmt::Debug for BrokerDoctor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerDoctor")
            .field("deployment", &self.deployment)
            .finish_non_exhaustive()
    }
}

impl BrokerDoctor {
    /// Asks nothing yet.
    ///
    /// # Errors
    /// [`DoctorError`] if a URL is invalid.
    pub fn new(config: &BrokerDoctorConfig) -> Result<Self, DoctorError> {
        let url = config.urls.first().ok_or(InvalidUrl)?;
        let uri: AMQPUri = url.parse().map_err(|_| InvalidUrl)?;
        Ok(Self {
            management: Management::new(&config.management_urls)?,
            deployment: Deployment {
                topology: Topology::new(config.prefix.clone(), config.lanes),
                vhost: uri.vhost.to_string(),
                user: uri.authority.userinfo.username.to_string(),
                may_be_new: config.may_be_new,
            },
        })
    }
}

/// Takes at most a few times 3 s for each URL.
#[async_trait]
impl Examination for BrokerDoctor {
    async fn examine(&self) -> Vec<Finding> {
        match self.management.ask(&self.deployment).await {
            Ok(answers) => judge(&self.deployment, &answers),
            Err(silent) => vec![silent],
        }
    }
}

fn judge(deployment: &Deployment, answers: &Answers) -> Vec<Finding> {
    let mut findings = nodes::findings(answers);
    if answers.major_version().is_none() {
        findings.push(version_unknown(answers));
    }
    // That there is nothing is found over AMQP.
    if !(deployment.may_be_new && queues::are_not_there(deployment, answers)) {
        findings.extend(exchange::findings(deployment, answers));
        findings.extend(queues::findings(deployment, answers));
        findings.extend(consumers::findings(deployment, answers));
    }
    findings.extend(rights::findings(deployment, answers));
    findings.sort_by_key(|finding| finding.level);
    findings
}

fn version_unknown(answers: &Answers) -> Finding {
    let not_there = NoReply::Failed("/api/overview does not say it".to_owned());
    let why = answers.overview.as_ref().err().unwrap_or(&not_there);
    why.finding(
        "broker",
        "its version, which decides what a queue without a delivery limit does",
        &answers.asked_by,
        "management",
    )
}

#[cfg(test)]
mod tests {
    use domain::ports::Level;
    use serde_json::json;

    use super::*;
    use crate::doctor::queues::tests::{answers_of_3, answers_of_4, deployment};

    #[test]
    fn passwords_are_not_printed() {
        let config = BrokerDoctorConfig {
            management_urls: vec!["http://ada:hunter2@[::1]:1".to_owned()],
            urls: vec!["amqp://ada:hunter2@mq/sales".to_owned()],
            prefix: String::new(),
            lanes: Lanes::new(1).unwrap(),
            may_be_new: false,
        };
        let doctor = BrokerDoctor::new(&config).unwrap();
        assert_eq!(doctor.deployment.user, "ada");
        assert_eq!(doctor.deployment.vhost, "sales");
        let printed = format!("{config:?} {doctor:?}");
        assert!(!printed.contains("hunter2"), "{printed}");
        for management_urls in [
            vec!["hunter2@h".to_owned()],
            vec!["ftp://a:hunter2@h".to_owned()],
            vec![],
        ] {
            let invalid = BrokerDoctorConfig {
                management_urls,
                ..config.clone()
            };
            let error = BrokerDoctor::new(&invalid).unwrap_err();
            assert!(matches!(error, DoctorError::InvalidManagementUrl(_)));
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn the_worst_comes_first() {
        let queues = json!([{"name": "sale-tickets.dead", "type": "quorum", "durable": true}]);
        let answers = Answers {
            overview: Ok(json!({})),
            nodes: Ok(json!([{"name": "rabbit@a", "running": true}])),
            queues: Ok(queues),
            ..answers_of_4(&[])
        };
        let found = judge(&deployment(), &answers);
        assert!(found.is_sorted_by_key(|finding| finding.level));
        assert_eq!(found[0].level, Level::Broken);
        let unknown: Vec<&str> = found
            .iter()
            .filter(|finding| finding.level == Level::Unknown)
            .map(|finding| finding.subject.as_str())
            .collect();
        assert!(unknown.contains(&"broker"), "{found:#?}");
        assert_eq!(judge(&deployment(), &answers_of_3(&[])), []);
    }
}
