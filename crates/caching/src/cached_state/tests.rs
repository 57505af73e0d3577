//! Two processes over one store, which share a cache or do not.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use domain::author::Author;
use domain::claims::Claim;
use domain::ids::UserId;
use domain::journal::HistoryEntry;
use domain::order::Order;
use domain::ports::{
    CacheInstant, ChangeShowError, CreateShowError, DecideReport, TermsSet, TicketPage,
};
use domain::rule::TransitionRequest;
use domain::show::{Capacity, Show, ShowChange, ShowSeats, Title};
use domain::ticket::{Status, Verdict};
use parking_lot::Mutex;
use port_contracts::fixtures::{OrderSource, seats, show, show_id, start};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep};

use super::*;
use crate::MemoryStateCache;

const LIFE: Duration = Duration::from_secs(1);

/// Counts look-ups, and answers after a while.
#[derive(Default)]
struct Store {
    tickets: Mutex<HashMap<TicketId, Ticket>>,
    shows: Mutex<HashMap<ShowId, ShowStanding>>,
    asked: AtomicUsize,
    /// Draws how long an answer is on its way.
    chance: Option<Mutex<StdRng>>,
    is_down: AtomicBool,
}

impl Store {
    async fn answer<T>(&self, read: impl FnOnce() -> T) -> Result<T, Box<std::io::Error>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let [before, after] = [(); 2].map(|()| self.delay());
        sleep(before).await;
        let answer = read();
        sleep(after).await;
        if self.is_down.load(Ordering::Relaxed) {
            return Err(std::io::Error::other("told to break down").into());
        }
        Ok(answer)
    }

    fn delay(&self) -> Duration {
        let drawn = |chance: &Mutex<StdRng>| chance.lock().random_range(0..30);
        Duration::from_millis(self.chance.as_ref().map_or(5, drawn))
    }

    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }

    fn save(&self, ticket: &Ticket) {
        let id = ticket.order.ticket_id;
        self.tickets.lock().insert(id, ticket.clone());
    }

    fn save_show(&self, standing: &ShowStanding) {
        let id = standing.show.id.clone();
        self.shows.lock().insert(id, standing.clone());
    }
}

#[async_trait]
impl TicketLedger for Store {
    async fn find(&self, ids: &[TicketId]) -> Result<Vec<Ticket>, LedgerError> {
        let tickets = || {
            let tickets = self.tickets.lock();
            ids.iter()
                .filter_map(|id| tickets.get(id).cloned())
                .collect()
        };
        let found = self.answer(tickets).await;
        found.map_err(|error| LedgerError::Unavailable(error))
    }

    async fn decide(&self, _: &[Order], _: Option<Claim>) -> Result<DecideReport, LedgerError> {
        unreachable!("nothing is decided here")
    }

    async fn transition(&self, _: &[TransitionRequest]) -> Result<TransitionReport, LedgerError> {
        unreachable!("nothing is decided here")
    }

    async fn expire_due(&self, _: usize) -> Result<TransitionReport, LedgerError> {
        unreachable!("nothing is decided here")
    }

    async fn change_show(
        &self,
        _: &ShowId,
        _: &ShowChange,
        _: Option<&Author>,
    ) -> Result<ShowStanding, ChangeShowError> {
        unreachable!("nothing is decided here")
    }

    async fn list_by_user(&self, _: &UserId, _: TicketPage) -> Result<Vec<Ticket>, LedgerError> {
        unreachable!("nothing is listed here")
    }

    async fn history(
        &self,
        _: &ShowId,
        _: u64,
        _: usize,
    ) -> Result<Vec<HistoryEntry>, LedgerError> {
        unreachable!("nothing is listed here")
    }
}

#[async_trait]
impl ShowRepository for Store {
    async fn find(&self, _: &ShowId) -> Result<Option<Arc<Show>>, ShowRepositoryError> {
        unreachable!("this is for orders")
    }

    async fn standings(&self, ids: &[ShowId]) -> Result<Vec<ShowStanding>, ShowRepositoryError> {
        let standings = || {
            let shows = self.shows.lock();
            ids.iter().filter_map(|id| shows.get(id).cloned()).collect()
        };
        let found = self.answer(standings).await;
        found.map_err(|error| ShowRepositoryError::Unavailable(error))
    }

    async fn list(
        &self,
        _: Option<&ShowId>,
        _: usize,
    ) -> Result<Vec<ShowStanding>, ShowRepositoryError> {
        unreachable!("nothing is listed here")
    }

