//! What a seed settles before its run starts.

use std::num::NonZeroU32;
use std::time::Duration;

use domain::ids::{ShowId, UserId};
use domain::order::Lanes;
use domain::show::{Capacity, HoldSeconds, SalesWindow, Show, Terms, Title};
use domain::time::Timestamp;
use domain::user::{PriorityClass, User, UserName};

use crate::chance::Chance;

/// All processes sign alike.
pub(crate) const SECRET: &str = "the secret of the simulation";

/// Who and what there is.
pub(crate) struct Plan {
    pub(crate) lanes: Lanes,
    pub(crate) apis: usize,
    pub(crate) workers: usize,
    /// How far the clock of a process may be off, in microseconds.
    pub(crate) skew_micros: u64,
    pub(crate) batch_max: usize,
    pub(crate) sweep_interval: Duration,
    pub(crate) publish_timeout: Duration,
    pub(crate) message_max: usize,
    pub(crate) shows: Vec<Show>,
    pub(crate) users: Vec<User>,
    pub(crate) clients: usize,
    /// Undecidable orders become decidable in the end, and are put back.
    pub(crate) cures_poison: bool,
}

impl Plan {
    pub(crate) fn draw(chance: &mut Chance, start: Timestamp) -> Self {
        let lanes = Lanes::new(if chance.one_in(3) { 1 } else { 2 }).unwrap();
        let shows = (0..chance.between(1, 3))
            .map(|number| draw_show(chance, number, start))
            .collect();
        let mut users: Vec<_> = (0..chance.between(2, 8))
            .map(|number| draw_user(chance, &format!("user-{number}")))
            .collect();
        if chance.one_in(3) {
            users.push(draw_user(chance, POISON));
        }
        Self {
            lanes,
            apis: chance.index(2) + 2,
            workers: chance.index(2) + 2,
            skew_micros: if chance.one_in(2) { 0 } else { 100_000 },
            batch_max: chance.index(8) + 1,
            sweep_interval: chance.millis(100, 1_000),
            publish_timeout: chance.millis(300, 2_000),
            message_max: chance.index(5) + 1,
            shows,
            users,
            clients: chance.index(8) + 3,
            cures_poison: chance.one_in(2),
        }
    }
}

/// A user whose orders the store cannot take.
pub(crate) const POISON: &str = "poison";

fn draw_show(chance: &mut Chance, number: u64, start: Timestamp) -> Show {
    let hold = if chance.one_in(4) {
        0
    } else {
        chance.seats(1, 3)
    };
    let window = match chance.below(6) {
        0 => SalesWindow::new(Some(start.plus_micros(chance.seats(0, 2_000_000))), None),
        1 => SalesWindow::new(
            None,
            Some(start.plus_micros(chance.seats(1_000_000, 5_000_000))),
        ),
        _ => SalesWindow::new(None, None),
    };
    Show {
        id: ShowId::new(&format!("show-{number}")).unwrap(),
        title: Title::new("A show").unwrap(),
        terms: Terms {
            capacity: Capacity::new(chance.seats(1, 12)).unwrap(),
            max_per_user: NonZeroU32::new(chance.seats(2, 8)).unwrap(),
            hold: HoldSeconds::new(hold).unwrap(),
            window: window.unwrap(),
        },
    }
}

fn draw_user(chance: &mut Chance, id: &str) -> User {
    User {
        id: UserId::new(id).unwrap(),
        name: UserName::new(id).unwrap(),
        priority: *chance.pick(&PriorityClass::ALL),
    }
}
