//! `rabbitmq.*`

use fields::{Fields, all, text};
use secrecy::SecretString;

use super::reader::{setting, several_urls, urls};
use super::urls as check;

/// Queue names have at most 255 bytes.
const MAX_PREFIX_LENGTH: usize = 64;

/// The section `rabbitmq`: the nodes of the broker and the names of its queues.
#[derive(Debug, Clone)]
pub struct RabbitMqSettings {
    /// The nodes of the broker: `amqp://user:password@host:port/vhost`.
    pub urls: Vec<SecretString>,
    /// Of the broker's management API, tried in turn. Empty if it is not to be asked.
    pub management_urls: Vec<SecretString>,
    /// Goes before the name of every exchange and queue.
    pub prefix: String,
}

pub(super) fn settings(fields: &mut Fields<'_, '_>, is_used: bool) -> Option<RabbitMqSettings> {
    all!(RabbitMqSettings {
        urls: urls(
            fields,
            "rabbitmq.url",
            "rabbitmq.urls",
            is_used,
            check::amqp
        ),
        management_urls: setting(fields, "rabbitmq.management_urls", text(management_urls)),
        prefix: setting(fields, "rabbitmq.prefix", text(prefix)),
    })
}

fn management_urls(text: &str) -> Result<Vec<SecretString>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    several_urls(text, check::management)
}

fn prefix(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.len() <= MAX_PREFIX_LENGTH && text.chars().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "must be at most {MAX_PREFIX_LENGTH} characters of A-Za-z0-9._-"
        ))
    }
}
