//! What api processes share in Redis.

use std::sync::Arc;
use std::time::Duration;

use adapter_redis::{Redis, RedisConfig, RedisStateCache, RedisTokens};
use anyhow::Context;
use domain::ports::StoreIdentity;
use secrecy::ExposeSecret;

use super::RedisPorts;
use crate::settings::RedisSettings;

impl RedisSettings {
    /// Connects when it is first asked. Readers wait for its cache so long at most; the store's
    /// deployment is that of all keys.
    ///
    /// # Errors
    /// When it is not compiled in, with its feature; when its URL cannot work.
    pub fn connect(
        &self,
        cache_timeout: Duration,
        store: Option<Arc<dyn StoreIdentity>>,
    ) -> anyhow::Result<RedisPorts> {
        let config = RedisConfig {
            url: self.url.expose_secret().to_owned(),
            prefix: self.prefix.clone(),
            store,
        };
        let redis = Redis::new(&config).context("redis.url")?;
        let state_cache = Arc::new(RedisStateCache::new(redis.clone(), cache_timeout));
        Ok(RedisPorts {
            tokens: Arc::new(RedisTokens::new(redis)),
            dependency: state_cache.clone(),
            state_cache,
        })
    }
}
