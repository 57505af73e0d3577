//! Nodes: how many, which of them run, and whether they take messages.

use domain::ports::{Finding, Level};
use serde_json::Value;

use crate::doctor::answers::{Answers, names, rows, text};
use crate::doctor::finding::grouped;
use crate::doctor::shell::quoted;

/// Orders wait so long for a node that vanished without closing its connections.
const MAX_TICK_SECONDS: u64 = 10;

pub(super) fn findings(answers: &Answers) -> Vec<Finding> {
    let nodes = match &answers.nodes {
        Ok(nodes) => rows(nodes),
        Err(why) => {
            return vec![why.finding(
                "nodes",
                "number of nodes, alarms, partitions, net_ticktime",
                &answers.asked_by,
                "monitoring",
            )];
        }
    };
    let mut findings = of_cluster(nodes);
    let of_nodes = nodes.iter().flat_map(|node| of_node(node, nodes.len()));
    findings.extend(grouped("node", of_nodes.collect()));
    findings
}

fn is_running(node: &Value) -> bool {
    node.get("running").and_then(Value::as_bool) == Some(true)
}

fn name(node: &Value) -> &str {
    text(node, "name").unwrap_or("without a name")
}

fn of_cluster(nodes: &[Value]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if nodes.len() == 1 {
        findings.push(Finding::risk(
            "cluster",
            "one node: its machine's death stops the sale, and its disk's death loses accepted \
             orders",
            "join two more nodes on machines of their own (rabbitmqctl join_cluster NODE), then \
             make the queues grow onto them (rabbitmq-queues grow)",
        ));
    } else if nodes.len().is_multiple_of(2) {
        findings.push(Finding::risk(
            "cluster",
            format!(
                "{} nodes, an even number: a network split in half stops both halves, and one \
                 node less would survive as many deaths",
                nodes.len()
            ),
            "join one more node on a machine of its own (rabbitmqctl join_cluster NODE), or take \
             one away (rabbitmqctl forget_cluster_node NODE)",
        ));
    }
    let running = nodes.iter().filter(|node| is_running(node)).count();
    for node in nodes.iter().filter(|node| !is_running(node)) {
        let subject = format!("node {}", name(node));
        findings.push(if running * 2 > nodes.len() {
            Finding::degraded(
                subject,
                "does not run or is cut off: the others go on, with fewer to spare",
                format!(
                    "start it; if its machine is gone for good, rabbitmqctl forget_cluster_node \
                     {}, then join a new one",
                    quoted(name(node))
                ),
            )
        } else {
            Finding::broken(
                subject,
                "does not run or is cut off: without a majority of nodes no order is accepted",
                "start it with its data. Do not forget or reset nodes: what only they have would \
                 be gone",
            )
        });
    }
    findings
}

