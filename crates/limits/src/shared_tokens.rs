//! Asks the store of tokens for all limits of a process: for many clients at once, in a bounded
//! time, and not at all while it does not answer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use runtime::{Coalescer, NotCalled, error_chain};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::leases::Leases;
use crate::rate::Rate;
use crate::token_store::{Lease, TokenStore, TokensUnavailable, Want};

/// Between two looks whether a store that failed answers again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Clients that the store is asked for at once.
const MAX_CLIENTS_AT_ONCE: usize = 500;

/// The tokens that this process shares with others, of all its limits.
pub struct SharedTokens {
    calls: Coalescer<Question, Result<(), Duration>, NotAnswered>,
    watched: Arc<Watched>,
}

/// Whether a client may.
pub(crate) struct Question {
    pub(crate) policy: &'static str,
    pub(crate) leases: Arc<Leases>,
    pub(crate) client: u64,
    /// What the store calls the client.
    pub(crate) name: String,
    pub(crate) takes: bool,
}

/// The store did not say: the process decides by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NotAnswered;

impl From<NotCalled> for NotAnswered {
    fn from(_: NotCalled) -> Self {
        Self
    }
}

impl SharedTokens {
    /// Looks whether the store answers, and returns at the latest when the store gives up. A call
    /// that takes longer than `patience` is a failure, and a store that failed is asked by nobody
    /// until it is quicker. A request waits for the call under way and for its own: no longer than
    /// twice that. Must be called inside of a tokio runtime, on which the store is asked.
    pub async fn start(store: Arc<dyn TokenStore>, patience: Duration) -> Self {
        let watched = Arc::new(Watched {
            store,
            patience,
            answers: AtomicBool::new(true),
            failure: Mutex::default(),
        });
        // The first time it may have to be connected.
        if watched.probe().await.is_err()
            && let Err(error) = watched.probe().await
        {
            watched.give_up(&error);
        }
        let asked = Arc::clone(&watched);
        let calls = Coalescer::new(MAX_CLIENTS_AT_ONCE, move |questions| {
            let asked = Arc::clone(&asked);
            async move { asked.answer(questions).await }
        });
        Self { calls, watched }
    }

    /// Whether the store is worth waiting for.
    pub(crate) fn is_answering(&self) -> bool {
        self.watched.answers.load(Ordering::Relaxed)
    }

    /// Why limits are not shared now, if they are not.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.watched.failure.lock().clone()
    }

    /// Takes a token for one client, or looks for one.
    pub(crate) async fn ask(
        &self,
        question: Question,
    ) -> Result<Result<(), Duration>, NotAnswered> {
        // Longer only if more is asked than the store can answer, which is a failure of it, too.
        let longest = self.watched.patience * 2;
        let asked = timeout(longest, self.calls.call(question)).await;
        asked.unwrap_or_else(|_| {
            self.watched.give_up(&too_slow(longest));
            Err(NotAnswered)
        })
    }
}

/// A store, and whether it answers.
struct Watched {
    store: Arc<dyn TokenStore>,
    patience: Duration,
    answers: AtomicBool,
    /// Why it does not.
    failure: Mutex<Option<String>>,
}

/// What is asked for one client.
struct Wanting<'q> {
    of: &'q Question,
    takers: u32,
}

impl Watched {
    async fn answer(
        self: &Arc<Self>,
        questions: Vec<Question>,
    ) -> Result<Vec<Result<(), Duration>>, NotAnswered> {
        let now = Instant::now();
        // What was asked for meanwhile may have been left over by the call before.
        let known = |one: &Question| one.leases.ask(one.client, one.takes, now);
        let known: Vec<_> = questions.iter().map(known).collect();
        let mut places = HashMap::new();
        let mut asked: Vec<Wanting<'_>> = Vec::new();
        for (question, known) in questions.iter().zip(&known) {
            if known.is_some() {
                continue;
            }
            let place = places.entry((question.policy, question.client));
            let place = place.or_insert_with(|| {
                let (of, takers) = (question, 0);
                asked.push(Wanting { of, takers });
                asked.len() - 1
            });
            asked[*place].takers += u32::from(question.takes);
        }
        let wants: Vec<_> = asked.iter().map(|asked| asked.want(now)).collect();
        let mut leases = self.lease(&wants).await?;
        let answers = questions.iter().zip(known).map(|(question, known)| {
            let place = places.get(&(question.policy, question.client));
            known.or_else(|| Some(use_up(&mut leases[*place?], question.takes)))
        });
        let answers: Option<Vec<_>> = answers.collect();
        let now = Instant::now();
        for ((asked, want), left) in asked.iter().zip(wants).zip(leases) {
            let question = asked.of;
            question
                .leases
                .keep(question.client, left, want.tokens, now);
        }
        answers.ok_or(NotAnswered)
    }

