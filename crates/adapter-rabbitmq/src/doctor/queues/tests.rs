use domain::order::Lanes;
use serde_json::json;

use super::*;

const POLICIES: &str = "policies";
const OPERATORS: &str = "operator-policies";

pub(in crate::doctor) fn deployment() -> Deployment {
    Deployment {
        topology: Topology::new("sale-".to_owned(), Lanes::new(2).unwrap()),
        vhost: "/".to_owned(),
        user: "seller".to_owned(),
        may_be_new: false,
    }
}

/// What a healthy cluster of three nodes says, and what else its queues' rows have.
fn answers(version: &str, changes: &[(&str, &str, Value)], more: &Value) -> Answers {
    let nodes = ["rabbit@a", "rabbit@b", "rabbit@c"];
    let queue = |name: &str, arguments: Value| {
        let mut row = json!({
            "name": name, "vhost": "/", "type": "quorum", "durable": true, "auto_delete": false,
            "exclusive": false, "arguments": arguments, "leader": "rabbit@b", "members": nodes,
            "online": nodes});
        let changes = changes.iter().filter(|(queue, ..)| *queue == name);
        let more = more.as_object().unwrap().iter();
        for (field, value) in more
            .map(|(field, value)| (field.as_str(), value))
            .chain(changes.map(|(_, field, value)| (*field, value)))
        {
            row[field] = value.clone();
        }
        row
    };
    let limit = json!({"x-queue-type": "quorum", "x-delivery-limit": 1_000_000_000});
    let lane = json!({"x-queue-type": "quorum", "x-delivery-limit": 1_000_000_000,
                      "x-single-active-consumer": true});
    let queues = json!([
        queue("other", json!({})),
        queue("sale-tickets.dead", limit),
        queue("sale-tickets.high.0", lane.clone()),
        queue("sale-tickets.high.1", lane.clone()),
        queue(
            "sale-tickets.lanes",
            json!({"x-queue-type": "quorum", "x-max-length": 2})
        ),
        queue("sale-tickets.standard.0", lane.clone()),
        queue("sale-tickets.standard.1", lane),
    ]);
    let lanes = ["high.0", "high.1", "standard.0", "standard.1"];
    let bindings = lanes.map(|key| {
        json!({"source": "sale-tickets", "destination": format!("sale-tickets.{key}"),
               "destination_type": "queue", "routing_key": key})
    });
    Answers {
        exchange: Ok(json!({"name": "sale-tickets", "type": "direct", "arguments": {}})),
        bindings: Ok(json!(bindings)),
        consumers: Ok(json!([])),
        connections: Ok(json!([])),
        asked_by: "asker".to_owned(),
        overview: Ok(json!({"rabbitmq_version": version, "management_version": version})),
        nodes: Ok(nodes
            .iter()
            .map(|name| {
                json!({"name": name, "running": true, "mem_alarm": false, "disk_free_alarm": false,
                       "partitions": [], "net_ticktime": 5})
            })
            .collect()),
        reported_queues: Ok(queues.clone()),
        queues: Ok(queues),
        policies: Ok(json!([])),
        operator_policies: Ok(json!([])),
        permissions: Ok(
            json!([{"user": "seller", "vhost": "/", "configure": ".*", "write": ".*",
                                "read": ".*"}]),
        ),
    }
}

/// RabbitMQ 3.10: the list without statistics has the policy's name, that with statistics the rest,
/// once they are there.
pub(in crate::doctor) fn answers_of_3(changes: &[(&str, &str, Value)]) -> Answers {
    Answers {
        queues: answers("3.10.8", changes, &json!({"state": "live"})).queues,
        ..answers("3.10.8", changes, &json!({}))
    }
}

/// RabbitMQ 4.3: the list without statistics has everything.
pub(in crate::doctor) fn answers_of_4(changes: &[(&str, &str, Value)]) -> Answers {
    let more = json!({
        "state": "running", "node": "rabbit@b", "policy": "", "operator_policy": "",
        "effective_policy_definition": {}, "delivery_limit": 1_000_000_000});
    Answers {
        queues: answers("4.3.6", changes, &more).queues,
        ..answers("4.3.6", changes, &json!({}))
    }
}

