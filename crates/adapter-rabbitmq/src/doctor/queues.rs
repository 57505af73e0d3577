//! Queues: whether each is there, replicated, and free of anything that drops what is in it.

mod settings;

use domain::ports::{Finding, Level};
use serde_json::Value;

use crate::doctor::answers::{Answers, NoReply, named, names, rows, text};
use crate::doctor::deployment::Deployment;
use crate::doctor::finding::grouped;
use crate::doctor::queues::settings::{Setting, Settings};
use crate::doctor::shell::{quoted, rabbitmqctl};
use crate::topology::Topology;

/// A queue goes on without one of three members, and more cost time.
const MEMBERS: usize = 3;

/// As good as unlimited: what `topology.rs` declares. RabbitMQ 4 takes negative numbers, too.
const NEVER: i64 = 1_000_000_000;
/// Of a queue without any, since RabbitMQ 4.
const DEFAULT_DELIVERY_LIMIT: i64 = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Lane,
    DeadLetters,
    /// Its maximal length is the number of lanes; nothing in it is ever read.
    RecordOfLanes,
}

pub(super) fn findings(deployment: &Deployment, answers: &Answers) -> Vec<Finding> {
    let queues = match &answers.queues {
        Ok(queues) => rows(queues),
        Err(why) => return vec![no_queues(deployment, answers, why)],
    };
    let mut findings = Vec::new();
    for (name, role) in expected(&deployment.topology) {
        let examined = match named(queues, &name) {
            Some(row) => {
                let queue = Queue {
                    deployment,
                    answers,
                    name: &name,
                    role,
                    row,
                };
                queue.findings()
            }
            None => vec![missing(&name, role)],
        };
        findings.extend(examined);
    }
    grouped("queue", findings)
}

/// Whether the vhost has none of the deployment's queues.
pub(super) fn are_not_there(deployment: &Deployment, answers: &Answers) -> bool {
    answers.queues.as_ref().is_ok_and(|queues| {
        let expected = expected(&deployment.topology);
        let mut names = expected.iter().map(|(name, _)| name);
        names.all(|name| named(rows(queues), name).is_none())
    })
}

fn expected(topology: &Topology) -> Vec<(String, Role)> {
    let lanes = topology.lane_queues().map(|queue| (queue, Role::Lane));
    let others = [
        (topology.dead_letters_queue(), Role::DeadLetters),
        (topology.lanes_queue(), Role::RecordOfLanes),
    ];
    lanes
        .chain(others)
        .map(|(name, role)| (name.to_string(), role))
        .collect()
}

fn no_queues(deployment: &Deployment, answers: &Answers, why: &NoReply) -> Finding {
    let vhost = deployment.vhost.as_str();
    match why {
        NoReply::NotFound => Finding::broken(
            format!("vhost {vhost}"),
            "the broker has no such vhost: no process can connect",
            format!(
                "check rabbitmq.url; to create it: rabbitmqctl add_vhost {}, then {}",
                quoted(vhost),
                rabbitmqctl(
                    "set_permissions",
                    vhost,
                    &[&deployment.user, ".*", ".*", ".*"]
                )
            ),
        ),
        NoReply::Forbidden => Finding::unknown(
            "queues",
            format!(
                "queues, policies and members: not checked, because user {} of the management \
                 API may not look into vhost {vhost}",
                answers.asked_by
            ),
            format!(
                "let it look (it may change nothing thereby): {}",
                rabbitmqctl(
                    "set_permissions",
                    vhost,
                    &[&answers.asked_by, "^$", "^$", "^$"]
                )
            ),
        ),
        NoReply::Failed(_) => why.finding(
            "queues",
            "queues, policies and members",
            &answers.asked_by,
            "management",
        ),
    }
}

fn missing(name: &str, role: Role) -> Finding {
    let (level, what) = match role {
        Role::Lane => (
            Level::Broken,
            "missing: its orders are refused, and those that were in it are gone",
        ),
        Role::DeadLetters => (
            Level::Broken,
            "missing: an order that cannot be decided stops its lane, and the dead letters that \
             were in it are gone",
        ),
        Role::RecordOfLanes => (
            Level::Risk,
            "missing: a process with another queue.lanes would not be refused, and would put a \
             show's orders into another lane",
        ),
    };
    Finding::new(
        level,
        name,
        what,
        "if rabbitmq.prefix, queue.lanes and the vhost of rabbitmq.url are right, start a process: \
         each declares what is missing",
    )
}

struct Queue<'a> {
    deployment: &'a Deployment,
    answers: &'a Answers,
    name: &'a str,
    role: Role,
    row: &'a Value,
}

