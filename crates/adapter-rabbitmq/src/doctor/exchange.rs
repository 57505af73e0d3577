//! The exchange of orders: whether an order that it takes gets into the queue of its lane, or is
//! refused.

use domain::ports::Finding;
use domain::user::PriorityClass;
use serde_json::Value;

use crate::doctor::answers::{Answers, NoReply, named, rows, text};
use crate::doctor::deployment::Deployment;
use crate::doctor::finding::grouped;
use crate::doctor::shell::rabbitmqctl;
use crate::topology::Topology;

/// Takes what no queue is bound for, so that the publisher does not learn of it.
const ALTERNATE: &str = "alternate-exchange";
const DECLARED_AGAIN: &str = "within a second of the next order that is refused, a process \
                              declares it; or start one";

pub(super) fn findings(deployment: &Deployment, answers: &Answers) -> Vec<Finding> {
    let name = deployment.topology.orders_exchange();
    let subject = format!("exchange {name}");
    let exchange = match &answers.exchange {
        Ok(exchange) => exchange,
        Err(NoReply::NotFound) => {
            let what = "missing: every order is refused";
            return vec![Finding::broken(subject, what, DECLARED_AGAIN)];
        }
        // That queues could not be looked at either is said there.
        Err(NoReply::Forbidden) => return Vec::new(),
        Err(why) => {
            let what = "its type, policies and bindings";
            return vec![why.finding(&subject, what, &answers.asked_by, "management")];
        }
    };
    let mut findings = Vec::new();
    let kind = text(exchange, "type").unwrap_or("unknown");
    if kind != "direct" {
        findings.push(Finding::broken(
            &subject,
            format!("is of type {kind}, not direct: orders get into the wrong lanes or into none"),
            format!("delete it (management page, or DELETE of its HTTP API); {DECLARED_AGAIN}"),
        ));
    }
    findings.extend(alternate(deployment, answers, &subject, exchange));
    findings.extend(bindings(deployment, answers));
    findings
}

fn alternate(
    deployment: &Deployment,
    answers: &Answers,
    subject: &str,
    exchange: &Value,
) -> Option<Finding> {
    let policy = text(exchange, "policy");
    let definition = policy.and_then(|policy| {
        let policies = answers.policies.as_ref().ok()?;
        named(rows(policies), policy)?.get("definition")
    });
    let of_policy = definition.and_then(|definition| text(definition, ALTERNATE));
    let arguments = exchange.get("arguments");
    let declared = arguments.and_then(|arguments| text(arguments, ALTERNATE));
    let (alternate, remedy) = match (declared, policy, of_policy) {
        (Some(alternate), ..) => (alternate, format!("delete it; {DECLARED_AGAIN}")),
        (None, Some(policy), Some(alternate)) => (
            alternate,
            format!(
                "take {ALTERNATE} out of policy {policy} (rabbitmqctl set_policy), let its pattern \
                 not match this exchange, or remove it: {}",
                rabbitmqctl("clear_policy", &deployment.vhost, &[policy])
            ),
        ),
        _ => return None,
    };
    Some(Finding::broken(
        subject,
        format!(
            "{ALTERNATE} is {alternate}: an order whose binding is missing is answered 202 and \
             goes there, where no worker reads; those that went there are to be moved to {}tickets \
             with their routing keys",
            deployment.topology.prefix
        ),
        remedy,
    ))
}