/// The same policy on either broker for one queue.
fn with_policy(kind: &str, queue: &'static str, policy: &Value) -> [Answers; 2] {
    let field = if kind == POLICIES {
        "policy"
    } else {
        "operator_policy"
    };
    let effective = (queue, "effective_policy_definition", policy.clone());
    let name = (queue, field, json!("noisy"));
    let list = Ok(
        json!([{"vhost": "/", "name": "noisy", "pattern": "^sale-", "apply-to": "queues",
                          "definition": policy, "priority": 0}]),
    );
    let listed = |answers: Answers| {
        if kind == POLICIES {
            Answers {
                policies: list.clone(),
                ..answers
            }
        } else {
            Answers {
                operator_policies: list.clone(),
                ..answers
            }
        }
    };
    let in_effect = match policy.get("delivery-limit").and_then(Value::as_i64) {
        Some(limit) if limit >= 0 => limit.min(NEVER),
        _ => NEVER,
    };
    let in_effect = (queue, "delivery_limit", json!(in_effect));
    let four = answers_of_4(&[effective.clone(), name.clone(), in_effect]);
    let reported = answers_of_3(&[effective, name.clone()]).queues;
    let three = Answers {
        reported_queues: reported,
        // An operator policy is not said there.
        ..answers_of_3(if kind == POLICIES {
            std::slice::from_ref(&name)
        } else {
            &[]
        })
    };
    // All queues have reported that they have no operator policy.
    let mut three = listed(three);
    if let Ok(Value::Array(rows)) = &mut three.reported_queues {
        for row in rows {
            if row.get("operator_policy").is_none() {
                row["operator_policy"] = Value::Null;
            }
        }
    }
    [three, listed(four)]
}

fn found(answers: &Answers) -> Vec<Finding> {
    findings(&deployment(), answers)
}

#[track_caller]
fn the_only(answers: &Answers) -> Finding {
    let found = found(answers);
    let [finding] = &found[..] else {
        panic!("{found:#?}");
    };
    finding.clone()
}

#[test]
fn a_healthy_deployment_has_no_finding() {
    assert_eq!(found(&answers_of_3(&[])), []);
    assert_eq!(found(&answers_of_4(&[])), []);
}

#[test]
fn whatever_drops_orders_is_broken() {
    for queue in ["sale-tickets.high.1", "sale-tickets.dead"] {
        for (policy, words) in [
            (json!({"max-length": 3}), "max-length is 3: beyond it"),
            (
                json!({"max-length-bytes": 9}),
                "max-length-bytes is 9: beyond it",
            ),
            (
                json!({"max-length": 3, "overflow": "drop-head"}),
                "max-length is 3: beyond it the oldest accepted orders are dropped",
            ),
            (json!({"message-ttl": 10}), "message-ttl is 10 ms: accepted"),
            (json!({"expires": 10}), "expires is 10 ms: the broker"),
            (
                json!({"delayed-retry-type": "all", "delayed-retry-min": 10}),
                "delayed-retry-type is all: orders that come back",
            ),
        ] {
            for answers in with_policy(POLICIES, queue, &policy) {
                let finding = the_only(&answers);
                assert_eq!(finding.level, Level::Broken, "{finding:?}");
                assert_eq!(finding.subject, format!("queue {queue}"));
                assert!(finding.what.starts_with(words), "{finding:?}");
                let clear = "rabbitmqctl clear_policy -p / noisy";
                assert!(finding.remedy.ends_with(clear), "{finding:?}");
            }
            for answers in with_policy(OPERATORS, queue, &policy) {
                let finding = the_only(&answers);
                assert_eq!(finding.level, Level::Broken, "{finding:?}");
                let clear = "rabbitmqctl clear_operator_policy -p / noisy";
                assert!(finding.remedy.ends_with(clear), "{finding:?}");
            }
        }
    }
}

#[test]
fn whatever_refuses_or_could_take_orders_is_a_risk() {
    for (policy, words) in [
        (
            json!({"max-length": 3, "overflow": "reject-publish"}),
            "max-length is 3: orders beyond it are refused",
        ),
        (
            json!({"dead-letter-exchange": "x"}),
            "dead-letter-exchange is x",
        ),
        (
            json!({"overflow": "drop-head"}),
            "overflow is drop-head: as soon as",
        ),
    ] {
        for answers in with_policy(POLICIES, "sale-tickets.standard.0", &policy) {
            let finding = the_only(&answers);
            assert_eq!(finding.level, Level::Risk, "{finding:?}");
            assert!(finding.what.starts_with(words), "{finding:?}");
        }
    }
}

