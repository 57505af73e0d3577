//! What is in effect for a queue: its arguments, and the policies that the broker applies.

use domain::ports::Finding;
use std::fmt;

use serde_json::{Map, Value};

use crate::doctor::answers::{Answers, named, rows, text};
use crate::doctor::deployment::Deployment;
use crate::doctor::patterns;
use crate::doctor::shell::rabbitmqctl;

type Definition = Map<String, Value>;

/// A policy that the broker applies to a queue.
struct Policy {
    is_operators: bool,
    name: String,
    /// `None` if it may not be read.
    definition: Option<Definition>,
}

pub(super) struct Settings<'a> {
    vhost: &'a str,
    major_version: Option<u32>,
    /// What all policies together say.
    effective: Definition,
    policies: Vec<Policy>,
    arguments: Option<&'a Value>,
}

/// One setting, wherever it comes from.
pub(super) struct Setting {
    pub(super) key: &'static str,
    pub(super) value: Value,
    /// The queue's arguments have it.
    pub(super) is_declared: bool,
}

impl Setting {
    pub(super) fn argument(&self) -> String {
        format!("x-{}", self.key)
    }
}

/// `max-length is 3`
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::String(text) => write!(f, "{} is {text}", self.key),
            other => write!(f, "{} is {other}", self.key),
        }
    }
}

impl<'a> Settings<'a> {
    pub(super) fn of(
        deployment: &'a Deployment,
        answers: &'a Answers,
        queue: &str,
        row: &'a Value,
    ) -> Result<Self, Finding> {
        let reported = answers.reported_queues.as_ref().ok();
        let reported = reported.and_then(|queues| named(rows(queues), queue));
        let (policy, operators, effective) = match row.get("effective_policy_definition") {
            Some(effective) => (
                text(row, "policy"),
                text(row, "operator_policy"),
                Some(effective),
            ),
            // RabbitMQ 3 says now which policy applies, and some seconds later the rest.
            None => (
                text(row, "policy"),
                operators_policy(answers, queue, reported)
                    .map_err(|why| unknown(queue, answers, why))?,
                None,
            ),
        };
        let look_up = |name: Option<&str>, is_operators| {
            let list = if is_operators {
                &answers.operator_policies
            } else {
                &answers.policies
            };
            name.map(|name| Policy {
                is_operators,
                name: name.to_owned(),
                definition: list
                    .as_ref()
                    .ok()
                    .and_then(|list| named(rows(list), name)?.get("definition")?.as_object())
                    .cloned(),
            })
        };
        let policies: Vec<Policy> = [look_up(policy, false), look_up(operators, true)]
            .into_iter()
            .flatten()
            .collect();
        let effective = match effective {
            Some(effective) => definition(effective),
            None => match merged(&policies) {
                Some(effective) => effective,
                None => reported
                    .and_then(|row| row.get("effective_policy_definition"))
                    .map(definition)
                    .ok_or_else(|| {
                        unknown(
                            queue,
                            answers,
                            "the broker does not say what its policy says",
                        )
                    })?,
            },
        };
        Ok(Self {
            vhost: &deployment.vhost,
            major_version: answers.major_version(),
            effective,
            policies,
            arguments: row.get("arguments"),
        })
    }

    pub(super) fn get(&self, key: &'static str) -> Option<Setting> {
        let policy = self.effective.get(key);
        let argument = self
            .arguments
            .and_then(|arguments| arguments.get(format!("x-{key}")));
        let value = match (policy, argument) {
            (None, None) => return None,
            (Some(value), None) | (None, Some(value)) => value.clone(),
            (Some(policy), Some(argument)) => self.resolved(key, policy, argument),
        };
        Some(Setting {
            key,
            value,
            is_declared: argument.is_some(),
        })
    }

    /// Of numbers the smaller holds. A negative delivery limit is none since RabbitMQ 4.
    fn resolved(&self, key: &str, policy: &Value, argument: &Value) -> Value {
        let (Some(policy_number), Some(argument_number)) = (policy.as_i64(), argument.as_i64())
        else {
            return policy.clone();
        };
        let is_unlimited = key == "delivery-limit"
            && policy_number.min(argument_number) < 0
            && self.major_version.is_some_and(|version| version >= 4);
        if is_unlimited {
            policy_number.max(argument_number).into()
        } else {
            policy_number.min(argument_number).into()
        }
    }

    /// How to get rid of it where policies have it; nothing if none has.
    pub(super) fn remedies(&self, setting: &Setting) -> Vec<String> {
        if !self.effective.contains_key(setting.key) {
            return Vec::new();
        }
        let having = self.policies.iter().filter(|policy| {
            policy
                .definition
                .as_ref()
                .is_none_or(|definition| definition.contains_key(setting.key))
        });
        having
            .map(|policy| {
                let (word, set, clear) = if policy.is_operators {
                    (
                        "operator policy",
                        "set_operator_policy",
                        "clear_operator_policy",
                    )
                } else {
                    ("policy", "set_policy", "clear_policy")
                };
                format!(
                    "take {} out of {word} {} (rabbitmqctl {set}), let its pattern not match \
                     these queues, or remove it: {}",
                    setting.key,
                    policy.name,
                    rabbitmqctl(clear, self.vhost, &[&policy.name])
                )
            })
            .collect()
    }
}

/// Absent ones are `{}`, `[]`, `""` or `null`.
fn definition(value: &Value) -> Definition {
    value.as_object().cloned().unwrap_or_default()
}

/// As the broker merges them; `None` if one is not known.
fn merged(policies: &[Policy]) -> Option<Definition> {
    let mut effective = Definition::new();
    // The operators' comes last.
    for policy in policies {
        for (key, value) in policy.definition.as_ref()? {
            let smaller = match (effective.get(key).and_then(Value::as_i64), value.as_i64()) {
                (Some(before), Some(number)) => before.min(number).into(),
                _ => value.clone(),
            };
            effective.insert(key.clone(), smaller);
        }
    }
    Some(effective)
}

/// Which operator policy applies, of brokers that say so in their statistics only.
fn operators_policy<'a>(
    answers: &Answers,
    queue: &str,
    reported: Option<&'a Value>,
) -> Result<Option<&'a str>, &'static str> {
    if let Some(row) = reported
        && row.get("operator_policy").is_some()
    {
        return Ok(text(row, "operator_policy"));
    }
    // A new queue has no statistics yet, but most brokers have no operator policies either.
    let Ok(list) = &answers.operator_policies else {
        return Err("operator policies may not be listed, and the broker has not reported them");
    };
    let may_apply = rows(list).iter().any(|policy| {
        let pattern = text(policy, "pattern").unwrap_or_default();
        patterns::matches(pattern, queue) != Some(false)
    });
    if may_apply {
        Err("the broker has not reported yet which operator policy applies")
    } else {
        Ok(None)
    }
}

fn unknown(queue: &str, answers: &Answers, why: &str) -> Finding {
    Finding::unknown(
        queue,
        format!("policies: not checked, because {why}"),
        format!(
            "run it again in 10 s; if it stays, give user {} of the management API the tag \
             administrator, and see to it that management.disable_stats is not true",
            answers.asked_by
        ),
    )
}