fn bindings(deployment: &Deployment, answers: &Answers) -> Vec<Finding> {
    let Ok(bindings) = &answers.bindings else {
        return Vec::new();
    };
    let topology = &deployment.topology;
    let mut unbound = Vec::new();
    let mut findings = Vec::new();
    for lane in topology.lanes.iter() {
        for class in PriorityClass::ALL {
            let queue = topology.lane_queue(class, lane).to_string();
            let key = Topology::lane_key(class, lane).to_string();
            let bound = keys(rows(bindings), &queue);
            // That a queue is missing says it all.
            let exists = answers
                .queues
                .as_ref()
                .is_ok_and(|queues| named(rows(queues), &queue).is_some());
            if exists && !bound.contains(&key.as_str()) {
                unbound.push(Finding::broken(
                    &queue,
                    "not bound to its exchange: its orders are refused",
                    DECLARED_AGAIN,
                ));
            }
            let others: Vec<&str> = bound.into_iter().filter(|bound| *bound != key).collect();
            if !others.is_empty() {
                findings.push(Finding::broken(
                    format!("queue {queue}"),
                    format!(
                        "is bound with {}, too: it gets orders of other lanes, which are decided \
                         there out of their sequence",
                        others.join(", ")
                    ),
                    "remove these bindings (management page of the queue)",
                ));
            }
        }
    }
    findings.extend(grouped("queue", unbound));
    findings
}

/// Those by which the queue is bound.
fn keys<'a>(bindings: &'a [Value], queue: &str) -> Vec<&'a str> {
    let of_queue = bindings
        .iter()
        .filter(|row| text(row, "destination") == Some(queue));
    of_queue
        .filter_map(|row| text(row, "routing_key"))
        .collect()
}

#[cfg(test)]
mod tests {
    use domain::ports::Level;
    use serde_json::json;

    use super::*;
    use crate::doctor::queues::tests::{answers_of_3, answers_of_4, deployment};

    fn found(answers: &Answers) -> String {
        let findings = findings(&deployment(), answers);
        let broken = findings
            .iter()
            .all(|finding| finding.level == Level::Broken);
        assert!(broken, "{findings:#?}");
        let mut lines = findings.iter().map(|finding| {
            let Finding {
                subject,
                what,
                remedy,
                ..
            } = finding;
            format!("{subject}: {what}; {remedy}")
        });
        lines.next().map_or_else(String::new, |first| {
            lines.fold(first, |all, line| format!("{all}\n{line}"))
        })
    }

    #[test]
    fn nothing_is_found_where_all_is_as_declared() {
        assert_eq!(found(&answers_of_3(&[])), "");
        assert_eq!(found(&answers_of_4(&[])), "");
    }

    #[test]
    fn an_exchange_that_is_missing_or_of_another_type_is_found() {
        let missing = Answers {
            exchange: Err(NoReply::NotFound),
            ..answers_of_4(&[])
        };
        assert!(found(&missing).starts_with("exchange sale-tickets: missing"));
        let fanout = Answers {
            exchange: Ok(json!({"type": "fanout", "arguments": {}})),
            ..answers_of_4(&[])
        };
        assert!(found(&fanout).contains("is of type fanout"));
    }

    #[test]
    fn an_alternate_exchange_is_found_wherever_it_comes_from() {
        let by_policy = Answers {
            exchange: Ok(json!({"type": "direct", "policy": "catch all", "arguments": {}})),
            policies: Ok(json!([{"name": "catch all", "definition": {ALTERNATE: "lost"}}])),
            ..answers_of_4(&[])
        };
        let told = found(&by_policy);
        assert!(told.contains("alternate-exchange is lost"), "{told}");
        assert!(told.contains("clear_policy -p / 'catch all'"), "{told}");
        let declared = Answers {
            exchange: Ok(json!({"type": "direct", "arguments": {ALTERNATE: "lost"}})),
            ..answers_of_4(&[])
        };
        assert!(found(&declared).contains("delete it"));
    }

    #[test]
    fn a_binding_that_is_missing_or_too_much_is_found() {
        let mut answers = answers_of_4(&[]);
        let Ok(Value::Array(rows)) = &mut answers.bindings else {
            panic!("no bindings");
        };
        rows.retain(|row| row["routing_key"] != "high.1");
        rows.push(json!({"destination": "sale-tickets.high.0", "routing_key": "standard.1"}));
        let told = found(&answers);
        assert!(
            told.contains("queue sale-tickets.high.1: not bound"),
            "{told}"
        );
        assert!(
            told.contains("queue sale-tickets.high.0: is bound with standard.1"),
            "{told}"
        );
    }
}
