//! Which requests are sampled.

use std::num::NonZeroU32;

use domain::trace::TraceParent;
use governor::{DefaultDirectRateLimiter, Quota};

/// Traces a second that are sampled for no other reason than that their callers want it. Anybody
/// may say so: without a limit, each client could fill the queue of spans, and the collector's disk.
const MAX_WANTED: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// By ratio, and by what callers say.
pub struct Sampler {
    ratio: f64,
    wanted: DefaultDirectRateLimiter,
}

impl Sampler {
    /// `ratio` is from 0 to 1.
    pub(crate) fn new(ratio: f64) -> Self {
        Self {
            ratio: ratio.clamp(0.0, 1.0),
            wanted: DefaultDirectRateLimiter::direct(Quota::per_second(MAX_WANTED)),
        }
    }

    /// Whether a request with this `traceparent` is sampled. A caller that does not sample its
    /// trace is followed, and one that does up to a limit; the ratio says the rest. It is drawn:
    /// the ids are the caller's, and could be chosen.
    #[must_use]
    pub fn samples(&self, caller: Option<TraceParent>) -> bool {
        match caller {
            Some(caller) if !caller.is_sampled => false,
            Some(_) if self.wanted.check().is_ok() => true,
            Some(_) | None => rand::random_bool(self.ratio),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::trace::TraceContext;

    use super::*;

    fn caller(is_sampled: bool) -> Option<TraceParent> {
        let context = TraceContext {
            trace_id: 1,
            span_id: 1,
        };
        Some(TraceParent {
            context,
            is_sampled,
        })
    }

    #[test]
    fn the_ratio_counts_where_no_caller_says_anything() {
        assert!(!Sampler::new(0.0).samples(None));
        assert!(Sampler::new(1.0).samples(None));
        assert!(!Sampler::new(1.0).samples(caller(false)));
        assert!(Sampler::new(0.0).samples(caller(true)));
    }

    #[test]
    fn callers_alone_cannot_have_all_sampled() {
        let sampler = Sampler::new(0.0);
        let sampled = (0..100_000).filter(|_| sampler.samples(caller(true)));
        // As many again may come in each second that the loop takes.
        assert!(sampled.count() < 50_000);
        let sampler = Sampler::new(1.0);
        assert!((0..1_000).all(|_| sampler.samples(caller(true))));
    }
}
