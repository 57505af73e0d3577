//! Rights: whether the user of `rabbitmq.url` may do what `topology.rs` and the ports do.

use domain::ports::Finding;
use domain::user::PriorityClass;
use serde_json::Value;

use crate::doctor::answers::{Answers, NoReply, rows, text};
use crate::doctor::deployment::Deployment;
use crate::doctor::patterns;
use crate::doctor::shell::{quoted, rabbitmqctl};

/// A name as the broker gives it to queues that are declared without one: those by which a
/// process hears events.
const SERVER_NAMED: &str = "amq.gen-JzTY20BRgKO-HjmUJj0wLg";
/// What the default exchange is called where rights are checked; dead letters go through it.
const DEFAULT_EXCHANGE: &str = "amq.default";

#[expect(
    clippy::too_many_lines,
    reason = "a list: what each right is needed for"
)]
pub(super) fn findings(deployment: &Deployment, answers: &Answers) -> Vec<Finding> {
    let subject = format!("user {}", deployment.user);
    let rights = match &answers.permissions {
        Ok(rights) => rows(rights),
        Err(NoReply::NotFound) => {
            return vec![Finding::unknown(
                subject,
                "rights: not checked, because the user is not in the broker's own database \
                 (LDAP, OAuth 2 or HTTP know it?)",
                "see to it that the user may configure, write and read what begins with \
                 rabbitmq.prefix, amq.gen- and amq.default",
            )];
        }
        Err(why) => {
            return vec![why.finding(&subject, "rights", &answers.asked_by, "administrator")];
        }
    };
    let of_vhost = |row: &&Value| text(row, "vhost") == Some(deployment.vhost.as_str());
    let remedy = |configure: &str, write: &str, read: &str| {
        rabbitmqctl(
            "set_permissions",
            &deployment.vhost,
            &[&deployment.user, configure, write, read],
        )
    };
    let Some(rights) = rights.iter().find(of_vhost) else {
        return vec![Finding::broken(
            subject,
            format!("has no rights on vhost {}", deployment.vhost),
            remedy(".*", ".*", ".*"),
        )];
    };
    let mut findings = Vec::new();
    for (right, needed) in needed(deployment) {
        let pattern = rights.get(right).and_then(Value::as_str).unwrap_or("");
        // The broker takes an empty pattern for `^$`.
        let pattern_meant = if pattern.is_empty() { "^$" } else { pattern };
        let mut lacking = Vec::new();
        let mut is_certain = true;
        for name in needed {
            match patterns::matches(pattern_meant, &name) {
                Some(true) => {}
                Some(false) => lacking.push(name),
                None => is_certain = false,
            }
        }
        let shell_pattern = quoted(pattern);
        if !lacking.is_empty() {
            findings.push(Finding::broken(
                subject.clone(),
                format!(
                    "may not {right} {}: the pattern is {shell_pattern}",
                    lacking.join(", ")
                ),
                format!(
                    "let the pattern for {right} match these names too; everything in the vhost: \
                     {}",
                    remedy(".*", ".*", ".*")
                ),
            ));
        } else if !is_certain {
            findings.push(Finding::unknown(
                subject.clone(),
                format!(
                    "right to {right}: not checked, because the pattern {shell_pattern} is \
                     beyond what is understood here (letters, `.`, `*`, `^`, `$`, `|`)"
                ),
                "compare it yourself with the names in the broker: rabbitmqctl list_queues, \
                 rabbitmqctl list_exchanges",
            ));
        }
    }
    findings
}

/// The names that each right must cover.
fn needed(deployment: &Deployment) -> [(&'static str, Vec<String>); 3] {
    let topology = &deployment.topology;
    let exchanges =
        [topology.orders_exchange(), topology.events_exchange()].map(|name| name.to_string());
    let lanes = || {
        topology.lanes.iter().flat_map(|lane| {
            PriorityClass::ALL.map(|class| topology.lane_queue(class, lane).to_string())
        })
    };
    let dead = topology.dead_letters_queue().to_string();
    let hearing = SERVER_NAMED.to_owned();
    let declared = [
        dead.clone(),
        topology.lanes_queue().to_string(),
        topology.deployment_queue().to_string(),
        topology.made_queue(0).to_string(),
    ];
    let configure = exchanges.iter().cloned().chain(lanes()).chain(declared);
    // A binding writes to its queue and reads from its exchange.
    let write = exchanges.iter().cloned().chain(lanes());
    let read = exchanges.iter().cloned().chain(lanes()).chain([dead]);
    [
        ("configure", configure.chain([hearing.clone()]).collect()),
        (
            "write",
            write
                .chain([hearing.clone(), DEFAULT_EXCHANGE.to_owned()])
                .collect(),
        ),
        ("read", read.chain([hearing]).collect()),
    ]
}

#[cfg(test)]
mod tests {
    use domain::ports::Level;
    use serde_json::json;

    use super::*;
    use crate::doctor::queues::tests::{answers_of_3, answers_of_4, deployment};

    fn found(permissions: Result<Value, NoReply>) -> Vec<Finding> {
        let answers = Answers {
            permissions,
            ..answers_of_4(&[])
        };
        findings(&deployment(), &answers)
    }

    fn rights(configure: &str, write: &str, read: &str) -> Result<Value, NoReply> {
        Ok(json!([
            {"user": "seller", "vhost": "other", "configure": "", "write": "", "read": ""},
            {"user": "seller", "vhost": "/", "configure": configure, "write": write, "read": read}
        ]))
    }

    #[test]
    fn rights_to_everything_and_exactly_enough_have_no_finding() {
        assert_eq!(found(rights(".*", ".*", ".*")), []);
        assert_eq!(findings(&deployment(), &answers_of_3(&[])), []);
        let enough = r"^(sale-.*|amq\.gen.*)$";
        let write = r"^(sale-.*|amq\.gen.*|amq\.default)$";
        assert_eq!(found(rights(enough, write, enough)), []);
    }

    #[test]
    fn names_that_a_right_does_not_cover_are_named() {
        let found = found(rights("^amq", "^sale-|^amq.gen", ""));
        let told: Vec<&str> = found.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(found.len(), 3, "{told:?}");
        assert!(found.iter().all(|finding| finding.level == Level::Broken));
        assert!(
            told[0].contains("may not configure sale-tickets, "),
            "{told:?}"
        );
        assert!(told[0].contains("sale-tickets.lanes"), "{told:?}");
        assert!(!told[0].contains("amq.gen"), "{told:?}");
        assert!(told[1].contains("may not write amq.default:"), "{told:?}");
        assert!(told[2].contains("may not read sale-tickets, "), "{told:?}");
        assert!(told[2].contains("amq.gen-"), "{told:?}");
        assert!(
            found[2].remedy.contains("set_permissions -p / seller"),
            "{}",
            found[2].remedy
        );
    }

    #[test]
    fn no_rights_on_the_vhost_is_broken() {
        let found = found(Ok(
            json!([{"user": "seller", "vhost": "other", "configure": ".*",
                                     "write": ".*", "read": ".*"}]),
        ));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].level, Level::Broken);
        assert_eq!(found[0].what, "has no rights on vhost /");
    }

    #[test]
    fn rights_that_cannot_be_looked_at_are_unknown() {
        for (permissions, words) in [
            (Err(NoReply::Forbidden), "user asker of the management API"),
            (Err(NoReply::NotFound), "not in the broker's own database"),
            (rights(r"^\w+$", ".*", ".*"), "beyond what is understood"),
        ] {
            let found = found(permissions);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].level, Level::Unknown);
            assert!(found[0].what.contains(words), "{}", found[0].what);
        }
    }
}