#[test]
fn what_does_no_harm_has_no_finding() {
    for policy in [
        json!({"overflow": "reject-publish"}),
        json!({"delayed-retry-type": "disabled", "delayed-retry-min": 10}),
        json!({"delayed-retry-type": "all"}),
        json!({"queue-leader-locator": "balanced"}),
        json!({"delivery-limit": 2_000_000_000}),
    ] {
        for answers in with_policy(POLICIES, "sale-tickets.standard.0", &policy) {
            assert_eq!(found(&answers), [], "{policy}");
        }
    }
    // The record's maximal length is a number of lanes, and nothing is ever in it.
    for answers in with_policy(POLICIES, "sale-tickets.lanes", &json!({"max-length": 1})) {
        assert_eq!(found(&answers), []);
    }
    // Another deployment's.
    for answers in with_policy(POLICIES, "other", &json!({"max-length": 1})) {
        assert_eq!(found(&answers), []);
    }
}

#[test]
fn the_record_of_lanes_must_stay_and_agree() {
    for answers in with_policy(POLICIES, "sale-tickets.lanes", &json!({"expires": 1})) {
        assert_eq!(the_only(&answers).level, Level::Broken);
    }
    let other = json!({"x-queue-type": "quorum", "x-max-length": 7});
    let finding = the_only(&answers_of_4(&[("sale-tickets.lanes", "arguments", other)]));
    assert_eq!(finding.level, Level::Broken);
    assert!(
        finding
            .what
            .contains("2 lanes are configured, but the broker was set up with 7"),
        "{finding:?}"
    );
}

#[test]
fn a_delivery_limit_is_broken() {
    let queue = "sale-tickets.high.0";
    for answers in with_policy(POLICIES, queue, &json!({"delivery-limit": 5})) {
        let finding = the_only(&answers);
        assert_eq!(finding.level, Level::Broken);
        assert!(
            finding
                .what
                .starts_with("delivery-limit is 5: accepted orders that were handed out"),
            "{finding:?}"
        );
        let clear = "rabbitmqctl clear_policy -p / noisy";
        assert!(finding.remedy.ends_with(clear), "{finding:?}");
    }
    // Negative: none for RabbitMQ 4, and dropped at the first redelivery for 3.
    let [three, four] = with_policy(POLICIES, queue, &json!({"delivery-limit": -1}));
    assert_eq!(the_only(&three).level, Level::Broken);
    assert_eq!(found(&four), []);
    // None: 20 for RabbitMQ 4, and unlimited for 3.
    let unlimited = (queue, "arguments", json!({"x-queue-type": "quorum"}));
    assert_eq!(found(&answers_of_3(std::slice::from_ref(&unlimited))), []);
    let four = answers_of_4(&[unlimited.clone(), (queue, "delivery_limit", json!(20))]);
    let finding = the_only(&four);
    assert!(
        finding
            .what
            .starts_with("delivery-limit is 20, the broker's default: "),
        "{finding:?}"
    );
    assert!(
        finding
            .remedy
            .contains("rabbitmqctl delete_queue -p / sale-tickets.high.0"),
        "{finding:?}"
    );
    // As 4.0 to 4.2 may say it, without what is in effect.
    let silent = answers_of_4(&[unlimited, (queue, "delivery_limit", Value::Null)]);
    assert_eq!(the_only(&silent).what, finding.what);
    // A negative one and another: the other, for RabbitMQ 4.
    let declared = json!({"x-queue-type": "quorum", "x-delivery-limit": -1});
    let five = json!({"delivery-limit": 5});
    let both = answers_of_4(&[
        (queue, "arguments", declared),
        (queue, "effective_policy_definition", five),
        (queue, "delivery_limit", Value::Null),
    ]);
    assert!(the_only(&both).what.starts_with("delivery-limit is 5: "));
    // A queue that was declared with one.
    let arguments = json!({"x-queue-type": "quorum", "x-delivery-limit": 8});
    let finding = the_only(&answers_of_3(&[(queue, "arguments", arguments)]));
    assert_eq!(finding.level, Level::Broken);
    assert!(finding.remedy.contains("delete_queue"), "{finding:?}");
}

