//! Adapters that are not compiled in.

/// A store, a queue or a Redis whose use is refused with the feature that it needs.
macro_rules! absent {
    (store $settings:ty, $feature:literal) => {
        impl StoreAdapter for $settings {
            fn name(&self) -> &'static str {
                $feature
            }

            fn connect(
                &self,
                _: &Settings,
                _: Arc<dyn Clock>,
                _: StoreUse,
            ) -> anyhow::Result<StorePorts> {
                not_compiled("store.adapter", $feature)
            }
        }
    };
    (queue $settings:ty, $feature:literal) => {
        #[async_trait]
        impl QueueAdapter for $settings {
            fn name(&self) -> &'static str {
                $feature
            }

            async fn connect(
                &self,
                _: &Settings,
                _: Arc<dyn Clock>,
                _: ProcessId,
                _: Option<Arc<dyn StoreIdentity>>,
                _: QueueUse,
            ) -> anyhow::Result<QueuePorts> {
                not_compiled("queue.adapter", $feature)
            }

            async fn set_lanes(
                &self,
                _: Lanes,
                _: Option<Arc<dyn StoreIdentity>>,
            ) -> anyhow::Result<()> {
                not_compiled("queue.adapter", $feature)
            }
        }
    };
    (redis $settings:ty, $feature:literal) => {
        impl $settings {
            /// Refused: it is not compiled in.
            ///
            /// # Errors
            /// Always.
            pub fn connect(
                &self,
                _: std::time::Duration,
                _: Option<Arc<dyn StoreIdentity>>,
            ) -> anyhow::Result<RedisPorts> {
                not_compiled("limits.store or cache.adapter", $feature)
            }
        }
    };
}

pub(super) use absent;
