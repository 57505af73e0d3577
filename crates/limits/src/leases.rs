//! Tokens of one limit that this process has taken out of the store.

use std::time::{Duration, Instant};

use dashmap::DashMap;

use crate::own_limit::MAX_CLIENTS;
use crate::rate::Rate;
use crate::token_store::Lease;

/// For so long a process may use tokens that it has taken: any longer, and a client could save
/// them up in each process.
const LEASE: Duration = Duration::from_secs(1);
/// A process takes no more than such a part of a client's tokens at once, unless as many requests
/// wait for them. What it does not use is lost to the client.
const MAX_PART: u32 = 20;

/// What is left of them, and which clients have none.
pub(crate) struct Leases {
    rate: Rate,
    clients: DashMap<u64, Held>,
}

/// Of one client.
#[derive(Debug, Clone, Copy)]
struct Held {
    tokens: u32,
    /// How many were taken out together.
    portion: u32,
    /// Until then the tokens can be used; of one that is refused, until then there is none.
    until: Instant,
    is_refused: bool,
}

impl Leases {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            clients: DashMap::new(),
        }
    }

    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }

    /// Whether the client may, as far as that is known here, or how long it has to wait.
    pub(crate) fn ask(
        &self,
        client: u64,
        takes: bool,
        now: Instant,
    ) -> Option<Result<(), Duration>> {
        let mut held = self.clients.get_mut(&client)?;
        if held.until <= now {
            return None;
        }
        if held.is_refused {
            return Some(Err(held.until - now));
        }
        if held.tokens == 0 {
            return None;
        }
        held.tokens -= u32::from(takes);
        Some(Ok(()))
    }

    /// How many tokens are taken out next: twice as many each time that a client has used up all
    /// of them within [`LEASE`], so that one who asks once takes no more than its own.
    pub(crate) fn portion(&self, client: u64, now: Instant) -> u32 {
        let max = (self.rate.count().get() / MAX_PART).max(1);
        match self.clients.get(&client).as_deref() {
            Some(held) if held.until > now && !held.is_refused => {
                held.portion.saturating_mul(2).clamp(1, max)
            }
            _ => 1,
        }
    }

    /// Keeps what is left of a lease of `portion` tokens.
    pub(crate) fn keep(&self, client: u64, left: Lease, portion: u32, now: Instant) {
        let is_refused = left.tokens == 0 && !left.next_in.is_zero();
        let lasts = if is_refused { left.next_in } else { LEASE };
        let held = Held {
            tokens: left.tokens,
            portion,
            until: now + lasts,
            is_refused,
        };
        self.clients.insert(client, held);
    }

    /// Forgets what is over; if too much is left, all of it.
    pub(crate) fn sweep(&self, now: Instant) {
        self.clients.retain(|_, held| held.until > now);
        if self.clients.len() > MAX_CLIENTS {
            self.clients.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: u64 = 1;

    fn leases() -> Leases {
        Leases::new("200/h".parse().unwrap())
    }

    fn of(tokens: u32) -> Lease {
        Lease {
            tokens,
            ..Lease::default()
        }
    }

    #[test]
    fn what_is_left_can_be_used_for_a_second() {
        let (leases, now) = (leases(), Instant::now());
        assert_eq!(leases.ask(ADA, true, now), None);
        leases.keep(ADA, of(2), 2, now);
        assert_eq!(leases.ask(ADA, false, now), Some(Ok(())));
        assert_eq!(leases.ask(ADA, true, now), Some(Ok(())));
        assert_eq!(leases.ask(2, true, now), None);
        assert_eq!(leases.ask(ADA, true, now + LEASE), None);
        leases.sweep(now + LEASE);
        assert!(leases.clients.is_empty());
    }

    #[test]
    fn a_client_without_tokens_is_refused_here_until_there_is_one() {
        let (leases, now) = (leases(), Instant::now());
        let next_in = Duration::from_secs(18);
        let none = Lease { tokens: 0, next_in };
        leases.keep(ADA, none, 1, now);
        let waited = Duration::from_secs(7);
        let refused = Some(Err(next_in - waited));
        assert_eq!(leases.ask(ADA, true, now + waited), refused);
        assert_eq!(leases.ask(ADA, false, now + waited), refused);
        leases.sweep(now + waited);
        assert_eq!(leases.ask(ADA, true, now + waited), refused);
        assert_eq!(leases.ask(ADA, true, now + next_in), None);
    }

    #[test]
    fn portions_grow_with_what_a_client_uses_up_and_not_past_a_part_of_its_tokens() {
        let (leases, now) = (leases(), Instant::now());
        let mut portions = Vec::new();
        for _ in 0..6 {
            let portion = leases.portion(ADA, now);
            portions.push(portion);
            leases.keep(ADA, of(portion - 1), portion, now);
            while leases.ask(ADA, true, now).is_some() {}
        }
        assert_eq!(portions, [1, 2, 4, 8, 10, 10]);
        assert_eq!(leases.portion(ADA, now + LEASE), 1);
        assert_eq!(leases.portion(2, now), 1);
    }
}
