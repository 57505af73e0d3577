//! The contract of [`domain::ports::StateCache`].

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::ports::{CacheInstant, Cached, State, StateCache, StateKey};
use domain::show::{
    Capacity, HoldSeconds, MAX_CAPACITY, MAX_HOLD_SECONDS, SalesWindow, ShowStanding, Title,
};
use domain::ticket::{RejectionReason, Status, Ticket, Verdict};
use domain::time::Timestamp;
use domain::user::PriorityClass;
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::fixtures::{OrderSource, quantity, seats, show, show_id, start, user_id};
use crate::harness::StateCacheHarness;
use crate::support::{concurrently, within};

contract!($ state_cache_contract, state_cache, [
    nothing_is_there_at_first,
    a_state_is_found_by_every_process_as_it_was_put,
    keys_do_not_touch_each_other,
    an_older_state_never_replaces_a_newer_one,
    of_many_writers_the_newest_stays,
    a_state_ends_at_its_instant,
    it_is_said_when_a_state_ends,
    of_one_number_what_ends_first_stays,
    what_is_over_already_is_not_put_and_removes_nothing,
    raising_replaces_only_what_is_there_and_not_newer,
    what_is_raised_lasts_as_long_as_what_was_there,
    time_never_goes_back,
]);

/// Longer than any case takes.
const LONG: Duration = Duration::from_secs(600);

fn ticket(source: &OrderSource, version: u32) -> Ticket {
    Ticket {
        order: source.order("a", "1"),
        verdict: Verdict::Confirmed,
        decided_at: start(),
        decision_seq: Some(1),
        status: Status::Confirmed,
        version,
    }
}

fn standing(id: &str, seq: u64) -> State {
    State::Show(ShowStanding {
        show: show(id, 9),
        seats: seats(9, 0, 0),
        seq,
    })
}

/// It may be too busy to answer.
async fn answer(cache: &Arc<dyn StateCache>, key: &StateKey) -> Cached {
    let answering = async {
        loop {
            match cache.get(key).await {
                Some(cached) => return cached,
                None => sleep(Duration::from_millis(10)).await,
            }
        }
    };
    within("get", answering).await
}

async fn asked_at(cache: &Arc<dyn StateCache>, key: &StateKey) -> CacheInstant {
    answer(cache, key).await.asked_at
}

async fn get(cache: &Arc<dyn StateCache>, key: &StateKey) -> Option<State> {
    answer(cache, key).await.state
}

async fn version(cache: &Arc<dyn StateCache>, key: &StateKey) -> Option<u64> {
    get(cache, key).await.map(|state| state.version())
}

/// Puts a state for so long from now on.
async fn put(cache: &Arc<dyn StateCache>, state: &State, time: Duration) {
    let until = asked_at(cache, &state.key()).await.plus(time);
    within("put", cache.put(state.clone(), until)).await;
}