/// The subject of each finding is the name of the queue only, see [`grouped`].
impl Queue<'_> {
    fn findings(&self) -> Vec<Finding> {
        let mut findings = self.kind();
        findings.extend(self.replicas());
        match Settings::of(self.deployment, self.answers, self.name, self.row) {
            Ok(settings) => findings.extend(self.settings(&settings)),
            Err(unknown) => findings.push(unknown),
        }
        if self.role == Role::RecordOfLanes {
            findings.extend(self.record());
        }
        findings
    }

    fn finding(&self, level: Level, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding::new(level, self.name, what, remedy)
    }

    /// What was declared cannot be changed.
    fn declare_again(&self) -> String {
        format!(
            "stop the api processes, let the workers empty the lanes, stop the workers, {}, and \
             start a process, which declares it again",
            rabbitmqctl("delete_queue", &self.deployment.vhost, &[self.name])
        )
    }

    fn is_quorum(&self) -> bool {
        matches!(
            text(self.row, "type"),
            Some("quorum" | "rabbit_quorum_queue")
        )
    }

    fn kind(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if !self.is_quorum() {
            let kind = text(self.row, "type").unwrap_or("unknown");
            findings.push(self.finding(
                Level::Broken,
                format!("is of type {kind}, no quorum queue: it is on one node only"),
                self.declare_again(),
            ));
        }
        if self.row.get("durable").and_then(Value::as_bool) != Some(true) {
            findings.push(self.finding(
                Level::Broken,
                "is not durable: it is gone when the broker starts again",
                self.declare_again(),
            ));
        }
        findings
    }

    fn replicas(&self) -> Vec<Finding> {
        if !self.is_quorum() {
            return Vec::new();
        }
        let (Some(members), Some(online)) = (names(self.row, "members"), names(self.row, "online"))
        else {
            return vec![self.finding(
                Level::Unknown,
                "members: not checked, because the broker has not reported them",
                "run it again in 10 s; rabbitmq-queues quorum_status shows them",
            )];
        };
        let mut findings = Vec::new();
        if let Some(nodes) = self.answers.node_names()
            && members.len() < MEMBERS.min(nodes.len())
        {
            findings.push(self.too_few_members(&members, &nodes));
        }
        let offline: Vec<&str> = members
            .iter()
            .filter(|member| !online.contains(member))
            .copied()
            .collect();
        let start = format!("start {}", offline.join(", "));
        if online.len() * 2 <= members.len() {
            findings.push(self.finding(
                Level::Broken,
                format!(
                    "no majority: {} of {} members are online, so it takes and gives no orders",
                    online.len(),
                    members.len()
                ),
                start,
            ));
            return findings;
        }
        if !offline.is_empty() {
            findings.push(self.finding(
                Level::Risk,
                format!("members that are not online: {}", offline.join(", ")),
                start,
            ));
        }
        let leader = text(self.row, "leader").filter(|leader| online.contains(leader));
        let state = text(self.row, "state").unwrap_or_default();
        if leader.is_none() || ["down", "minority", "stopped", "crashed"].contains(&state) {
            findings.push(self.finding(
                Level::Broken,
                "no leader: it takes and gives no orders",
                format!(
                    "run it again in 10 s, an election takes no longer; if it stays, \
                     rabbitmq-queues quorum_status --vhost {} {} says where it hangs: restart the \
                     node of that member",
                    quoted(&self.deployment.vhost),
                    quoted(self.name)
                ),
            ));
        }
        findings
    }

    fn too_few_members(&self, members: &[&str], nodes: &[&str]) -> Finding {
        let wanted = MEMBERS.min(nodes.len());
        let prefix = self.deployment.topology.orders_exchange();
        let literally = |text: &str| text.replace('.', r"\.");
        let grow: Vec<String> = nodes
            .iter()
            .filter(|node| !members.contains(node))
            .take(wanted - members.len())
            .map(|node| {
                format!(
                    "rabbitmq-queues grow {} all --vhost-pattern {} --queue-pattern {}",
                    quoted(node),
                    quoted(&format!("^{}$", literally(&self.deployment.vhost))),
                    quoted(&format!(r"^{}\.", literally(prefix.as_str())))
                )
            })
            .collect();
        let meaning = if members.len() == 1 {
            "its node's death stops it, and its disk's death loses accepted orders"
        } else {
            "the death of one stops it"
        };
        self.finding(
            Level::Risk,
            format!(
                "{} member(s) of {wanted} on {} nodes: {meaning}",
                members.len(),
                nodes.len()
            ),
            grow.join("; "),
        )
    }

    #[expect(
        clippy::too_many_lines,
        reason = "a list: what each setting does to the queue"
    )]
    fn settings(&self, settings: &Settings) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut find = |level, what: String, setting: &Setting| {
            let mut remedies = settings.remedies(setting);
            if setting.is_declared {
                remedies.push(format!(
                    "the queue was declared with {}, which cannot be changed: {}",
                    setting.argument(),
                    self.declare_again()
                ));
            }
            findings.push(self.finding(level, what, remedies.join("; ")));
        };
        if let Some(expires) = settings.get("expires") {
            find(
                Level::Broken,
                format!(
                    "{expires} ms: the broker deletes the queue, with what is in it, after that \
                     time without a consumer"
                ),
                &expires,
            );
        }
        // The maximal length of the record means something else, and nothing in it is ever read.
        if self.role == Role::RecordOfLanes {
            return findings;
        }
        let overflow = settings.get("overflow");
        let refuses = overflow
            .as_ref()
            .is_some_and(|overflow| overflow.value == "reject-publish");
        let mut is_limited = false;
        for key in ["max-length", "max-length-bytes"] {
            let Some(limit) = settings.get(key) else {
                continue;
            };
            is_limited = true;
            if refuses {
                find(
                    Level::Risk,
                    format!("{limit}: orders beyond it are refused (overflow is reject-publish)"),
                    &limit,
                );
            } else {
                find(
                    Level::Broken,
                    format!(
                        "{limit}: beyond it the oldest accepted orders are dropped (overflow is \
                         drop-head)"
                    ),
                    &limit,
                );
            }
        }
        if let Some(overflow) = overflow
            && !is_limited
            && !refuses
        {
            find(
                Level::Risk,
                format!("{overflow}: as soon as a length is limited, accepted orders are dropped"),
                &overflow,
            );
        }
        if let Some(ttl) = settings.get("message-ttl") {
            find(
                Level::Broken,
                format!("{ttl} ms: accepted orders that wait longer are dropped"),
                &ttl,
            );
        }
        if let Some(exchange) = settings.get("dead-letter-exchange") {
            find(
                Level::Risk,
                format!(
                    "{exchange}: whatever the broker takes out of the queue goes there, where \
                     nobody decides it; `tickets dead-letters` does not know it"
                ),
                &exchange,
            );
        }
        if let Some(retry) = settings.get("delayed-retry-type")
            && retry.value != "disabled"
            && settings.get("delayed-retry-min").is_some()
        {
            find(
                Level::Broken,
                format!("{retry}: orders that come back are decided after later ones"),
                &retry,
            );
        }
        findings.extend(self.delivery_limit(settings));
        findings
    }

    fn delivery_limit(&self, settings: &Settings) -> Option<Finding> {
        let set = settings.get("delivery-limit");
        // Since RabbitMQ 4 the broker says what is in effect.
        let told = self.row.get("delivery_limit").and_then(Value::as_i64);
        let (limit, is_four) = match (told, self.answers.major_version()) {
            (Some(limit), _) => (Some(limit), true),
            (None, version) => {
                let limit = set.as_ref().and_then(|setting| setting.value.as_i64());
                let is_four = version.is_some_and(|version| version >= 4);
                let default = is_four.then_some(DEFAULT_DELIVERY_LIMIT);
                (limit.or(default), is_four)
            }
        };
        let limit = limit?;
        if limit >= NEVER || (is_four && limit < 0) {
            return None;
        }
        let (what, remedy) = match set {
            Some(setting) => {
                let mut remedies = settings.remedies(&setting);
                if remedies.is_empty() {
                    remedies.push(self.declare_again());
                }
                (format!("delivery-limit is {limit}"), remedies.join("; "))
            }
            None => (
                format!("delivery-limit is {limit}, the broker's default"),
                self.declare_again(),
            ),
        };
        Some(self.finding(
            Level::Broken,
            format!("{what}: accepted orders that were handed out that often are dropped"),
            remedy,
        ))
    }

    fn record(&self) -> Option<Finding> {
        let configured = self.deployment.topology.lanes.count();
        let recorded = self.row.get("arguments")?.get("x-max-length")?.as_u64()?;
        (recorded != u64::from(configured)).then(|| {
            self.finding(
                Level::Broken,
                format!(
                    "{configured} lanes are configured, but the broker was set up with {recorded}: \
                     no process with this configuration starts"
                ),
                format!(
                    "set queue.lanes to {recorded}, or drain the lanes and run `tickets lanes set \
                     {configured}`"
                ),
            )
        })
    }
}

#[cfg(test)]
pub(super) mod tests;
