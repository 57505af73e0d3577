//! A rate for each of many clients, in this process or in all that share it.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either};

use crate::exceeded::Exceeded;
use crate::leases::Leases;
use crate::own_limit::OwnLimit;
use crate::rate::Rate;
use crate::shared_tokens::{Question, SharedTokens};
use crate::subject::Subject;

/// Whether a client may: known at once, or when the store of tokens has answered.
pub type Asked = Either<Ready<Permission>, BoxFuture<'static, Permission>>;

type Permission = Result<(), Exceeded>;

/// How often each client may do something. A client that did nothing for a period may do all of
/// it at once.
///
/// What it shares with other processes it counts by itself, too: a client gets no more from this
/// process than the limit allows, whatever the store says, and does not begin anew when the store
/// fails.
pub struct Limit {
    own: OwnLimit,
    shared: Option<Shared>,
}

struct Shared {
    tokens: Arc<SharedTokens>,
    leases: Arc<Leases>,
}

impl Limit {
    /// Nobody has done anything yet. `policy` is the setting's name in the section `limits`. With
    /// `tokens` the limit is that of all processes which have theirs from the same store.
    #[must_use]
    pub fn new(policy: &'static str, rate: Rate, tokens: Option<&Arc<SharedTokens>>) -> Self {
        Self {
            own: OwnLimit::new(policy, rate),
            shared: tokens.map(|tokens| Shared {
                tokens: Arc::clone(tokens),
                leases: Arc::new(Leases::new(rate)),
            }),
        }
    }

    /// Takes a token of the client's; [`Exceeded`] if there is none. Nothing is taken then.
    pub fn take(self: &Arc<Self>, subject: Subject<'_>) -> Asked {
        self.ask(subject, true)
    }

    /// Whether [`Self::take`] would find a token.
    pub fn check(self: &Arc<Self>, subject: Subject<'_>) -> Asked {
        self.ask(subject, false)
    }

    fn ask(self: &Arc<Self>, subject: Subject<'_>, takes: bool) -> Asked {
        let client = self.own.client(subject);
        let Some(shared) = &self.shared else {
            return Either::Left(ready(self.own.ask(client, takes)));
        };
        match shared.leases.ask(client, takes, Instant::now()) {
            Some(known) => Either::Left(ready(self.conclude(known, client, takes))),
            None if !shared.tokens.is_answering() => {
                Either::Left(ready(self.own.ask(client, takes)))
            }
            None => {
                let question = Question {
                    policy: self.own.policy(),
                    leases: Arc::clone(&shared.leases),
                    client,
                    name: subject.to_string(),
                    takes,
                };
                let (limit, tokens) = (Arc::clone(self), Arc::clone(&shared.tokens));
                let waits = async move {
                    // Without an answer this process decides by itself.
                    let answer = tokens.ask(question).await.unwrap_or(Ok(()));
                    limit.conclude(answer, client, takes)
                };
                Either::Right(waits.boxed())
            }
        }
    }

    /// What all processes together have let through does not say that this one has tokens, too.
    fn conclude(&self, shared: Result<(), Duration>, client: u64, takes: bool) -> Permission {
        match shared {
            Ok(()) => self.own.ask(client, takes),
            Err(wait) => Err(self.own.refuse(wait)),
        }
    }

    /// The setting's name in the section `limits`, and how often a client was refused.
    #[must_use]
    pub fn refusals(&self) -> (&'static str, u64) {
        (self.own.policy(), self.own.refused.total())
    }

    /// Forgets clients that have all their tokens again. If too many are left, it forgets all:
    /// a flood from very many addresses costs the limit some of its strictness, and refuses no
    /// other client.
    pub fn sweep(&self) {
        self.own.sweep();
        if let Some(shared) = &self.shared {
            shared.leases.sweep(Instant::now());
        }
    }
}
