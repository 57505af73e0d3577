//! What shows and users are called, and who is of which class.

/// What the shows and users of a run are called, so that nothing collides with
/// what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    run: String,
    users: String,
}

impl Names {
    /// Of a new run; `users` is the prefix of users that exist.
    #[must_use]
    pub fn new(users: Option<&str>) -> Self {
        let run = format!("run-{:08x}", rand::random::<u32>());
        Self {
            users: users.map_or_else(|| format!("{run}-u"), str::to_owned),
            run,
        }
    }

    /// Of a deployment that nobody else uses: with this before the number of a show, and
    /// that before the number of a user.
    #[must_use]
    pub fn of(shows: &str, users: &str) -> Self {
        Self {
            run: shows.to_owned(),
            users: users.to_owned(),
        }
    }

    /// The name of the run.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The id of a user, by number.
    #[must_use]
    pub fn user(&self, number: u32) -> String {
        format!("{}{number}", self.users)
    }

    /// The id of a show, by number.
    #[must_use]
    pub fn show(&self, number: u32) -> String {
        format!("{}-s{number}", self.run)
    }

    /// The number of a user of this run.
    #[must_use]
    pub fn user_number(&self, id: &str) -> Option<u32> {
        id.strip_prefix(&self.users)?.parse().ok()
    }

    /// The number of a show of this run.
    #[must_use]
    pub fn show_number(&self, id: &str) -> Option<u32> {
        id.strip_prefix(&self.run)?.strip_prefix("-s")?.parse().ok()
    }
}

/// Whether the user of this number is of the class `high`: as many as the share
/// says, evenly among the others.
#[must_use]
pub fn is_high(user: u32, share: f64) -> bool {
    (f64::from(user + 1) * share).floor() > (f64::from(user) * share).floor()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_run_are_found_again() {
        let names = Names::new(None);
        assert_eq!(names.user_number(&names.user(7)), Some(7));
        assert_eq!(names.show_number(&names.show(8)), Some(8));
        assert_eq!(names.show_number("230920"), None);
        let existing = Names::new(Some("load-"));
        assert_eq!(existing.user(3), "load-3");
        assert!(existing.show(1).starts_with("run-"));
        let alone = Names::of("onsale", "");
        assert_eq!(
            (alone.show(3), alone.user(7)),
            ("onsale-s3".to_owned(), "7".to_owned())
        );
        assert_eq!(alone.user_number("7"), Some(7));
    }

    #[test]
    fn priority_is_spread_evenly() {
        let high: Vec<_> = (0..8).filter(|user| is_high(*user, 0.25)).collect();
        assert_eq!(high, [3, 7]);
        assert!((0..100).all(|user| is_high(user, 1.0) && !is_high(user, 0.0)));
    }
}