    async fn lease(self: &Arc<Self>, wants: &[Want]) -> Result<Vec<Lease>, NotAnswered> {
        if wants.is_empty() {
            return Ok(Vec::new());
        }
        if !self.answers.load(Ordering::Relaxed) {
            return Err(NotAnswered);
        }
        let error = match timeout(self.patience, self.store.lease(wants)).await {
            Ok(Ok(leases)) if leases.len() == wants.len() => {
                let leases = wants.iter().zip(leases);
                return Ok(leases.map(|(want, lease)| plausible(want, lease)).collect());
            }
            Ok(Ok(_)) => TokensUnavailable("it gave another number of leases".into()),
            Ok(Err(error)) => error,
            Err(_) => too_slow(self.patience),
        };
        self.give_up(&error);
        Err(NotAnswered)
    }

    /// Finds out whether it can be asked.
    async fn probe(&self) -> Result<(), TokensUnavailable> {
        let want = Want {
            policy: "probe",
            client: String::new(),
            rate: Rate::PROBE,
            tokens: 1,
        };
        let asked = tokio::time::Instant::now();
        // Until it gives up by itself: it may find its connection broken by that only.
        self.store.lease(&[want]).await?;
        if asked.elapsed() > self.patience {
            return Err(too_slow(self.patience));
        }
        Ok(())
    }

    /// Asks it no more until it answers again. The first failure is said.
    fn give_up(self: &Arc<Self>, error: &TokensUnavailable) {
        if !self.answers.swap(false, Ordering::Relaxed) {
            return;
        }
        let error = error_chain(error);
        *self.failure.lock() = Some(error.clone());
        warn!(
            error,
            "limits of clients are not shared with other processes: this one goes by what it has \
             seen itself until their store answers"
        );
        tokio::spawn(Self::look_until_it_answers(Arc::downgrade(self)));
    }

    async fn look_until_it_answers(watched: Weak<Self>) {
        loop {
            sleep(LOOK_AGAIN).await;
            let Some(watched) = watched.upgrade() else {
                return;
            };
            if watched.probe().await.is_ok() {
                *watched.failure.lock() = None;
                watched.answers.store(true, Ordering::Relaxed);
                info!("limits of clients are shared with other processes again");
                return;
            }
        }
    }
}

impl Wanting<'_> {
    fn want(&self, now: Instant) -> Want {
        let question = self.of;
        Want {
            policy: question.policy,
            client: question.name.clone(),
            rate: question.leases.rate(),
            tokens: match self.takers {
                0 => 0,
                takers => takers.max(question.leases.portion(question.client, now)),
            },
        }
    }
}

/// One question's part of a lease.
fn use_up(lease: &mut Lease, takes: bool) -> Result<(), Duration> {
    match lease.tokens {
        0 if takes || !lease.next_in.is_zero() => Err(lease.next_in),
        _ => {
            lease.tokens -= u32::from(takes);
            Ok(())
        }
    }
}

/// What a store that counts wrong cannot exceed.
fn plausible(want: &Want, lease: Lease) -> Lease {
    Lease {
        tokens: lease.tokens.min(want.tokens),
        next_in: lease.next_in.min(want.rate.per_token()),
    }
}

fn too_slow(patience: Duration) -> TokensUnavailable {
    TokensUnavailable(format!("it took longer than {patience:?}").into())
}
