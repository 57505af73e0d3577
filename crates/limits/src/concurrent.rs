//! How much of something each client has at the same time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use runtime::Count;

use crate::exceeded::{Exceeded, Quota};
use crate::network::Network;

/// How many of something each client may have at the same time.
#[derive(Debug)]
pub struct Concurrent {
    policy: &'static str,
    max: usize,
    /// Only of those that have any.
    places: Mutex<HashMap<Network, usize>>,
    /// How often a client had one too many.
    refused: Count,
}

impl Concurrent {
    /// Nobody has any yet. `policy` is the setting's name in the section `limits`.
    #[must_use]
    pub fn new(policy: &'static str, max: usize) -> Self {
        Self {
            policy,
            max,
            places: Mutex::default(),
            refused: Count::default(),
        }
    }

    /// Counts one more, also past the limit, until the result is dropped.
    #[must_use]
    pub fn enter(self: &Arc<Self>, client: Network) -> Place {
        let mut places = self.places.lock();
        let taken = places.entry(client).or_default();
        *taken += 1;
        if *taken > self.max {
            self.refused.add_one();
        }
        Place {
            number: *taken,
            client,
            among: Arc::clone(self),
        }
    }

    /// The setting's name in the section `limits`, and how often a client had one too many.
    #[must_use]
    pub fn refusals(&self) -> (&'static str, u64) {
        (self.policy, self.refused.total())
    }
}

/// One that is counted.
#[derive(Debug)]
pub struct Place {
    among: Arc<Concurrent>,
    client: Network,
    /// The how manieth of the client's it was.
    number: usize,
}

impl Place {
    /// By how many the client was past its limit once it had this one; 0 if it may have it.
    #[must_use]
    pub fn surplus(&self) -> usize {
        self.number.saturating_sub(self.among.max)
    }

    /// Whether the client may have it.
    ///
    /// # Errors
    /// [`Exceeded`] if it is one too many.
    pub fn permitted(&self) -> Result<(), Exceeded> {
        if self.surplus() == 0 {
            return Ok(());
        }
        Err(Exceeded {
            policy: self.among.policy,
            quota: Quota::Concurrent(self.among.max),
            wait: Duration::ZERO,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.among.places.lock();
        if let Some(taken) = places.get_mut(&self.client) {
            *taken -= 1;
            if *taken == 0 {
                places.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn at(address: &str) -> Network {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn each_client_may_have_so_many_and_gets_room_by_ending_one() {
        let streams = Arc::new(Concurrent::new("streams_per_address", 2));
        let (ada, bob) = (at("2001:db8::1"), at("2001:db8:0:1::1"));
        let first = streams.enter(ada);
        let second = streams.enter(at("2001:db8::2"));
        first.permitted().unwrap();
        second.permitted().unwrap();
        let third = streams.enter(ada);
        assert_eq!(third.surplus(), 1);
        assert_eq!(streams.refusals(), ("streams_per_address", 1));
        assert_eq!(
            third.permitted().unwrap_err().policy(),
            "streams_per_address"
        );
        streams.enter(bob).permitted().unwrap();
        drop(first);
        // It was one too many when it came.
        third.permitted().unwrap_err();
        drop(third);
        streams.enter(ada).permitted().unwrap();
        drop(second);
        assert!(streams.places.lock().is_empty());
    }
}