    async fn terms_history(
        &self,
        _: &ShowId,
        _: u64,
        _: usize,
    ) -> Result<Vec<TermsSet>, ShowRepositoryError> {
        unreachable!("nothing is listed here")
    }

    async fn create(&self, _: &Show, _: Option<&Author>) -> Result<ShowStanding, CreateShowError> {
        unreachable!("nothing is created here")
    }
}

/// A cache that can be away, for all or for one of its processes, and forgets by chance.
#[derive(Clone)]
struct Shared {
    cache: Arc<MemoryStateCache>,
    is_away: Arc<AtomicBool>,
    chance: Option<Arc<Mutex<StdRng>>>,
}

impl Shared {
    fn new() -> Self {
        Self {
            cache: Arc::default(),
            is_away: Arc::default(),
            chance: None,
        }
    }

    async fn fails(&self) -> bool {
        let drawn = |chance: &Arc<Mutex<StdRng>>| {
            let mut chance = chance.lock();
            (chance.random_range(0..4), chance.random_range(1..50))
        };
        let mut is_lost = false;
        if let Some((luck, delay)) = self.chance.as_ref().map(drawn) {
            is_lost = luck == 0;
            sleep(Duration::from_millis(delay)).await;
        }
        is_lost || self.is_away.load(Ordering::Relaxed)
    }

    fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::Relaxed);
    }
}

#[async_trait]
impl StateCache for Shared {
    async fn get(&self, key: &StateKey) -> Option<Cached> {
        if self.fails().await {
            return None;
        }
        self.cache.get(key).await
    }

    async fn put(&self, state: State, until: CacheInstant) {
        if !self.fails().await {
            self.cache.put(state, until).await;
        }
    }

    async fn raise(&self, states: Vec<State>) {
        if !self.fails().await {
            self.cache.raise(states).await;
        }
    }
}

fn process(store: &Arc<Store>, cache: &Shared) -> Arc<CachedState> {
    let cache = Arc::new(cache.clone());
    Arc::new(CachedState::new(store.clone(), store.clone(), cache, LIFE))
}

/// A store, and two processes that share a cache.
fn two_processes() -> (Arc<Store>, Shared, [Arc<CachedState>; 2]) {
    let (store, cache) = (Arc::new(Store::default()), Shared::new());
    let processes = [(); 2].map(|()| process(&store, &cache));
    (store, cache, processes)
}

fn reserved() -> Ticket {
    Ticket {
        order: OrderSource::new(1).order("a", "1"),
        verdict: Verdict::Reserved {
            hold_expires_at: start(),
        },
        decided_at: start(),
        decision_seq: Some(2),
        status: Status::Reserved,
        version: 1,
    }
}

fn changed(ticket: &Ticket, status: Status) -> Ticket {
    Ticket {
        status,
        version: ticket.version + 1,
        ..ticket.clone()
    }
}

fn standing(available: u32, seq: u64) -> ShowStanding {
    ShowStanding {
        show: show("a", 9),
        seats: seats(available, 9 - available, 0),
        seq,
    }
}

fn report(ticket: &Ticket, shows: Vec<ShowSeats>) -> TransitionReport {
    TransitionReport {
        outcomes: vec![TransitionOutcome::Changed(ticket.clone())],
        shows,
    }
}

async fn told(process: &CachedState, ticket: &Ticket) -> Option<Ticket> {
    let id = ticket.order.ticket_id;
    DecidedState::ticket(process, id).await.unwrap()
}

