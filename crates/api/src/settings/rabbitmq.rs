//! `rabbitmq.*`

use std::sync::Arc;

use secrecy::SecretString;

use super::reader::{Reader, several_urls};
use super::urls as check;
use crate::wiring::QueueAdapter;

/// Queue names have at most 255 bytes.
const MAX_PREFIX_LENGTH: usize = 64;

/// `rabbitmq.*`
#[derive(Debug, Clone)]
pub struct RabbitMqSettings {
    /// The nodes of the broker: `amqp://user:password@host:port/vhost`.
    pub urls: Vec<SecretString>,
    /// Of the broker's management API, tried in turn. Empty if it is not to be asked.
    pub management_urls: Vec<SecretString>,
    /// Goes before the name of every exchange and queue.
    pub prefix: String,
}

pub(super) fn read(reader: &mut Reader, is_used: bool) -> Option<Arc<dyn QueueAdapter>> {
    Some(Arc::new(settings(reader, is_used)?))
}

pub(super) fn settings(reader: &mut Reader, is_used: bool) -> Option<RabbitMqSettings> {
    let urls = reader.urls("rabbitmq.url", "rabbitmq.urls", is_used, check::amqp);
    let prefix = reader.take("rabbitmq.prefix", |text| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if text.len() <= MAX_PREFIX_LENGTH && text.chars().all(is_plain) {
            Ok(text.to_owned())
        } else {
            Err(format!(
                "must be at most {MAX_PREFIX_LENGTH} characters of A-Za-z0-9._-"
            ))
        }
    });
    let management_urls = reader.take("rabbitmq.management_urls", |text| {
        if text.is_empty() {
            Ok(Vec::new())
        } else {
            several_urls(text, check::management)
        }
    });
    Some(RabbitMqSettings {
        urls: urls?,
        management_urls: management_urls?,
        prefix: prefix?,
    })
}