#[test]
fn both_policies_with_the_setting_are_named() {
    let queue = "sale-tickets.high.0";
    let policy = |name: &str, length: u32| {
        Ok(
            json!([{"vhost": "/", "name": name, "pattern": "^sale-", "apply-to": "queues",
                   "definition": {"max-length": length}, "priority": 0}]),
        )
    };
    let three = Answers {
        policies: policy("mine", 7),
        operator_policies: policy("theirs", 5),
        queues: answers_of_3(&[(queue, "policy", json!("mine"))]).queues,
        reported_queues: with_policy(OPERATORS, queue, &json!({}))[0]
            .reported_queues
            .clone(),
        ..answers_of_3(&[])
    };
    let three = rename(three, "noisy", "theirs");
    let four = Answers {
        policies: policy("mine", 7),
        operator_policies: policy("theirs", 5),
        ..answers_of_4(&[
            (queue, "policy", json!("mine")),
            (queue, "operator_policy", json!("theirs")),
            (
                queue,
                "effective_policy_definition",
                json!({"max-length": 5}),
            ),
        ])
    };
    for answers in [three, four] {
        let finding = the_only(&answers);
        assert!(finding.what.starts_with("max-length is 5: "), "{finding:?}");
        for name in [
            "clear_policy -p / mine",
            "clear_operator_policy -p / theirs",
        ] {
            assert!(finding.remedy.contains(name), "{finding:?}");
        }
    }
}

/// The operator policy of the reported queues.
fn rename(mut answers: Answers, from: &str, to: &str) -> Answers {
    if let Ok(Value::Array(rows)) = &mut answers.reported_queues {
        for row in rows {
            if text(row, "operator_policy") == Some(from) {
                row["operator_policy"] = json!(to);
            }
        }
    }
    answers
}

#[test]
fn policies_that_are_not_told_are_unknown_or_taken_from_what_was_reported() {
    let queue = "sale-tickets.high.0";
    let length = json!({"max-length": 3});
    // The name is enough to clear it, where policies may not be listed.
    for answers in with_policy(POLICIES, queue, &length) {
        let forbidden = Answers {
            policies: Err(NoReply::Forbidden),
            ..answers
        };
        let finding = the_only(&forbidden);
        assert_eq!(finding.level, Level::Broken);
        assert!(finding.remedy.contains("clear_policy -p / noisy"));
    }
    // RabbitMQ 3 has not reported which operator policy applies to a new queue.
    let [three, _] = with_policy(OPERATORS, queue, &length);
    let silent = Answers {
        reported_queues: answers_of_3(&[]).queues,
        ..three
    };
    let finding = the_only(&silent);
    assert_eq!(finding.level, Level::Unknown);
    assert!(finding.subject.contains("sale-tickets.dead"), "{finding:?}");
    // But one for other queues certainly does not.
    let elsewhere = json!([{"name": "noisy", "pattern": "^other", "definition": length}]);
    let elsewhere = Answers {
        operator_policies: Ok(elsewhere),
        ..silent.clone()
    };
    assert_eq!(found(&elsewhere), []);
    let forbidden = Answers {
        operator_policies: Err(NoReply::Forbidden),
        ..silent
    };
    assert_eq!(the_only(&forbidden).level, Level::Unknown);
}

#[test]
fn a_missing_queue_is_broken() {
    for (queue, level) in [
        ("sale-tickets.standard.1", Level::Broken),
        ("sale-tickets.dead", Level::Broken),
        ("sale-tickets.lanes", Level::Risk),
    ] {
        for answers in [
            answers_of_3(&[(queue, "name", json!("renamed"))]),
            answers_of_4(&[(queue, "name", json!("renamed"))]),
        ] {
            let finding = the_only(&answers);
            assert_eq!(finding.level, level);
            assert_eq!(finding.subject, format!("queue {queue}"));
            assert!(finding.what.starts_with("missing: "), "{finding:?}");
        }
    }
}