async fn told_show(process: &CachedState) -> Option<ShowStanding> {
    DecidedState::show(process, &show_id("a")).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn many_reads_of_one_key_make_one_look_up() {
    let (store, cache, [process, _]) = two_processes();
    let ticket = reserved();
    store.save(&ticket);
    store.save_show(&standing(9, 1));
    // Without an answer of the cache, too.
    for is_away in [false, true] {
        cache.set_away(is_away);
        sleep(LIFE).await;
        let mut reads = JoinSet::new();
        for _ in 0..1_000 {
            let (process, ticket) = (Arc::clone(&process), ticket.clone());
            reads.spawn(async move {
                assert_eq!(told(&process, &ticket).await, Some(ticket));
                assert_eq!(told_show(&process).await, Some(standing(9, 1)));
            });
        }
        reads.join_all().await;
        assert_eq!(store.asked(), 2);
    }
    store.is_down.store(true, Ordering::Relaxed);
    let mut reads = JoinSet::new();
    for _ in 0..1_000 {
        let (process, id) = (Arc::clone(&process), ticket.order.ticket_id);
        reads.spawn(async move {
            let unavailable = DecidedState::ticket(&*process, id).await;
            assert!(matches!(unavailable, Err(LedgerError::Unavailable(_))));
        });
    }
    reads.join_all().await;
    // Those who asked later than the first do not have its failure, and share the next one.
    assert_eq!(store.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_cached_state_is_read_by_all_processes_without_the_store() {
    let (store, _, processes) = two_processes();
    let ticket = reserved();
    store.save(&ticket);
    store.save_show(&standing(9, 2));
    for (process, asked) in processes.iter().zip([2, 0]) {
        assert_eq!(told(process, &ticket).await.as_ref(), Some(&ticket));
        assert_eq!(told_show(process).await, Some(standing(9, 2)));
        assert_eq!(store.asked(), asked);
    }
}

#[tokio::test(start_paused = true)]
async fn a_miss_is_never_cached_nor_shared_with_those_who_ask_later() {
    let (store, _, [process, _]) = two_processes();
    let ticket = reserved();
    for _ in 0..2 {
        assert_eq!(told(&process, &ticket).await, None);
        assert_eq!(told_show(&process).await, None);
    }
    assert_eq!(store.asked(), 4);
    let early = tokio::spawn({
        let (process, ticket) = (Arc::clone(&process), ticket.clone());
        async move { (told(&process, &ticket).await, told_show(&process).await) }
    });
    // Its answer is on its way.
    sleep(Duration::from_millis(7)).await;
    store.save(&ticket);
    store.save_show(&standing(9, 2));
    assert_eq!(told(&process, &ticket).await.as_ref(), Some(&ticket));
    assert_eq!(told_show(&process).await, Some(standing(9, 2)));
    assert_eq!(early.await.unwrap().0, None);
}

#[tokio::test(start_paused = true)]
async fn a_change_is_seen_at_once_where_it_was_made_and_where_the_cache_answers() {
    let (store, cache, [here, there]) = two_processes();
    let ticket = reserved();
    store.save(&ticket);
    store.save_show(&standing(9, 2));
    for process in [&here, &there] {
        told(process, &ticket).await;
        told_show(process).await;
    }
    let confirmed = changed(&ticket, Status::Confirmed);
    store.save(&confirmed);
    store.save_show(&standing(8, 3));
    let shows = vec![standing(8, 3).announcement()];
    here.note_changed(&report(&confirmed, shows)).await;
    assert_eq!(told(&here, &ticket).await.as_ref(), Some(&confirmed));
    assert_eq!(told(&there, &ticket).await.as_ref(), Some(&confirmed));
    assert_eq!(told_show(&here).await, Some(standing(8, 3)));
    // Terms are not announced, so the cache is told all of them.
    let mut larger = standing(9, 4);
    larger.show.terms.capacity = Capacity::new(19).unwrap();
    larger.seats = seats(18, 1, 0);
    store.save_show(&larger);
    here.note_show_changed(&larger).await;
    for process in [&here, &there] {
        assert_eq!(told_show(process).await.as_ref(), Some(&larger));
    }
    // Where the cache does not answer, only here.
    cache.set_away(true);
    let cancelled = changed(&confirmed, Status::Cancelled);
    store.save(&cancelled);
    here.note_changed(&report(&cancelled, Vec::new())).await;
    cache.set_away(false);
    assert_eq!(told(&here, &ticket).await.as_ref(), Some(&cancelled));
    assert_eq!(told(&there, &ticket).await.as_ref(), Some(&confirmed));
    // Until it hears of it.
    there.hear(&Event::Ticket(cancelled.clone()));
    assert_eq!(told(&there, &ticket).await.as_ref(), Some(&cancelled));
}

#[tokio::test(start_paused = true)]
async fn what_is_announced_is_seen_at_once() {
    let (store, _, [process, _]) = two_processes();
    let ticket = reserved();
    store.save(&ticket);
    store.save_show(&standing(9, 2));
    told(&process, &ticket).await;
    told_show(&process).await;
    let expired = changed(&ticket, Status::Expired);
    store.asked();
    process.hear(&Event::Ticket(expired.clone()));
    process.hear(&Event::Ticket(ticket.clone()));
    process.hear(&Event::Show(standing(5, 4).announcement()));
    process.hear(&Event::Show(standing(6, 3).announcement()));
    assert_eq!(told(&process, &ticket).await, Some(expired));
    assert_eq!(told_show(&process).await, Some(standing(5, 4)));
    assert_eq!(store.asked(), 0);
    // Seats that do not fit the terms are of other terms: the store knows them.
    let mut larger = standing(0, 5);
    larger.show.terms.capacity = Capacity::new(20).unwrap();
    larger.seats = seats(20, 0, 0);
    store.save_show(&larger);
    process.hear(&Event::Show(larger.announcement()));
    assert_eq!(told_show(&process).await, Some(larger));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_nobody_heard_of_is_seen_when_a_life_is_over() {
    let (store, _, [process, _]) = two_processes();
    let ticket = reserved();
    store.save(&ticket);
    store.save_show(&standing(9, 2));
    let asked_at = Instant::now();
    told(&process, &ticket).await;
    told_show(&process).await;
    let confirmed = changed(&ticket, Status::Confirmed);
    store.save(&confirmed);
    store.save_show(&standing(8, 3));
    assert_eq!(told(&process, &ticket).await, Some(ticket.clone()));
    // It counts from before the store was asked.
    tokio::time::sleep_until(asked_at + LIFE).await;
    assert_eq!(told(&process, &ticket).await, Some(confirmed));
    sleep(LIFE).await;
    assert_eq!(told_show(&process).await, Some(standing(8, 3)));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_frozen_while_it_read_caches_nothing_old() {
    let (store, cache, [slow, other]) = two_processes();
    let ticket = reserved();
    store.save(&ticket);
    let asked = cache.get(&StateKey::Ticket(ticket.order.ticket_id)).await;
    let confirmed = changed(&ticket, Status::Confirmed);
    store.save(&confirmed);
    sleep(LIFE).await;
    slow.put(asked, State::Ticket(ticket.clone())).await;
    assert_eq!(told(&other, &ticket).await, Some(confirmed));
}

/// As after its clock was set back by an hour, or as somebody else wrote it.
#[tokio::test(start_paused = true)]
async fn what_lasts_too_long_in_a_cache_is_not_told_and_replaced() {
    for status in [Status::Reserved, Status::Expired] {
        let (store, cache, [process, other]) = two_processes();
        let ticket = changed(&reserved(), status);
        store.save(&ticket);
        store.save_show(&standing(9, 2));
        let mut old = ticket.clone();
        old.order.user_id = UserId::alias(1);
        let mut old_show = standing(9, 2);
        old_show.show.title = Title::new("Another title").unwrap();
        for state in [State::Ticket(old), State::Show(old_show)] {
            let asked_at = cache.get(&state.key()).await.unwrap().asked_at;
            cache.put(state, asked_at.plus(FINAL_LIFE * 12)).await;
        }
        for (process, asked) in [(&process, 2), (&other, 0)] {
            assert_eq!(told(process, &ticket).await.as_ref(), Some(&ticket));
            assert_eq!(told_show(process).await, Some(standing(9, 2)));
            assert_eq!(store.asked(), asked);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_final_tickets_are_kept_for_long() {
    for status in Status::ALL {
        let (store, _, [process, _]) = two_processes();
        let ticket = changed(&reserved(), status);
        store.save(&ticket);
        told(&process, &ticket).await;
        store.asked();
        let is_final = matches!(
            status,
            Status::Rejected | Status::Expired | Status::Cancelled
        );
        for (time, asked) in [(LIFE, usize::from(!is_final)), (FINAL_LIFE, 1)] {
            sleep(time).await;
            told(&process, &ticket).await;
            assert_eq!(store.asked(), asked, "{status:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_older_is_told_when_a_cache_comes_back() {
    let (store, cache, [process, _]) = two_processes();
    let ticket = changed(&reserved(), Status::Reserved);
    store.save(&ticket);
    store.save_show(&standing(9, 2));
    told(&process, &ticket).await;
    told_show(&process).await;
    cache.set_away(true);
    let confirmed = changed(&ticket, Status::Confirmed);
    let mut renamed = standing(8, 3);
    renamed.show.terms.max_per_user = std::num::NonZeroU32::MIN;
    store.save(&confirmed);
    store.save_show(&renamed);
    for is_away in [true, false] {
        cache.set_away(is_away);
        assert_eq!(told(&process, &ticket).await.as_ref(), Some(&confirmed));
        assert_eq!(told_show(&process).await.as_ref(), Some(&renamed));
    }
}

#[tokio::test(start_paused = true)]
async fn a_show_has_the_decision_of_every_ticket_that_was_told() {
    let (store, _, [process, _]) = two_processes();
    store.save_show(&standing(9, 1));
    told_show(&process).await;
    // Committed, and not announced yet.
    let ticket = reserved();
    store.save(&ticket);
    store.save_show(&standing(8, 2));
    told(&process, &ticket).await;
    sleep(LIFE / 2).await;
    assert_eq!(told_show(&process).await, Some(standing(8, 2)));
    let expired = changed(&ticket, Status::Expired);
    store.save(&expired);
    store.save_show(&standing(9, 3));
    // The ticket has to be read again, and the show has not.
    sleep(LIFE * 3 / 5).await;
    assert_eq!(told(&process, &ticket).await, Some(expired));
    assert_eq!(told_show(&process).await, Some(standing(9, 3)));
}

#[tokio::test(start_paused = true)]
async fn an_erased_user_is_told_no_longer_than_a_final_ticket_is_kept() {
    let (store, _, [process, other]) = two_processes();
    let expired = changed(&reserved(), Status::Expired);
    store.save(&expired);
    let began = Instant::now();
    told(&process, &expired).await;
    let mut anonymous = expired.clone();
    anonymous.order.user_id = UserId::alias(1);
    store.save(&anonymous);
    assert_eq!(told(&other, &expired).await.as_ref(), Some(&expired));
    other.note_erased(&expired.order.user_id);
    assert_eq!(told(&other, &expired).await.as_ref(), Some(&anonymous));
    tokio::time::sleep_until(began + FINAL_LIFE).await;
    assert_eq!(told(&process, &expired).await, Some(anonymous));
}

/// Numbers come from a broker and a cache, too, and are not trusted.
#[tokio::test(start_paused = true)]
async fn the_highest_numbers_are_no_fault() {
    let (store, _, [process, _]) = two_processes();
    store.save_show(&standing(9, u64::MAX));
    told_show(&process).await;
    let expired = changed(&reserved(), Status::Expired);
    store.save(&expired);
    assert_eq!(told(&process, &expired).await, Some(expired));
    assert_eq!(told_show(&process).await, Some(standing(9, u64::MAX)));
}

/// One ticket is changed again and again, through either process or behind their backs, while
/// both read it over a cache that is late, forgetful and away. What is changed is heard late, or
/// never.
async fn course(seed: u64) {
    let chance = |number| Mutex::new(StdRng::seed_from_u64(seed * 10 + number));
    let store = Arc::new(Store {
        chance: Some(chance(1)),
        ..Store::default()
    });
    let cache = Shared {
        chance: Some(Arc::new(chance(2))),
        ..Shared::new()
    };
    let processes = [(); 2].map(|()| process(&store, &cache));
    let first = reserved();
    store.save(&first);
    // When which version was there first.
    let saved_at = Arc::new(Mutex::new(vec![Instant::now(); 2]));
    let end = Instant::now() + LIFE * 6;
    let mut actors = JoinSet::new();
    for process in &processes {
        let newest_told = Arc::new(AtomicUsize::new(0));
        for _ in 0..3 {
            let (process, first) = (Arc::clone(process), first.clone());
            let (saved_at, newest_told) = (Arc::clone(&saved_at), Arc::clone(&newest_told));
            actors.spawn(async move {
                while Instant::now() < end {
                    let asked_at = Instant::now();
                    let least = newest_told.load(Ordering::Relaxed);
                    let version = told(&process, &first).await.unwrap().version;
                    let version = usize::try_from(version).unwrap();
                    assert!(version >= least, "seed {seed}: {version} after {least}");
                    newest_told.fetch_max(version, Ordering::Relaxed);
                    let outdated_at = saved_at.lock().get(version + 1).copied();
                    let is_old = outdated_at.is_some_and(|at| at + LIFE < asked_at);
                    assert!(!is_old, "seed {seed}: {version} is too old");
                    sleep(Duration::from_millis(1)).await;
                }
            });
        }
    }
    actors.spawn(async move {
        let mut chance = StdRng::seed_from_u64(seed * 10 + 3);
        let mut ticket = first;
        while Instant::now() < end {
            sleep(Duration::from_millis(chance.random_range(1..400))).await;
            ticket = changed(&ticket, Status::Confirmed);
            store.save(&ticket);
            saved_at.lock().push(Instant::now());
            for process in &processes {
                let (process, ticket) = (Arc::clone(process), ticket.clone());
                let late = Duration::from_millis(chance.random_range(1..2_000));
                let way = chance.random_range(0..3);
                tokio::spawn(async move {
                    match way {
                        0 => process.note_changed(&report(&ticket, Vec::new())).await,
                        1 => {
                            sleep(late).await;
                            process.hear(&Event::Ticket(ticket));
                        }
                        _ => yield_now().await,
                    }
                });
            }
        }
    });
    actors.join_all().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_something_older_than_before_or_than_a_life() {
    for seed in 0..300 {
        course(seed).await;
    }
}