async fn until_gone(cache: &Arc<dyn StateCache>, key: &StateKey) {
    let gone = async {
        while get(cache, key).await.is_some() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    within("the end of a state", gone).await;
}

/// Neither of a ticket nor of a show.
pub async fn nothing_is_there_at_first(h: &StateCacheHarness) {
    let ticket = State::Ticket(ticket(&OrderSource::new(1), 1));
    for key in [ticket.key(), standing("a", 1).key()] {
        assert_eq!(get(&h.cache, &key).await, None);
    }
}

/// Every field, at its limits, every verdict and status.
pub async fn a_state_is_found_by_every_process_as_it_was_put(h: &StateCacheHarness) {
    let other = (h.connect)().await;
    let source = OrderSource::new(u32::MAX);
    let reserved = Verdict::Reserved {
        hold_expires_at: start().plus_micros(1),
    };
    let rejections = RejectionReason::ALL.iter().copied().map(Verdict::Rejected);
    let verdicts = [reserved, Verdict::Confirmed].into_iter().chain(rejections);
    let mut states = Vec::new();
    for verdict in verdicts {
        for status in Status::ALL.iter().copied() {
            let mut ticket = ticket(&source, u32::MAX);
            (ticket.verdict, ticket.status) = (verdict, status);
            states.push(State::Ticket(ticket));
        }
    }
    let mut extreme = ticket(&source, 1);
    extreme.order.quantity = quantity(u32::MAX);
    extreme.order.class = PriorityClass::High;
    extreme.order.redriven = true;
    extreme.order.user_id = user_id(&"~".repeat(64));
    extreme.order.show_id = show_id(&".".repeat(64));
    extreme.order.requested_at = Timestamp::MIN;
    extreme.decided_at = Timestamp::MAX;
    extreme.decision_seq = None;
    states.push(State::Ticket(extreme));
    let mut largest = show(&"~".repeat(64), MAX_CAPACITY);
    largest.title = Title::new(&"🎟".repeat(200)).unwrap();
    largest.terms.max_per_user = NonZeroU32::MAX;
    largest.terms.hold = HoldSeconds::new(MAX_HOLD_SECONDS).unwrap();
    largest.terms.window = SalesWindow::new(Some(Timestamp::MIN), Some(Timestamp::MAX)).unwrap();
    let mut smallest = show("0", 0);
    smallest.title = Title::new("\"\\:{}").unwrap();
    smallest.terms.capacity = Capacity::new(0).unwrap();
    for (show, seats, seq) in [
        (largest, seats(MAX_CAPACITY - 2, 1, 1), 1 << 53),
        (smallest, seats(0, 0, 0), 1),
    ] {
        states.push(State::Show(ShowStanding { show, seats, seq }));
    }
    for state in states {
        put(&h.cache, &state, LONG).await;
        for cache in [&h.cache, &other] {
            assert_eq!(get(cache, &state.key()).await.as_ref(), Some(&state));
        }
    }
}

/// Ids that differ in capitals or are numbers; a ticket is no show.
pub async fn keys_do_not_touch_each_other(h: &StateCacheHarness) {
    let ticket = State::Ticket(ticket(&OrderSource::new(1), 9));
    put(&h.cache, &ticket, LONG).await;
    let ticket_id = match ticket.key() {
        StateKey::Ticket(id) => id.to_string(),
        StateKey::Show(id) => id.to_string(),
    };
    let ids = ["a", "A", "1", "01", "~", "a.b", &ticket_id];
    for (seq, id) in (1..).zip(ids) {
        put(&h.cache, &standing(id, seq), LONG).await;
    }
    for (seq, id) in (1..).zip(ids) {
        assert_eq!(version(&h.cache, &standing(id, 0).key()).await, Some(seq));
    }
    assert_eq!(get(&h.cache, &ticket.key()).await, Some(ticket));
}

/// By either way to write.
pub async fn an_older_state_never_replaces_a_newer_one(h: &StateCacheHarness) {
    let other = (h.connect)().await;
    put(&h.cache, &standing("a", 9), LONG).await;
    put(&other, &standing("a", 8), LONG).await;
    within("raise", other.raise(vec![standing("a", 7)])).await;
    assert_eq!(
        get(&h.cache, &standing("a", 0).key()).await,
        Some(standing("a", 9))
    );
    put(&other, &standing("a", 10), LONG).await;
    assert_eq!(version(&h.cache, &standing("a", 0).key()).await, Some(10));
}

/// Of two processes, while readers look: none of them ever sees an older one after a newer one.
pub async fn of_many_writers_the_newest_stays(h: &StateCacheHarness) {
    const WRITERS: u64 = 16;
    const VERSIONS: u64 = 60;
    let other = (h.connect)().await;
    let key = standing("a", 0).key();
    let is_over = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = [&h.cache, &other, &h.cache, &other]
        .map(|cache| {
            let (cache, key, is_over) = (Arc::clone(cache), key.clone(), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut seen = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let now = version(&cache, &key).await.unwrap_or(seen);
                    assert!(now >= seen, "{now} after {seen}");
                    seen = now;
                    yield_now().await;
                }
            })
        })
        .into();
    concurrently(WRITERS.try_into().unwrap(), |number| {
        let cache = Arc::clone([&h.cache, &other][number % 2]);
        let number = u64::try_from(number).unwrap();
        async move {
            for step in 0..VERSIONS {
                // Each has versions of its own, up and down. The highest one is put, not raised.
                let scattered = (step * 7 + number * 13) % VERSIONS;
                let state = standing("a", 1 + scattered * WRITERS + number);
                if scattered.is_multiple_of(3) {
                    within("raise", cache.raise(vec![state])).await;
                } else {
                    put(&cache, &state, LONG).await;
                }
            }
        }
    })
    .await;
    is_over.store(true, Ordering::Relaxed);
    for reader in readers {
        within("a reader", reader).await.unwrap();
    }
    assert_eq!(version(&h.cache, &key).await, Some(VERSIONS * WRITERS));
}

/// And can be put again then.
pub async fn a_state_ends_at_its_instant(h: &StateCacheHarness) {
    let [short, long] = ["short", "long"].map(|id| standing(id, 2));
    put(&h.cache, &long, LONG).await;
    put(&h.cache, &short, Duration::from_millis(200)).await;
    until_gone(&h.cache, &short.key()).await;
    assert_eq!(get(&h.cache, &long.key()).await, Some(long));
    // What ended may have been newer.
    put(&h.cache, &standing("short", 1), LONG).await;
    assert_eq!(version(&h.cache, &short.key()).await, Some(1));
}

