//! The queue in RabbitMQ.

use std::sync::Arc;

use adapter_rabbitmq::doctor::{BrokerDoctor, BrokerDoctorConfig};
use adapter_rabbitmq::{RabbitMq, RabbitMqConfig};
use async_trait::async_trait;
use domain::order::Lanes;
use domain::ports::{Clock, Examination, StoreIdentity};
use domain::receipt::ProcessId;
use domain::schedule::ClassSchedule;

use super::{QueueAdapter, QueuePorts, QueueUse, exposed};
use crate::settings::{RabbitMqSettings, Settings};

#[async_trait]
impl QueueAdapter for RabbitMqSettings {
    fn name(&self) -> &'static str {
        "rabbitmq"
    }

    fn unseen(&self) -> Option<&'static str> {
        self.management_urls.is_empty().then_some(
            "rabbitmq.management_urls is not set: policies, members, alarms and rights were not \
             checked",
        )
    }

    async fn connect(
        &self,
        settings: &Settings,
        clock: Arc<dyn Clock>,
        process: ProcessId,
        store: Option<Arc<dyn StoreIdentity>>,
        usage: QueueUse,
    ) -> anyhow::Result<QueuePorts> {
        /// Of up to 500 events each.
        const ANNOUNCEMENTS_BUFFERED: usize = 256;
        const DEAD_LETTERS_MAX: usize = 100_000;

        let queue = &settings.queue;
        let urls = exposed(&self.urls);
        let only_looks = usage == QueueUse::Looks;
        let mut examinations: Vec<Arc<dyn Examination>> = Vec::new();
        if !self.management_urls.is_empty() {
            let config = BrokerDoctorConfig {
                management_urls: exposed(&self.management_urls),
                urls: urls.clone(),
                prefix: self.prefix.clone(),
                lanes: queue.lanes,
                may_be_new: only_looks,
            };
            examinations.push(Arc::new(BrokerDoctor::new(&config)?));
        }
        let config = RabbitMqConfig {
            urls,
            prefix: self.prefix.clone(),
            lanes: queue.lanes,
            capacity: queue.capacity,
            publish_timeout: queue.publish_timeout,
            dead_letter_capacity: DEAD_LETTERS_MAX,
            schedule: ClassSchedule::new(queue.high_weight, queue.standard_weight),
            event_buffer: ANNOUNCEMENTS_BUFFERED,
            only_looks,
        };
        let queue = Arc::new(RabbitMq::start(&config, clock, process, store).await?);
        examinations.push(queue.clone());
        Ok(QueuePorts {
            publisher: queue.clone(),
            consumer: queue.clone(),
            dead_letters: queue.clone(),
            events: queue.clone(),
            dependency: queue,
            examinations,
        })
    }

    async fn set_lanes(
        &self,
        lanes: Lanes,
        store: Option<Arc<dyn StoreIdentity>>,
    ) -> anyhow::Result<()> {
        let urls = exposed(&self.urls);
        Ok(adapter_rabbitmq::set_lanes(&urls, &self.prefix, lanes, store).await?)
    }
}
