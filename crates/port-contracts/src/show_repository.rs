//! The contract of [`domain::ports::ShowRepository`].

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::author::Author;
use domain::ids::ShowId;
use domain::journal::{Change, HistoryEntry, JournalEntry};
use domain::ports::{CreateShowError, ShowRepository, TermsSet};
use domain::show::{
    Capacity, HoldSeconds, MAX_CAPACITY, MAX_HOLD_SECONDS, SalesWindow, Show, ShowChange,
    ShowStanding, Title,
};
use domain::time::Timestamp;

use crate::fixtures::{OrderSource, holding_show, seats, show, show_id, start, user_id};
use crate::harness::{StoreHarness, standing_of};
use crate::support::{Background, concurrently, in_pages};

contract!($ show_repository_contract, show_repository, [
    a_show_is_found_as_created,
    a_new_show_has_all_seats_and_the_first_journal_entry,
    ids_differ_in_every_byte,
    of_concurrent_creations_exactly_one_wins,
    a_miss_is_not_remembered,
    a_look_up_under_way_does_not_hide_a_new_show,
    a_standing_is_what_is_committed_now,
    standings_are_of_the_shows_that_exist_each_once,
    shows_are_listed_by_id_in_pages,
    terms_are_kept_with_their_author,
]);

async fn find(shows: &Arc<dyn ShowRepository>, id: &str) -> Option<Show> {
    let found = shows.find(&show_id(id)).await.unwrap();
    found.map(|show| Show::clone(&show))
}

fn titled(id: &str, title: &str) -> Show {
    Show {
        title: Title::new(title).unwrap(),
        ..show(id, 1)
    }
}

/// Every field, at its limits, in every process.
pub async fn a_show_is_found_as_created(h: &StoreHarness) {
    let other = (h.connect)().await;
    let mut largest = titled(&"~".repeat(64), &"🎟".repeat(200));
    largest.terms.capacity = Capacity::new(MAX_CAPACITY).unwrap();
    largest.terms.max_per_user = NonZeroU32::MAX;
    largest.terms.hold = HoldSeconds::new(MAX_HOLD_SECONDS).unwrap();
    largest.terms.window = SalesWindow::new(Some(Timestamp::MIN), Some(Timestamp::MAX)).unwrap();
    let mut smallest = titled("0", "Zoë");
    smallest.terms.capacity = Capacity::new(0).unwrap();
    smallest.terms.max_per_user = NonZeroU32::MIN;
    let mut opening = show("1", 10);
    opening.terms.window = SalesWindow::new(Some(start().plus_micros(1)), None).unwrap();
    let mut closing = show("2", 10);
    closing.terms.window = SalesWindow::new(None, Some(start().plus_micros(1))).unwrap();
    for show in [largest, smallest, opening, closing] {
        h.ports.shows.create(&show, None).await.unwrap();
        for shows in [&h.ports.shows, &other.shows] {
            assert_eq!(find(shows, show.id.as_str()).await.as_ref(), Some(&show));
            let standing = standing_of(shows, show.id.as_str()).await;
            assert_eq!(standing.unwrap().show, show);
        }
    }
    assert_eq!(find(&other.shows, "3").await, None);
    assert_eq!(standing_of(&other.shows, "3").await, None);
}

/// Both or neither, dated by the clock.
pub async fn a_new_show_has_all_seats_and_the_first_journal_entry(h: &StoreHarness) {
    h.clock.set(start().plus_micros(7));
    let show = holding_show("a", 12, 5);
    h.given(std::slice::from_ref(&show), &[]).await;
    let opened = JournalEntry {
        show_id: show_id("a"),
        seq: 1,
        at: start().plus_micros(7),
        change: Change::TermsSet(show.terms.clone()),
    };
    assert_eq!(h.history("a", 0, 10).await, [HistoryEntry::Changed(opened)]);
    assert_eq!(
        h.standing("a").await,
        ShowStanding {
            show,
            seats: seats(12, 0, 0),
            seq: 1,
        }
    );
}

/// A store's collation must not take `a` for `A`.
pub async fn ids_differ_in_every_byte(h: &StoreHarness) {
    for id in ["a", "A", "a-", "a_", "a.", "a~", "0", "00"] {
        assert_eq!(find(&h.ports.shows, id).await, None);
        h.ports.shows.create(&titled(id, id), None).await.unwrap();
    }
    for id in ["a", "A", "a-", "a_", "a.", "a~", "0", "00"] {
        assert_eq!(find(&h.ports.shows, id).await, Some(titled(id, id)));
    }
}