/// To a few milliseconds, and no later.
pub async fn it_is_said_when_a_state_ends(h: &StateCacheHarness) {
    let key = standing("a", 0).key();
    let until = asked_at(&h.cache, &key).await.plus(LONG);
    within("put", h.cache.put(standing("a", 1), until)).await;
    let (said, margin) = (
        answer(&h.cache, &key).await.until,
        Duration::from_millis(10),
    );
    assert!(
        said <= until && until <= said.plus(margin),
        "{said:?} {until:?}"
    );
    within("raise", h.cache.raise(vec![standing("a", 2)])).await;
    let raised = answer(&h.cache, &key).await.until;
    assert!(
        raised <= until && until <= raised.plus(margin),
        "{raised:?} {until:?}"
    );
}

/// So what lasts too long is replaced by what was read again.
pub async fn of_one_number_what_ends_first_stays(h: &StateCacheHarness) {
    let key = standing("a", 0).key();
    for (time, lasts) in [(LONG, LONG), (LONG / 2, LONG / 2), (LONG, LONG / 2)] {
        put(&h.cache, &standing("a", 1), time).await;
        let cached = answer(&h.cache, &key).await;
        assert!(cached.until <= cached.asked_at.plus(lasts), "{cached:?}");
        assert!(cached.until > cached.asked_at.plus(lasts / 2), "{cached:?}");
    }
}

/// As of a process that was frozen between its reading and its writing.
pub async fn what_is_over_already_is_not_put_and_removes_nothing(h: &StateCacheHarness) {
    let key = standing("a", 0).key();
    let asked_at = asked_at(&h.cache, &key).await;
    within("put", h.cache.put(standing("a", 2), asked_at)).await;
    assert_eq!(get(&h.cache, &key).await, None);
    put(&h.cache, &standing("a", 1), LONG).await;
    within("put", h.cache.put(standing("a", 2), asked_at)).await;
    assert_eq!(version(&h.cache, &key).await, Some(1));
}

/// Of one number the one that is raised counts: a title has none.
pub async fn raising_replaces_only_what_is_there_and_not_newer(h: &StateCacheHarness) {
    let source = OrderSource::new(1);
    let confirmed = ticket(&source, 1);
    let mut cancelled = confirmed.clone();
    (cancelled.status, cancelled.version) = (Status::Cancelled, 2);
    let [confirmed, cancelled] = [confirmed, cancelled].map(State::Ticket);
    within("raise", h.cache.raise(vec![cancelled.clone()])).await;
    assert_eq!(get(&h.cache, &cancelled.key()).await, None);
    put(&h.cache, &confirmed, LONG).await;
    put(&h.cache, &standing("a", 3), LONG).await;
    let State::Show(mut titled) = standing("a", 3) else {
        unreachable!("a show");
    };
    titled.show.title = Title::new("Another title").unwrap();
    let titled = State::Show(titled);
    let raised = vec![cancelled.clone(), titled.clone(), standing("b", 1)];
    within("raise", h.cache.raise(raised)).await;
    within("raise", h.cache.raise(vec![confirmed])).await;
    assert_eq!(get(&h.cache, &cancelled.key()).await, Some(cancelled));
    assert_eq!(get(&h.cache, &titled.key()).await, Some(titled));
    assert_eq!(get(&h.cache, &standing("b", 0).key()).await, None);
}

/// So that nothing is ever kept alive by changes alone.
pub async fn what_is_raised_lasts_as_long_as_what_was_there(h: &StateCacheHarness) {
    let key = standing("a", 0).key();
    put(&h.cache, &standing("a", 1), Duration::from_millis(500)).await;
    let raising = async {
        let mut seq = 2;
        while get(&h.cache, &key).await.is_some() {
            h.cache.raise(vec![standing("a", seq)]).await;
            seq += 1;
            sleep(Duration::from_millis(5)).await;
        }
    };
    within("the end of what is raised", raising).await;
    assert_eq!(get(&h.cache, &key).await, None);
}

/// In no process.
pub async fn time_never_goes_back(h: &StateCacheHarness) {
    let other = (h.connect)().await;
    let key = standing("a", 0).key();
    let mut last = CacheInstant(0);
    for _ in 0..50 {
        for cache in [&h.cache, &other] {
            let now = asked_at(cache, &key).await;
            assert!(now >= last, "{now:?} after {last:?}");
            last = now;
        }
    }
}
