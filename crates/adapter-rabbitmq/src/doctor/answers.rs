//! What the management API said. Its JSON differs between releases and moments: fields are
//! missing until a node has reported, absent values are `null`, `""` or `[]`. So it is read
//! field by field.

use domain::ports::Finding;
use serde_json::Value;

use crate::doctor::shell::quoted;

/// Why an answer is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoReply {
    /// The user may not ask that.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// No answer, or one that cannot be understood.
    Failed(String),
}

impl NoReply {
    /// The finding that `what` could not be looked at.
    pub(super) fn finding(&self, subject: &str, what: &str, user: &str, tag: &str) -> Finding {
        let (why, remedy) = match self {
            Self::Forbidden => (
                format!("user {user} of the management API may not ask for it"),
                format!(
                    "give the user the tag `{tag}` and run it again: rabbitmqctl set_user_tags \
                     {} {tag} (replaces the tags that it has)",
                    quoted(user)
                ),
            ),
            Self::NotFound => (
                "the management API does not know it".to_owned(),
                "check vhost and user of rabbitmq.url, and that the management URL is of the same \
                 broker"
                    .to_owned(),
            ),
            Self::Failed(reason) => (
                reason.clone(),
                "check the broker's log and run it again".to_owned(),
            ),
        };
        Finding::unknown(
            subject,
            format!("{what}: not checked, because {why}"),
            remedy,
        )
    }
}

pub(super) type Reply = Result<Value, NoReply>;

/// Everything that was asked.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    /// The user of the management API.
    pub(super) asked_by: String,
    /// `/api/overview`
    pub(super) overview: Reply,
    /// `/api/nodes`
    pub(super) nodes: Reply,
    /// `/api/queues/VHOST` as the metadata have it, without statistics.
    pub(super) queues: Reply,
    /// The same with statistics, up to seconds old. RabbitMQ 3 has only there which operator
    /// policy is in effect.
    pub(super) reported_queues: Reply,
    /// `/api/policies/VHOST`
    pub(super) policies: Reply,
    /// `/api/operator-policies/VHOST`
    pub(super) operator_policies: Reply,
    /// `/api/exchanges/VHOST/NAME` of the exchange of orders.
    pub(super) exchange: Reply,
    /// `/api/exchanges/VHOST/NAME/bindings/source` of the same.
    pub(super) bindings: Reply,
    /// `/api/consumers/VHOST`
    pub(super) consumers: Reply,
    /// `/api/connections`, of each its name and the name that its client gave it.
    pub(super) connections: Reply,
    /// `/api/users/NAME/permissions`
    pub(super) permissions: Reply,
}

impl Answers {
    /// The broker's major version.
    pub(super) fn major_version(&self) -> Option<u32> {
        let overview = self.overview.as_ref().ok()?;
        let version = text(overview, "rabbitmq_version")?;
        version.split('.').next()?.parse().ok()
    }

    /// How many nodes the cluster has, running or not.
    pub(super) fn node_names(&self) -> Option<Vec<&str>> {
        let nodes = self.nodes.as_ref().ok()?;
        Some(
            rows(nodes)
                .iter()
                .filter_map(|node| text(node, "name"))
                .collect(),
        )
    }
}

/// The rows of an answer that is a list.
pub(super) fn rows(answer: &Value) -> &[Value] {
    answer.as_array().map_or(&[], Vec::as_slice)
}

/// A text that says something.
pub(super) fn text<'a>(row: &'a Value, field: &str) -> Option<&'a str> {
    row.get(field)?.as_str().filter(|text| !text.is_empty())
}

/// A list of names; `None` if it is not told.
pub(super) fn names<'a>(row: &'a Value, field: &str) -> Option<Vec<&'a str>> {
    let names = row.get(field)?.as_array()?;
    Some(names.iter().filter_map(Value::as_str).collect())
}

/// The row of that name.
pub(super) fn named<'a>(rows: &'a [Value], name: &str) -> Option<&'a Value> {
    rows.iter().find(|row| text(row, "name") == Some(name))
}
