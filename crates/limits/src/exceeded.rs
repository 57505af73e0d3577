//! What a client is told that has reached a limit.

use std::fmt;
use std::time::Duration;

use crate::rate::Rate;

/// A limit that a client has reached.
///
/// The fields of answers are those of `draft-ietf-httpapi-ratelimit-headers-10`. The name of the
/// policy is that of the setting, without its section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    pub(crate) policy: &'static str,
    pub(crate) quota: Quota,
    /// Until there is room for one request more.
    pub(crate) wait: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quota {
    Rate(Rate),
    Concurrent(usize),
}

impl Exceeded {
    /// The setting's name in the section `limits`.
    #[must_use]
    pub const fn policy(&self) -> &'static str {
        self.policy
    }

    /// `Retry-After` (RFC 9110, section 10.2.3): whole seconds, never 0, and never too early.
    #[must_use]
    pub fn retry_after(&self) -> u64 {
        let begun = u64::from(self.wait.subsec_nanos() > 0);
        (self.wait.as_secs() + begun).max(1)
    }

    /// `RateLimit`: what is left, and for how long that is so.
    #[must_use]
    pub fn rate_limit(&self) -> String {
        let policy = self.policy;
        match self.quota {
            Quota::Rate(_) => format!("\"{policy}\";r=0;t={}", self.retry_after()),
            // Nobody knows when the client ends one of them.
            Quota::Concurrent(_) => format!("\"{policy}\";r=0"),
        }
    }

    /// `RateLimit-Policy`: what the limit is.
    #[must_use]
    pub fn rate_limit_policy(&self) -> String {
        let policy = self.policy;
        match self.quota {
            Quota::Rate(rate) => {
                let (count, period) = (rate.count(), rate.period().as_secs());
                format!("\"{policy}\";q={count};w={period}")
            }
            Quota::Concurrent(max) => format!("\"{policy}\";q={max};qu=\"concurrent-requests\""),
        }
    }
}

/// The limit and its setting, as part of a sentence.
impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.quota {
            Quota::Rate(rate) => write!(f, "{rate} (limits.{})", self.policy),
            Quota::Concurrent(max) => write!(f, "{max} at the same time (limits.{})", self.policy),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(wait: Duration) -> Exceeded {
        Exceeded {
            policy: "orders_per_user",
            quota: Quota::Rate("100/m".parse().unwrap()),
            wait,
        }
    }

    #[test]
    fn seconds_are_rounded_up_and_never_none() {
        for (nanos, seconds) in [
            (0, 1),
            (1, 1),
            (600_000_000, 1),
            (1_000_000_000, 1),
            (1_000_000_001, 2),
        ] {
            assert_eq!(after(Duration::from_nanos(nanos)).retry_after(), seconds);
        }
    }

    #[test]
    fn the_fields_name_the_setting() {
        let exceeded = after(Duration::from_millis(1_500));
        assert_eq!(exceeded.rate_limit(), r#""orders_per_user";r=0;t=2"#);
        let policy = r#""orders_per_user";q=100;w=60"#;
        assert_eq!(exceeded.rate_limit_policy(), policy);
        assert_eq!(exceeded.to_string(), "100/m (limits.orders_per_user)");
        let streams = Exceeded {
            policy: "streams_per_address",
            quota: Quota::Concurrent(20),
            wait: Duration::ZERO,
        };
        assert_eq!(streams.rate_limit(), r#""streams_per_address";r=0"#);
        let policy = r#""streams_per_address";q=20;qu="concurrent-requests""#;
        assert_eq!(streams.rate_limit_policy(), policy);
        assert_eq!(streams.retry_after(), 1);
    }
}
