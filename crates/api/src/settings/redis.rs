//! `redis.*`

use fields::{Fields, text};
use secrecy::SecretString;

use super::reader::{needed, setting};
use super::urls as check;

/// Bytes of a prefix, which is a part of every key.
const MAX_PREFIX_LENGTH: usize = 64;

/// The section `redis`: what api processes share, and what none of them depends on.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// `redis://user:password@host:6379/0`
    pub url: SecretString,
    /// Goes before every key.
    pub prefix: String,
}

/// `Some(None)` if nothing needs it.
pub(super) fn read(fields: &mut Fields<'_, '_>, is_used: bool) -> Option<Option<RedisSettings>> {
    let url = needed(fields, "redis.url", is_used, text(check::redis));
    let prefix = setting(fields, "redis.prefix", text(prefix));
    let (url, prefix) = (url?.filter(|_| is_used), prefix?);
    let url = url.map(SecretString::from);
    Some(url.map(|url| RedisSettings { url, prefix }))
}

fn prefix(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._:-".contains(c);
    if text.len() <= MAX_PREFIX_LENGTH && text.chars().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "must be at most {MAX_PREFIX_LENGTH} characters of A-Za-z0-9._:-"
        ))
    }
}