/// The subject of each finding is the name of the node only, see [`grouped`].
fn of_node(node: &Value, nodes: usize) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |level, what: String, remedy: String| {
        findings.push(Finding::new(level, name(node), what, remedy));
    };
    let shell_name = quoted(name(node));
    for (field, scarce, limit) in [
        ("mem_alarm", "memory", "vm_memory_high_watermark"),
        ("disk_free_alarm", "disk", "disk_free_limit"),
    ] {
        match node.get(field).and_then(Value::as_bool) {
            Some(false) => {}
            Some(true) => find(
                Level::Broken,
                format!(
                    "{scarce} alarm: publishes are blocked on every node, no order is accepted"
                ),
                format!(
                    "free {scarce} on its machine, or set {limit} in rabbitmq.conf to fit the \
                     machine; the alarm ends by itself then. rabbitmq-diagnostics -n {shell_name} \
                     alarms shows it"
                ),
            ),
            None if is_running(node) => find(
                Level::Unknown,
                format!("{scarce} alarm: not checked, because the node has not reported it"),
                "run it again in 10 s; if it stays, management.disable_stats must not be true in \
                 rabbitmq.conf"
                    .to_owned(),
            ),
            None => {}
        }
    }
    if let Some(others) = names(node, "partitions").filter(|others| !others.is_empty()) {
        find(
            Level::Broken,
            format!(
                "partition: it does not see {}, though it was in one cluster with it; both sides \
                 may have changed queues and bindings since",
                others.join(", ")
            ),
            format!(
                "mend the network, then restart the nodes of the smaller side: rabbitmqctl -n \
                 {shell_name} stop_app, then rabbitmqctl -n {shell_name} start_app. Set \
                 cluster_partition_handling = pause_minority in rabbitmq.conf"
            ),
        );
    }
    if let Some(seconds) = node.get("net_ticktime").and_then(Value::as_u64)
        && nodes > 1
        && seconds > MAX_TICK_SECONDS
    {
        find(
            Level::Risk,
            format!(
                "net_ticktime is {seconds} s: a node that freezes or vanishes is noticed only \
                 after about that time, and its lanes stand still until then"
            ),
            "write net_ticktime = 4 into rabbitmq.conf of every node, and restart them one after \
             another"
                .to_owned(),
        );
    }
    if node.get("being_drained").and_then(Value::as_bool) == Some(true) {
        find(
            Level::Risk,
            "is in maintenance: it takes no connections and leads no queue".to_owned(),
            format!("when the maintenance is over: rabbitmq-upgrade -n {shell_name} revive"),
        );
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::answers::NoReply;
    use crate::doctor::queues::tests::{answers_of_3, answers_of_4};

    fn found(nodes: Value) -> Vec<(Level, String, String)> {
        let answers = Answers {
            nodes: Ok(nodes),
            ..answers_of_4(&[])
        };
        findings(&answers)
            .into_iter()
            .map(|finding| (finding.level, finding.subject, finding.what))
            .collect()
    }

    fn node(name: &str) -> Value {
        json!({"name": name, "type": "disc", "running": true, "partitions": [],
               "mem_alarm": false, "disk_free_alarm": false, "net_ticktime": 5,
               "being_drained": false})
    }

    fn with(mut node: Value, field: &str, value: Value) -> Value {
        node[field] = value;
        node
    }

    fn without(mut node: Value, field: &str) -> Value {
        node.as_object_mut().unwrap().remove(field);
        node
    }

    #[track_caller]
    fn assert_only(found: &[(Level, String, String)], level: Level, subject: &str, words: &str) {
        let [(is_level, is_subject, what)] = found else {
            panic!("{found:?}");
        };
        assert_eq!((is_level, is_subject.as_str()), (&level, subject));
        assert!(what.contains(words), "{what}");
    }

    #[test]
    fn three_healthy_nodes_have_no_finding() {
        assert_eq!(found(json!([node("a@1"), node("b@2"), node("c@3")])), []);
        // RabbitMQ 3.10 does not say whether a node is being drained.
        let of_3 = ["a@1", "b@2", "c@3"].map(|name| without(node(name), "being_drained"));
        let answers = Answers {
            nodes: Ok(json!(of_3)),
            ..answers_of_3(&[])
        };
        assert_eq!(findings(&answers), []);
    }

    #[test]
    fn one_node_and_an_even_number_are_risks() {
        let one = found(json!([node("a@1")]));
        assert_only(
            &one,
            Level::Risk,
            "cluster",
            "one node: its machine's death",
        );
        let two = found(json!([node("a@1"), node("b@2")]));
        assert_only(&two, Level::Risk, "cluster", "2 nodes, an even number");
    }

    #[test]
    fn alarms_block_publishes() {
        for (field, words) in [
            ("mem_alarm", "memory alarm: publishes are blocked"),
            ("disk_free_alarm", "disk alarm: publishes are blocked"),
        ] {
            let alarmed = with(node("b@2"), field, json!(true));
            let found = found(json!([node("a@1"), alarmed, node("c@3")]));
            assert_only(&found, Level::Broken, "node b@2", words);
        }
    }

    #[test]
    fn a_node_that_has_not_reported_is_unknown() {
        let silent = without(node("b@2"), "mem_alarm");
        let found = found(json!([node("a@1"), silent, node("c@3")]));
        assert_only(
            &found,
            Level::Unknown,
            "node b@2",
            "memory alarm: not checked",
        );
    }

    #[test]
    fn a_node_that_does_not_run_is_a_risk_while_there_is_a_majority() {
        let down = |name| json!({"name": name, "type": "disc", "running": false});
        let found_one = found(json!([node("a@1"), down("b@2"), node("c@3")]));
        assert_only(&found_one, Level::Degraded, "node b@2", "does not run");
        let found_two = found(json!([node("a@1"), down("b@2"), down("c@3")]));
        assert_eq!(found_two.len(), 2, "{found_two:?}");
        for (level, ..) in found_two {
            assert_eq!(level, Level::Broken);
        }
    }

    #[test]
    fn a_partition_is_broken() {
        let cut = with(node("a@1"), "partitions", json!(["b@2", "c@3"]));
        let found = found(json!([cut, node("b@2"), node("c@3")]));
        assert_only(&found, Level::Broken, "node a@1", "does not see b@2, c@3");
    }

    #[test]
    fn a_long_net_ticktime_is_a_risk_in_a_cluster() {
        let slow = |name| with(node(name), "net_ticktime", json!(60));
        let found_slow = found(json!([node("a@1"), slow("b@2"), node("c@3")]));
        assert_only(&found_slow, Level::Risk, "node b@2", "net_ticktime is 60 s");
        let all = found(json!([slow("a@1"), slow("b@2"), slow("c@3")]));
        assert_only(&all, Level::Risk, "nodes a@1, b@2, c@3", "net_ticktime");
        let bearable = with(node("b@2"), "net_ticktime", json!(10));
        assert_eq!(found(json!([node("a@1"), bearable, node("c@3")])), []);
        // Alone there is nobody to notice.
        let alone = found(json!([slow("a@1")]));
        assert_only(&alone, Level::Risk, "cluster", "one node");
    }

    #[test]
    fn maintenance_is_a_risk() {
        let drained = with(node("b@2"), "being_drained", json!(true));
        let found = found(json!([node("a@1"), drained, node("c@3")]));
        assert_only(&found, Level::Risk, "node b@2", "is in maintenance");
    }

    #[test]
    fn nodes_that_may_not_be_asked_for_are_unknown() {
        let answers = Answers {
            nodes: Err(NoReply::Forbidden),
            ..answers_of_4(&[])
        };
        let [finding] = &findings(&answers)[..] else {
            panic!("one finding");
        };
        assert_eq!(finding.level, Level::Unknown);
        assert!(finding.remedy.contains("monitoring"), "{}", finding.remedy);
    }
}