#[test]
fn the_same_of_many_queues_is_one_finding() {
    let answers = Answers {
        queues: Ok(json!([])),
        ..answers_of_4(&[])
    };
    let found = found(&answers);
    assert_eq!(
        found[0].subject,
        "queues sale-tickets.high.0, sale-tickets.standard.0, sale-tickets.high.1, \
         sale-tickets.standard.1"
    );
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn a_queue_of_another_kind_is_broken() {
    let queue = "sale-tickets.high.0";
    let classic = the_only(&answers_of_4(&[(queue, "type", json!("classic"))]));
    assert_eq!(classic.level, Level::Broken);
    assert!(
        classic.what.starts_with("is of type classic"),
        "{classic:?}"
    );
    let transient = the_only(&answers_of_4(&[(queue, "durable", json!(false))]));
    assert_eq!(transient.level, Level::Broken);
    assert!(
        transient.what.starts_with("is not durable"),
        "{transient:?}"
    );
}

#[test]
fn too_few_members_are_a_risk() {
    let queue = "sale-tickets.high.0";
    let on = |nodes: &[&str]| {
        answers_of_4(&[
            (queue, "members", json!(nodes)),
            (queue, "online", json!(nodes)),
        ])
    };
    let two = the_only(&on(&["rabbit@a", "rabbit@b"]));
    assert_eq!(two.level, Level::Risk);
    assert!(
        two.what.starts_with("2 member(s) of 3 on 3 nodes"),
        "{two:?}"
    );
    assert_eq!(
        two.remedy,
        r"rabbitmq-queues grow rabbit@c all --vhost-pattern '^/$' --queue-pattern '^sale-tickets\.'"
    );
    let one = the_only(&on(&["rabbit@b"]));
    assert!(one.remedy.contains("grow rabbit@a") && one.remedy.contains("grow rabbit@c"));
    // As many as there are nodes are enough.
    let single = Answers {
        nodes: Ok(json!([{"name": "rabbit@b", "running": true}])),
        ..on(&["rabbit@b"])
    };
    let others: Vec<Finding> = found(&single);
    assert_eq!(others, []);
}

#[test]
fn members_that_are_not_online_are_a_risk_until_they_are_half() {
    let queue = "sale-tickets.high.0";
    let risk = the_only(&answers_of_4(&[(
        queue,
        "online",
        json!(["rabbit@a", "rabbit@b"]),
    )]));
    assert_eq!(risk.level, Level::Risk);
    assert_eq!(risk.what, "members that are not online: rabbit@c");
    assert_eq!(risk.remedy, "start rabbit@c");
    let broken = the_only(&answers_of_4(&[(queue, "online", json!(["rabbit@b"]))]));
    assert_eq!(broken.level, Level::Broken);
    assert!(broken.what.starts_with("no majority: 1 of 3"), "{broken:?}");
    let unknown = the_only(&answers_of_3(&[(queue, "members", Value::Null)]));
    assert_eq!(unknown.level, Level::Unknown);
}

#[test]
fn a_queue_without_a_leader_is_broken() {
    let queue = "sale-tickets.high.0";
    for changes in [
        // RabbitMQ 3.10 says no name, 4.3 that of the leader that was.
        answers_of_3(&[(queue, "leader", json!(""))]),
        answers_of_4(&[(queue, "state", json!("down"))]),
        answers_of_4(&[(queue, "leader", json!("rabbit@gone"))]),
    ] {
        let finding = the_only(&changes);
        assert_eq!(finding.level, Level::Broken);
        assert!(finding.what.starts_with("no leader"), "{finding:?}");
    }
}

#[test]
fn queues_that_cannot_be_listed_are_unknown_and_a_missing_vhost_is_broken() {
    for (why, level, words) in [
        (NoReply::NotFound, Level::Broken, "rabbitmqctl add_vhost /"),
        (
            NoReply::Forbidden,
            Level::Unknown,
            "set_permissions -p / asker '^$' '^$' '^$'",
        ),
        (
            NoReply::Failed("no connection".to_owned()),
            Level::Unknown,
            "run it again",
        ),
    ] {
        let answers = Answers {
            queues: Err(why),
            ..answers_of_4(&[])
        };
        let finding = the_only(&answers);
        assert_eq!(finding.level, level);
        assert!(finding.remedy.contains(words), "{finding:?}");
    }
}
