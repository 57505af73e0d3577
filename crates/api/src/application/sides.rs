//! The two sides of a process, of which it may have only one.

use std::sync::Arc;

use accepting::AcceptingSide;
use caching::{CachedState, MemoryStateCache};
use domain::gate::SoldOutGate;
use domain::ports::{DecidedState, StateCache};
use domain::use_cases::{BoxOffice, BoxOfficeParts, DecidingDesk};
use domain::waiting_line::{AcceptTally, WaitingLine};
use http_api::{AcceptingState, Guard, Live, ProcessState, Tracing};
use metrics::{MeasuredStateCache, Metrics};
use tokio_util::sync::{CancellationToken, DropGuard};
use worker::{DecisionLog, Worker};

use super::ground::Ground;
use crate::settings::CacheAdapter;
use crate::wiring::RedisPorts;

/// The side that takes orders.
pub(super) struct Accepting {
    pub(super) state: Arc<AcceptingState>,
    pub(super) side: Arc<AcceptingSide>,
    /// Keeps the keys of tokens current until it is dropped.
    _keys: DropGuard,
}

impl Ground {
    /// What those are told who only look. A store in this process needs no cache.
    pub(super) fn state(
        &self,
        redis: Option<&RedisPorts>,
        metrics: Option<&mut Metrics>,
    ) -> Option<Arc<dyn DecidedState>> {
        let settings = &self.settings.cache;
        if !self.settings.store.adapter().is_shared() {
            return None;
        }
        let redis = redis.filter(|_| settings.adapter == CacheAdapter::Redis);
        let mut cache: Arc<dyn StateCache> = match redis {
            Some(redis) => Arc::clone(&redis.state_cache),
            None => Arc::new(MemoryStateCache::new()),
        };
        if let Some(metrics) = metrics {
            cache = Arc::new(MeasuredStateCache::new(cache, metrics));
        }
        let (ledger, shows) = (
            Arc::clone(&self.store.ledger),
            Arc::clone(&self.store.shows),
        );
        let state = CachedState::new(ledger, shows, cache, settings.max_staleness);
        Some(Arc::new(state))
    }

    /// The side that takes orders.
    pub(super) fn accepting(
        &self,
        line: Arc<WaitingLine>,
        state: Option<Arc<dyn DecidedState>>,
        process: Arc<ProcessState>,
        spans: Option<Arc<dyn Tracing>>,
        guard: Guard,
        keys: DropGuard,
    ) -> Accepting {
        let (settings, lanes) = (&self.settings, self.settings.queue.lanes);
        let clock = self.dating();
        let tally = Arc::new(AcceptTally::new(self.process, lanes, clock.now()));
        self.queue.publisher.count_unheard(Arc::clone(&tally));
        let office = Arc::new(BoxOffice::new(BoxOfficeParts {
            users: Arc::clone(&self.store.users),
            shows: Arc::clone(&self.store.shows),
            publisher: Arc::clone(&self.queue.publisher),
            ledger: Arc::clone(&self.store.ledger),
            state,
            events: Arc::clone(&self.queue.events),
            clock,
            receipts: Arc::clone(&self.receipts),
            lanes,
            max_quantity: settings.tickets.max_quantity,
            gate: if settings.tickets.sold_out_gate {
                SoldOutGate::default()
            } else {
                SoldOutGate::always_open()
            },
            line,
            tally,
        }));
        let live = Arc::new(Live::new(Arc::clone(&office), settings.live.clone(), spans));
        let side = AcceptingSide::new(Arc::clone(&office), live.clone());
        Accepting {
            state: Arc::new(AcceptingState::new(process, office, live, guard)),
            side: Arc::new(side),
            _keys: keys,
        }
    }

    /// The side that decides orders.
    pub(super) fn deciding(&self) -> Worker {
        Worker {
            desk: DecidingDesk {
                ledger: Arc::clone(&self.store.ledger),
                events: Arc::clone(&self.queue.events),
                dead_letters: Arc::clone(&self.queue.dead_letters),
                clock: Arc::clone(&self.clock),
                receipts: Arc::clone(&self.receipts),
            },
            consumer: Arc::clone(&self.queue.consumer),
            claims: Arc::clone(&self.store.claims),
            process: self.process,
            lanes: self.settings.queue.lanes,
            settings: self.settings.worker.clone(),
            jitter: Box::new(rand::random_range),
            stop: CancellationToken::new(),
            held: Arc::default(),
            log: DecisionLog::default(),
        }
    }
}