/// Sixteen callers of two processes, one winner, whose show stays.
pub async fn of_concurrent_creations_exactly_one_wins(h: &StoreHarness) {
    let other = (h.connect)().await;
    let results = concurrently(16, |number| {
        let shows = Arc::clone([&h.ports.shows, &other.shows][number % 2]);
        async move { shows.create(&titled("a", &number.to_string()), None).await }
    })
    .await;
    let mut winners = Vec::new();
    for (number, result) in results.into_iter().enumerate() {
        match result {
            Ok(_) => winners.push(number),
            Err(CreateShowError::AlreadyExists) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    let [winner] = winners[..] else {
        panic!("created by {winners:?}");
    };
    let standing = h.standing("a").await;
    assert_eq!(standing.show, titled("a", &winner.to_string()));
    assert_eq!((standing.seats, standing.seq), (seats(1, 0, 0), 1));
}

/// Looked up before it existed, found by both processes as soon as it does.
pub async fn a_miss_is_not_remembered(h: &StoreHarness) {
    let other = (h.connect)().await;
    assert_eq!(find(&h.ports.shows, "a").await, None);
    assert_eq!(find(&other.shows, "a").await, None);
    h.given(&[show("a", 1)], &[]).await;
    assert_eq!(find(&h.ports.shows, "a").await, Some(show("a", 1)));
    assert_eq!(find(&other.shows, "a").await, Some(show("a", 1)));
}

/// A look-up that begins after the creation must not share the answer of one
/// that began before it.
pub async fn a_look_up_under_way_does_not_hide_a_new_show(h: &StoreHarness) {
    const ROUNDS: usize = 30;
    let round = Arc::new(AtomicUsize::new(0));
    let looking = Background::repeat(4, {
        let (shows, round) = (Arc::clone(&h.ports.shows), Arc::clone(&round));
        move || {
            let (shows, round) = (Arc::clone(&shows), Arc::clone(&round));
            async move {
                find(&shows, &round.load(Ordering::Relaxed).to_string()).await;
            }
        }
    });
    for number in 0..ROUNDS {
        round.store(number, Ordering::Relaxed);
        let id = number.to_string();
        assert_eq!(find(&h.ports.shows, &id).await, None);
        h.given(&[show(&id, 1)], &[]).await;
        assert_eq!(find(&h.ports.shows, &id).await, Some(show(&id, 1)));
    }
    looking.stop().await;
}

/// Unlike `find`, which may be seconds old; in every process, and in the list.
pub async fn a_standing_is_what_is_committed_now(h: &StoreHarness) {
    let other = (h.connect)().await;
    h.given(&[show("a", 9), holding_show("b", 9, 60)], &["1"])
        .await;
    let source = OrderSource::new(1);
    for sold in 1..=5 {
        h.decide(&[source.order("a", "1"), source.order("b", "1")])
            .await;
        let listed = other.shows.list(None, 10).await.unwrap();
        for shows in [&h.ports.shows, &other.shows] {
            let of = async |id: &str| standing_of(shows, id).await.unwrap();
            let (a, b) = (of("a").await, of("b").await);
            assert_eq!(
                (a.seats, a.seq),
                (seats(9 - sold, 0, sold), 1 + u64::from(sold))
            );
            assert_eq!(
                (b.seats, b.seq),
                (seats(9 - sold, sold, 0), 1 + u64::from(sold))
            );
            assert_eq!(listed, [a, b]);
        }
    }
}

/// More ids than fit into one statement, some of no show, some twice, in no sequence.
pub async fn standings_are_of_the_shows_that_exist_each_once(h: &StoreHarness) {
    const SHOWS: u32 = 300;
    let shows: Vec<_> = (0..SHOWS).map(|n| show(&n.to_string(), n)).collect();
    h.given(&shows, &["1"]).await;
    h.decide(&[OrderSource::new(1).order("299", "1")]).await;
    let standings = async |ids: Vec<ShowId>| {
        let standings = h.ports.shows.standings(&ids).await.unwrap();
        let mut found: Vec<_> = standings
            .into_iter()
            .map(|it| (it.show.terms.capacity.seats(), it.seats, it.seq))
            .collect();
        found.sort_unstable_by_key(|(capacity, ..)| *capacity);
        found
    };
    let new = |n: u32| (n, seats(n, 0, 0), 1);
    let mut all: Vec<_> = (0..SHOWS - 1).map(new).collect();
    all.push((SHOWS - 1, seats(SHOWS - 2, 0, 1), 2));
    // Some are of no show, and the first hundred are there again at the end.
    let ids = (0..SHOWS).rev().flat_map(|n| {
        let unknown = (n % 2 == 0).then(|| show_id(&format!("no-{n}")));
        [Some(show_id(&n.to_string())), unknown]
    });
    let again = (0..100).map(|n: u32| Some(show_id(&n.to_string())));
    let ids = ids.chain(again).flatten().collect();
    assert_eq!(standings(ids).await, all);
    // Lists of every length that a statement may be padded to.
    for count in [0, 1, 2, 3, 5, 127, 128, 129, 257] {
        let ids = (0..count).map(|n: u32| show_id(&n.to_string())).collect();
        let expected: Vec<_> = (0..count).map(new).collect();
        assert_eq!(standings(ids).await, expected);
    }
    assert_eq!(standings(vec![show_id("a"), show_id("b")]).await, []);
}

/// In byte order, whatever the sequence of creation or the collation.
pub async fn shows_are_listed_by_id_in_pages(h: &StoreHarness) {
    let shows = &h.ports.shows;
    assert_eq!(shows.list(None, 10).await.unwrap(), []);
    let sorted = ["-", ".", "0", "10", "9", "A", "B", "_", "a", "b", "~"];
    for id in ["b", "9", "~", "A", "0", "a", "_", "10", ".", "B", "-"] {
        shows.create(&show(id, 1), None).await.unwrap();
    }
    let page = async |after: Option<&ShowStanding>| {
        let after = after.map(|standing| &standing.show.id);
        shows.list(after, 4).await.unwrap()
    };
    let listed = in_pages(4, page).await;
    let listed: Vec<_> = listed.iter().map(|it| it.show.id.as_str()).collect();
    assert_eq!(listed, sorted);
    // Between two ids: `after` need not exist.
    let page = shows.list(Some(&show_id("1")), 2).await.unwrap();
    let ids: Vec<_> = page
        .iter()
        .map(|standing| standing.show.id.as_str())
        .collect();
    assert_eq!(ids, ["10", "9"]);
    assert_eq!(shows.list(Some(&show_id("~")), 9).await.unwrap(), []);
}

/// In every process, page by page; what changes no terms, or is no change of terms, is not among
/// them. Once an author is erased, the alias is in its place.
pub async fn terms_are_kept_with_their_author(h: &StoreHarness) {
    let other = (h.connect)().await;
    let ada = Author::user(&user_id("ada"));
    let show = holding_show("a", 10, 60);
    let capacity = |seats| ShowChange {
        capacity: Some(Capacity::new(seats).unwrap()),
        ..ShowChange::default()
    };
    let titled = ShowChange {
        title: Some(Title::new("Another").unwrap()),
        ..ShowChange::default()
    };
    let robot = Author::named("admin.token");
    h.ports.shows.create(&show, Some(&ada)).await.unwrap();
    h.given(&[], &["1"]).await;
    h.decide(&OrderSource::new(1).orders(2, "a", "1")).await;
    h.clock.advance_seconds(5);
    for (change, by) in [
        (capacity(20), Some(&robot)),
        (titled, Some(&ada)),
        (capacity(20), Some(&ada)),
        (capacity(30), None),
        (capacity(40), Some(&ada)),
    ] {
        let changed = other.ledger.change_show(&show.id, &change, by).await;
        changed.unwrap();
    }
    let later = start().plus_seconds(5);
    // Two numbers are those of decisions.
    let mut wanted = vec![
        (1, start(), 10, Some(ada.clone())),
        (4, later, 20, Some(robot)),
        (5, later, 30, None),
        (6, later, 40, Some(ada)),
    ];
    let told = |terms: Vec<TermsSet>| -> Vec<_> {
        let terms = terms.into_iter();
        terms
            .map(|set| (set.seq, set.at, set.terms.capacity.seats(), set.by))
            .collect()
    };
    for shows in [&h.ports.shows, &other.shows] {
        let all = shows.terms_history(&show.id, 0, 10).await.unwrap();
        assert_eq!(told(all), wanted);
        let some = shows.terms_history(&show.id, 1, 2).await.unwrap();
        assert_eq!(told(some), wanted[1..3]);
        let none = shows.terms_history(&show_id("b"), 0, 10).await.unwrap();
        assert_eq!(none, []);
    }

    let alias = user_id("erased-1");
    let erased = other.users.erase(&user_id("ada"), &alias).await.unwrap();
    assert_eq!(
        erased,
        Some(0),
        "although there is neither a user nor a ticket"
    );
    let alias = Some(Author::user(&alias));
    for place in [0, 3] {
        wanted[place].3.clone_from(&alias);
    }
    let all = h.ports.shows.terms_history(&show.id, 0, 10).await.unwrap();
    assert_eq!(told(all), wanted);
}
