//! Who listens to which shows, and what each has been told of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::ShowId;
use domain::show::ShowSeats;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::listener::{Audience, Listener};
use super::message::{Content, Failure, Message};
use super::watches::{self, Watches};

/// A show in the rush changes a thousand times a second, and everybody listens
/// to it: a change is told at once, those within this time after it together.
const PACE: Duration = Duration::from_millis(100);

/// Every subscription to a show.
#[derive(Default)]
pub(crate) struct ShowRegistry {
    shows: Mutex<HashMap<ShowId, Watched>>,
    /// A change waits for the pace.
    is_held_back: Notify,
}

#[derive(Default)]
struct Watched {
    watches: Watches<Watch>,
    told_at: Option<Instant>,
    /// The latest change that waits for the pace.
    held_back: Option<ShowSeats>,
}

struct Watch {
    listener: Arc<Listener>,
    /// The number of the change that it was told last.
    told: Option<u64>,
}

impl Watched {
    fn tell(&mut self, seats: &ShowSeats, audience: Audience<'_>) {
        let mut message = Message::new(Content::Show(seats));
        let mut tell = |watch: &mut Watch| {
            if watch.told.is_none_or(|told| told < seats.seq) {
                watch.told = Some(seats.seq);
                watch
                    .listener
                    .send(message.written(watch.listener.dialect()));
            }
        };
        match audience {
            Audience::All => self.watches.iter_mut().for_each(tell),
            Audience::One(listener) => {
                if let Some(watch) = self.watches.get_mut(listener) {
                    tell(watch);
                }
            }
        }
    }
}

impl watches::Watch for Watch {
    fn listener(&self) -> &Arc<Listener> {
        &self.listener
    }
}

impl ShowRegistry {
    /// Sends every change to the listener from now on. `false` if it is subscribed already.
    pub(crate) fn watch(&self, id: &ShowId, listener: &Arc<Listener>) -> bool {
        let mut shows = self.shows.lock();
        let watches = &mut shows.entry(id.clone()).or_default().watches;
        match watches.entry(listener) {
            Ok(_) => false,
            Err(vacant) => {
                vacant.insert(Watch {
                    listener: Arc::clone(listener),
                    told: None,
                });
                true
            }
        }
    }

    pub(crate) fn is_watched(&self, id: &ShowId, listener: &Listener) -> bool {
        let shows = self.shows.lock();
        let show = shows.get(id);
        show.is_some_and(|show| show.watches.contains(listener))
    }

    pub(crate) fn unwatch(&self, id: &ShowId, listener: &Listener) {
        let mut shows = self.shows.lock();
        if let Some(show) = shows.get_mut(id) {
            show.watches.remove(listener);
            if show.watches.is_empty() {
                shows.remove(id);
            }
        }
    }

    /// Tells a change. For all: or the latest of several, at the show's pace.
    pub(crate) fn tell(&self, seats: &ShowSeats, audience: Audience<'_>) {
        let mut shows = self.shows.lock();
        let Some(show) = shows.get_mut(&seats.show_id) else {
            return;
        };
        if let Audience::One(_) = audience {
            show.tell(seats, audience);
            return;
        }
        let now = Instant::now();
        if show.told_at.is_none_or(|told_at| now >= told_at + PACE) {
            show.told_at = Some(now);
            show.tell(seats, audience);
        } else if show
            .held_back
            .as_ref()
            .is_none_or(|held_back| held_back.seq < seats.seq)
        {
            show.held_back = Some(seats.clone());
            self.is_held_back.notify_one();
        }
    }

    /// There is no such show: those who know nothing of it are told so and are
    /// not subscribed any more.
    pub(crate) fn refuse(&self, id: &ShowId, audience: Audience<'_>) {
        let mut refused = Vec::new();
        {
            let mut shows = self.shows.lock();
            let Some(show) = shows.get_mut(id) else {
                return;
            };
            show.watches.retain(|watch| {
                let is_refused = watch.told.is_none() && audience.includes(&watch.listener);
                if is_refused {
                    refused.push(Arc::clone(&watch.listener));
                }
                !is_refused
            });
            if show.watches.is_empty() {
                shows.remove(id);
            }
        }
        let failure = Failure::ShowNotFound(id.clone());
        let mut message = Message::new(Content::Failure(&failure));
        for listener in refused {
            listener.send(message.written(listener.dialect()));
        }
    }

    /// Shows with listeners.
    pub(crate) fn watched(&self) -> Vec<ShowId> {
        self.shows.lock().keys().cloned().collect()
    }

    /// Tells what waits for the pace; never returns.
    pub(crate) async fn keep_pace(&self) {
        loop {
            self.is_held_back.notified().await;
            while let Some(due) = self.tell_due(Instant::now()) {
                sleep_until(due).await;
            }
        }
    }

    /// Tells what is due and says when the next is.
    fn tell_due(&self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for show in self.shows.lock().values_mut() {
            let Some(seats) = show.held_back.take() else {
                continue;
            };
            let due = show.told_at.map_or(now, |told_at| told_at + PACE);
            if due <= now {
                show.told_at = Some(now);
                show.tell(&seats, Audience::All);
            } else {
                show.held_back = Some(seats);
                next = Some(next.map_or(due, |next| next.min(due)));
            }
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use domain::show::SeatCounts;

    use super::*;
    use crate::live::listener::Next;
    use crate::live::message::Dialect;

    async fn next_seq(listener: &Listener) -> (u64, Duration) {
        let started = Instant::now();
        let Next::Message(text) = listener.next().await else {
            panic!("the end");
        };
        let message: serde_json::Value = serde_json::from_str(&text).unwrap();
        (message["show"]["seq"].as_u64().unwrap(), started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn changes_in_quick_succession_are_told_as_the_latest_and_single_ones_at_once() {
        let registry = Arc::new(ShowRegistry::default());
        let pacing = Arc::clone(&registry);
        tokio::spawn(async move { pacing.keep_pace().await });
        let listener = Arc::new(Listener::new(Arc::default(), Dialect::WebSocket, 9));
        let id = ShowId::from(1);
        registry.watch(&id, &listener);
        let tell = |seq| {
            let seats = SeatCounts::default();
            let show_id = id.clone();
            let seats = ShowSeats {
                show_id,
                seats,
                seq,
            };
            registry.tell(&seats, Audience::All);
        };
        for seq in [1, 2, 4, 3] {
            tell(seq);
        }
        assert_eq!(next_seq(&listener).await, (1, Duration::ZERO));
        assert_eq!(next_seq(&listener).await, (4, PACE));
        tokio::time::sleep(PACE).await;
        tell(4);
        tokio::time::sleep(PACE).await;
        tell(5);
        assert_eq!(next_seq(&listener).await, (5, Duration::ZERO));
    }
}
