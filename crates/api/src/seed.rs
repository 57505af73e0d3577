//! What development starts with, and `tickets seed` adds, so that docs/API.md's first order works.

use std::num::NonZeroU32;

use anyhow::Context;
use domain::author::Author;
use domain::ids::{ShowId, UserId};
use domain::ports::{CreateShowError, CreateUserError, ShowRepository, UserRepository};
use domain::show::{Capacity, HoldSeconds, SalesWindow, Show, Terms, Title};
use domain::user::{PriorityClass, User, UserName};

const MAX_PER_USER: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// Adds user `1` and show `230920` unless they exist.
pub(crate) async fn demo(
    users: &dyn UserRepository,
    shows: &dyn ShowRepository,
) -> anyhow::Result<()> {
    let user = User {
        id: UserId::from(1),
        name: UserName::new("Demo buyer")?,
        priority: PriorityClass::Standard,
    };
    let show = Show {
        id: ShowId::from(230_920),
        title: Title::new("Demo show")?,
        terms: Terms {
            capacity: Capacity::new(50_000)?,
            max_per_user: MAX_PER_USER,
            hold: HoldSeconds::new(0)?,
            window: SalesWindow::default(),
        },
    };
    let by = Author::named("tickets seed");
    match users.create(&user, Some(&by)).await {
        Ok(_) | Err(CreateUserError::AlreadyExists) => {}
        Err(error) => return Err(error).context("adding the demo user"),
    }
    match shows.create(&show, Some(&by)).await {
        Ok(_) | Err(CreateShowError::AlreadyExists) => Ok(()),
        Err(error) => Err(error).context("adding the demo show"),
    }
}
