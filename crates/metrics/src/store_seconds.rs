//! How long a store takes.

use std::sync::Arc;

use runtime::Timing;

use crate::{Labels, Metrics};

/// How long a store takes, by what it is asked for: the label `operation`.
#[derive(Clone)]
pub struct StoreSeconds {
    pub(crate) decide: Arc<Timing>,
    pub(crate) transition: Arc<Timing>,
    pub(crate) expire: Arc<Timing>,
    pub(crate) change_show: Arc<Timing>,
    pub(crate) find: Arc<Timing>,
    pub(crate) list: Arc<Timing>,
    pub(crate) history: Arc<Timing>,
    pub(crate) beat: Arc<Timing>,
    pub(crate) take_lane: Arc<Timing>,
    pub(crate) give_lane_back: Arc<Timing>,
    pub(crate) forget_worker: Arc<Timing>,
    pub(crate) read_claims: Arc<Timing>,
}

impl StoreSeconds {
    /// For all that measures one store.
    pub fn new(metrics: &mut Metrics) -> Self {
        let timing = || Arc::new(Timing::of_calls());
        let all = Self {
            decide: timing(),
            transition: timing(),
            expire: timing(),
            change_show: timing(),
            find: timing(),
            list: timing(),
            history: timing(),
            beat: timing(),
            take_lane: timing(),
            give_lane_back: timing(),
            forget_worker: timing(),
            read_claims: timing(),
        };
        let read = all.clone();
        metrics.timings(
            "tickets_store_seconds",
            "Time that the store takes for an operation",
            move || {
                let named = [
                    ("decide", &read.decide),
                    ("transition", &read.transition),
                    ("expire", &read.expire),
                    ("change_show", &read.change_show),
                    ("find", &read.find),
                    ("list", &read.list),
                    ("history", &read.history),
                    ("beat", &read.beat),
                    ("take_lane", &read.take_lane),
                    ("give_lane_back", &read.give_lane_back),
                    ("forget_worker", &read.forget_worker),
                    ("read_claims", &read.read_claims),
                ];
                let named = named.map(|(operation, timing)| {
                    let labels = Labels::from([("operation", operation.to_owned())]);
                    (labels, timing.read())
                });
                named.into()
            },
        );
        all
    }
}
