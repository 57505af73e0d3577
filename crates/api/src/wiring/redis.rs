//! What api processes share in Redis.

use std::sync::Arc;

use adapter_redis::{Redis, RedisConfig, RedisTokens};
use anyhow::Context;
use secrecy::ExposeSecret;

use super::RedisPorts;
use crate::settings::RedisSettings;

impl RedisSettings {
    /// Connects when it is first asked.
    ///
    /// # Errors
    /// When it is not compiled in, with its feature; when its URL cannot work.
    pub fn connect(&self) -> anyhow::Result<RedisPorts> {
        let config = RedisConfig {
            url: self.url.expose_secret().to_owned(),
            prefix: self.prefix.clone(),
        };
        let redis = Redis::new(&config).context("redis.url")?;
        Ok(RedisPorts {
            tokens: Arc::new(RedisTokens::new(redis.clone())),
            dependency: Arc::new(redis),
        })
    }
}
