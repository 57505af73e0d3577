//! Who consumes the queues of lanes. A consumer that is none of ours keeps a lane from its
//! worker, and what the broker counts as waiting does not show it.

use domain::ports::Finding;

use crate::addresses::CONNECTION_NAME;
use crate::doctor::answers::{Answers, named, rows, text};
use crate::doctor::deployment::Deployment;
use crate::doctor::finding::grouped;

/// Only what both lists have is judged: each is some seconds old, and a user without the tag
/// `monitoring` does not see all connections.
pub(super) fn findings(deployment: &Deployment, answers: &Answers) -> Vec<Finding> {
    let (Ok(consumers), Ok(connections)) = (&answers.consumers, &answers.connections) else {
        return Vec::new();
    };
    let lanes: Vec<_> = deployment.topology.lane_queues().collect();
    let of_lane = rows(consumers).iter().filter_map(|consumer| {
        let queue = text(consumer.get("queue")?, "name")?;
        let connection = text(consumer.get("channel_details")?, "connection_name")?;
        lanes
            .iter()
            .any(|lane| lane.as_str() == queue)
            .then_some((queue, connection))
    });
    let strange = of_lane.filter_map(|(queue, connection)| {
        let client = text(named(rows(connections), connection)?, "user_provided_name");
        let is_ours = client.is_some_and(|name| name.starts_with(CONNECTION_NAME));
        (!is_ours).then(|| {
            Finding::broken(
                queue,
                format!(
                    "consumed by connection {connection}, which is of no worker: its orders may \
                     wait there without an end"
                ),
                "close that connection (management page, or rabbitmqctl close_all_user_connections \
                 of its user); its orders are back in the lane then",
            )
        })
    });
    grouped("queue", strange.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::queues::tests::{answers_of_4, deployment};

    #[test]
    fn a_consumer_that_is_no_worker_is_found() {
        let consumer = |queue: &str, connection: &str| json!({"queue": {"name": queue}, "channel_details": {"connection_name": connection}});
        let answers = Answers {
            consumers: Ok(json!([
                consumer("sale-tickets.high.0", "ours"),
                consumer("sale-tickets.standard.0", "strange"),
                consumer("sale-tickets.standard.1", "strange"),
                consumer("sale-tickets.high.1", "not in the list"),
                consumer("other", "strange"),
            ])),
            connections: Ok(json!([
                {"name": "ours", "user_provided_name": "tickets consuming"},
                {"name": "strange"},
            ])),
            ..answers_of_4(&[])
        };
        let found = findings(&deployment(), &answers);
        let [finding] = found.as_slice() else {
            panic!("{found:#?}");
        };
        assert_eq!(
            finding.subject,
            "queues sale-tickets.standard.0, sale-tickets.standard.1"
        );
        assert!(finding.what.contains("connection strange"), "{finding:?}");
        assert_eq!(findings(&deployment(), &answers_of_4(&[])), []);
    }
}
