//! What awaits its confirm. A node without a majority, or one that stands still, takes
//! messages and confirms none: then it is left for another one, and the messages are sent
//! again there.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::time::timeout;

use crate::error::BrokerError;
use crate::link::LiveChannel;

/// A node that confirmed nothing for so long, although something waits, is left.
pub(crate) const STALLED: Duration = Duration::from_secs(3);

/// Messages of one link that await their confirm.
#[derive(Default)]
pub(crate) struct Confirms(Mutex<State>);

#[derive(Default)]
struct State {
    /// Since when, by a number of its own.
    waiting: BTreeMap<u64, Instant>,
    entered: u64,
    latest: Option<Instant>,
}

/// One message, until it is confirmed or given up.
pub(crate) struct Unconfirmed<'a> {
    confirms: &'a Confirms,
    number: u64,
}

impl Drop for Unconfirmed<'_> {
    fn drop(&mut self) {
        self.confirms.0.lock().waiting.remove(&self.number);
    }
}

impl Confirms {
    /// A message is to be sent; however often, it waits from now on.
    pub(crate) fn enter(&self) -> Unconfirmed<'_> {
        let mut state = self.0.lock();
        state.entered += 1;
        let number = state.entered;
        state.waiting.insert(number, Instant::now());
        Unconfirmed {
            confirms: self,
            number,
        }
    }

    /// For how long the oldest message has waited.
    pub(crate) fn oldest(&self) -> Option<Duration> {
        let state = self.0.lock();
        // The numbers grow with time.
        state.waiting.values().next().map(Instant::elapsed)
    }

    fn has_stalled(&self) -> bool {
        let latest = self.0.lock().latest;
        latest.is_none_or(|latest| latest.elapsed() >= STALLED)
    }

    /// Awaits a confirm for as long as the queue may take; leaves the node if that confirms
    /// nothing at all.
    pub(crate) async fn wait<T>(
        &self,
        live: &LiveChannel,
        patience: Duration,
        confirm: impl Future<Output = Result<T, BrokerError>>,
    ) -> Result<T, BrokerError> {
        let mut confirm = pin!(confirm);
        let mut since = Instant::now();
        loop {
            match timeout(STALLED, &mut confirm).await {
                Ok(confirmed) => {
                    if confirmed.is_ok() {
                        self.0.lock().latest = Some(Instant::now());
                    }
                    return confirmed;
                }
                // It was sent before the alarm, and is read after it.
                Err(_) if live.is_blocked() => since = Instant::now(),
                Err(_) if self.has_stalled() => {
                    let stalled = BrokerError::Unconfirmed(STALLED);
                    live.leave(&stalled);
                    return Err(stalled);
                }
                // Others are confirmed, so it is this queue or channel, not the node.
                Err(_) if since.elapsed() >= patience => {
                    return Err(BrokerError::QueueSilent(patience));
                }
                Err(_) => {}
            }
        }
    }
}
