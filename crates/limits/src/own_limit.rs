//! A rate for each of many clients of this process, by GCRA.

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::{DashMapStateStore, ShrinkableKeyedStateStore};
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use runtime::Count;

use crate::exceeded::{self, Exceeded};
use crate::rate::Rate;
use crate::subject::Subject;

/// Clients that a limit remembers after [`OwnLimit::sweep`]; about 40 bytes each.
pub(crate) const MAX_CLIENTS: usize = 1_000_000;

/// How often each client may do something in this process.
pub(crate) struct OwnLimit<C: Clock = MonotonicClock> {
    policy: &'static str,
    rate: Rate,
    tokens: RateLimiter<Question, States, C, NoOpMiddleware<C::Instant>>,
    /// Drawn at the start, so that nobody can look for two clients that count as one.
    hasher: RandomState,
    /// How often a client was refused, also by what processes share.
    pub(crate) refused: Count,
}

impl OwnLimit {
    /// Nobody has done anything yet.
    pub(crate) fn new(policy: &'static str, rate: Rate) -> Self {
        Self::by(MonotonicClock, policy, rate)
    }
}

impl<C: Clock> OwnLimit<C> {
    fn by(clock: C, policy: &'static str, rate: Rate) -> Self {
        // A microsecond at least: see `Rate::MAX`.
        let per_token = rate.per_token();
        let quota = Quota::with_period(per_token).unwrap_or(Quota::per_second(rate.count()));
        Self {
            policy,
            rate,
            tokens: RateLimiter::new(
                quota.allow_burst(rate.count()),
                States(DashMapStateStore::default()),
                clock,
            ),
            hasher: RandomState::new(),
            refused: Count::default(),
        }
    }

    /// The setting's name in the section `limits`.
    pub(crate) fn policy(&self) -> &'static str {
        self.policy
    }

    /// What the client is called here.
    pub(crate) fn client(&self, subject: Subject<'_>) -> u64 {
        self.hasher.hash_one(subject)
    }

    /// Takes a token of the client's, or only looks for one.
    pub(crate) fn ask(&self, client: u64, takes: bool) -> Result<(), Exceeded> {
        let asked = self.tokens.check_key(&Question { client, takes });
        asked.map_err(|until| self.refuse(until.wait_time_from(self.tokens.clock().now())))
    }

    /// Refuses a client, which has to wait so long, and says what it is told.
    pub(crate) fn refuse(&self, wait: Duration) -> Exceeded {
        self.refused.add_one();
        Exceeded {
            policy: self.policy,
            quota: exceeded::Quota::Rate(self.rate),
            wait,
        }
    }

    /// Forgets clients that have all their tokens again; if too many are left, all.
    pub(crate) fn sweep(&self) {
        self.tokens.retain_recent();
    }
}

/// What is asked of [`States`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Question {
    client: u64,
    takes: bool,
}

/// What is remembered of each client, which a question that does not take leaves as it is.
struct States(DashMapStateStore<u64>);

impl StateStore for States {
    type Key = Question;

    fn measure_and_replace<T, F, E>(&self, question: &Question, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        if question.takes {
            return self.0.measure_and_replace(&question.client, decide);
        }
        let decided = match self.0.get(&question.client) {
            None => decide(None),
            Some(state) => {
                let look = |arrival| Err::<(Infallible, Nanos), _>(decide(arrival));
                let Err(decided) = state.measure_and_replace(&NotKeyed::NonKey, look);
                decided
            }
        };
        decided.map(|(outcome, _)| outcome)
    }
}

impl ShrinkableKeyedStateStore<Question> for States {
    fn retain_recent(&self, drop_below: Nanos) {
        self.0.retain_recent(drop_below);
        if self.0.len() > MAX_CLIENTS {
            self.0.clear();
        }
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use governor::clock::FakeRelativeClock;

    use super::*;
    use crate::network::Network;

    fn limit(rate: &str) -> (OwnLimit<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let limit = OwnLimit::by(clock.clone(), "orders_per_user", rate.parse().unwrap());
        (limit, clock)
    }

    impl OwnLimit<FakeRelativeClock> {
        fn take(&self, subject: Subject<'_>) -> Result<(), Exceeded> {
            self.ask(self.client(subject), true)
        }

        fn check(&self, subject: Subject<'_>) -> Result<(), Exceeded> {
            self.ask(self.client(subject), false)
        }
    }

    fn at(address: &str) -> Subject<'static> {
        Subject::Address(Network::from(address.parse::<IpAddr>().unwrap()))
    }

    #[test]
    fn each_client_has_its_own_tokens_and_learns_when_there_is_another() {
        let (limit, clock) = limit("3/m");
        let ada = Subject::User("ada");
        for _ in 0..3 {
            limit.take(ada).unwrap();
        }
        assert_eq!(limit.take(ada).unwrap_err().wait, Duration::from_secs(20));
        limit.take(Subject::User("bob")).unwrap();
        clock.advance(Duration::from_secs(5));
        assert_eq!(limit.take(ada).unwrap_err().wait, Duration::from_secs(15));
        clock.advance(Duration::from_secs(15));
        limit.take(ada).unwrap();
        limit.take(ada).unwrap_err();
    }

    #[test]
    fn addresses_of_one_64_share_their_tokens_and_an_address_is_no_user() {
        let (limit, _) = limit("1/h");
        limit.take(at("2001:db8::1")).unwrap();
        limit.take(at("2001:db8::ffff")).unwrap_err();
        limit.take(at("2001:db8:0:1::1")).unwrap();
        limit.take(at("192.0.2.7")).unwrap();
        limit.take(at("::ffff:192.0.2.7")).unwrap_err();
        limit.take(Subject::User("192.0.2.7")).unwrap();
    }

    #[test]
    fn a_check_takes_nothing_and_says_what_a_taking_would() {
        let (limit, clock) = limit("2/m");
        let ada = Subject::User("ada");
        for _ in 0..9 {
            limit.check(ada).unwrap();
        }
        assert!(limit.tokens.is_empty());
        limit.take(ada).unwrap();
        limit.check(ada).unwrap();
        limit.take(ada).unwrap();
        assert_eq!(limit.check(ada), limit.take(ada));
        clock.advance(Duration::from_secs(30));
        limit.check(ada).unwrap();
    }

    #[test]
    fn clients_with_all_their_tokens_are_forgotten() {
        let (limit, clock) = limit("60/m");
        for client in 0..1_000 {
            limit.take(Subject::User(&client.to_string())).unwrap();
        }
        let ada = Subject::User("ada");
        for _ in 0..60 {
            limit.take(ada).unwrap();
        }
        limit.sweep();
        assert_eq!(limit.tokens.len(), 1_001);
        clock.advance(Duration::from_secs(3));
        limit.sweep();
        assert_eq!(limit.tokens.len(), 1);
        for _ in 0..3 {
            limit.take(ada).unwrap();
        }
        limit.take(ada).unwrap_err();
    }

    #[test]
    fn however_many_come_not_more_than_so_many_are_remembered() {
        let (limit, _) = limit("1/h");
        for client in 0..=MAX_CLIENTS as u64 {
            let client = Question {
                client,
                takes: true,
            };
            limit.tokens.check_key(&client).unwrap();
        }
        limit.sweep();
        assert!(limit.tokens.is_empty());
    }
}
