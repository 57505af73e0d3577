//! Administration of shows and users.

use super::box_office::BoxOffice;
use crate::event::Event;
use crate::ids::{ShowId, UserId};
use crate::ports::{
    ChangeShowError, CreateShowError, CreateUserError, ShowRepositoryError, TermsSet,
    TicketEventsError, UserAuthors, UserRepositoryError,
};
use crate::principal::Principal;
use crate::show::{Show, ShowChange, ShowStanding};
use crate::user::{User, UserChange};

/// A show that was changed.
#[derive(Debug)]
pub struct ChangedShow {
    /// The show as it is now.
    pub standing: ShowStanding,
    /// Whether the change was announced. The change itself is committed either way.
    pub announced: Result<(), TicketEventsError>,
}

impl BoxOffice {
    /// Puts a show on sale and returns it as it started.
    ///
    /// # Errors
    /// [`CreateShowError`].
    pub async fn create_show(
        &self,
        by: &Principal,
        show: Show,
    ) -> Result<ShowStanding, CreateShowError> {
        self.parts.shows.create(&show, Some(&by.author())).await
    }

    /// Changes a show's title and terms.
    ///
    /// # Errors
    /// [`ChangeShowError`].
    pub async fn change_show(
        &self,
        by: &Principal,
        id: &ShowId,
        change: &ShowChange,
    ) -> Result<ChangedShow, ChangeShowError> {
        let by = by.author();
        let standing = self.parts.ledger.change_show(id, change, Some(&by)).await?;
        if let Some(state) = &self.parts.state {
            state.note_show_changed(&standing).await;
        }
        let seats = Event::Show(standing.announcement());
        let announced = self.parts.events.announce(vec![seats]).await;
        Ok(ChangedShow {
            standing,
            announced,
        })
    }

    /// A show with its seats, to be looked at.
    ///
    /// # Errors
    /// [`ShowRepositoryError`].
    pub async fn read_show(
        &self,
        id: &ShowId,
    ) -> Result<Option<ShowStanding>, ShowRepositoryError> {
        if let Some(state) = &self.parts.state {
            return state.show(id).await;
        }
        let found = self.parts.shows.standings(std::slice::from_ref(id)).await?;
        Ok(found.into_iter().next())
    }

    /// The shows among `ids` with their seats, in any sequence.
    ///
    /// # Errors
    /// [`ShowRepositoryError`].
    pub async fn read_standings(
        &self,
        ids: &[ShowId],
    ) -> Result<Vec<ShowStanding>, ShowRepositoryError> {
        self.parts.shows.standings(ids).await
    }

    /// Up to `limit` shows after `after`, by id.
    ///
    /// # Errors
    /// [`ShowRepositoryError`].
    pub async fn list_shows(
        &self,
        after: Option<&ShowId>,
        limit: usize,
    ) -> Result<Vec<ShowStanding>, ShowRepositoryError> {
        self.parts.shows.list(after, limit).await
    }

    /// Up to `limit` changes of a show's terms after a number, and who made them.
    ///
    /// # Errors
    /// [`ShowRepositoryError`].
    pub async fn terms_history(
        &self,
        id: &ShowId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<TermsSet>, ShowRepositoryError> {
        self.parts.shows.terms_history(id, after_seq, limit).await
    }

    /// Adds a user.
    ///
    /// # Errors
    /// [`CreateUserError`].
    pub async fn create_user(&self, by: &Principal, user: User) -> Result<User, CreateUserError> {
        self.parts.users.create(&user, Some(&by.author())).await?;
        Ok(user)
    }

    /// Changes a user; `None` if there is none.
    ///
    /// # Errors
    /// [`UserRepositoryError`].
    pub async fn change_user(
        &self,
        by: &Principal,
        id: &UserId,
        change: &UserChange,
    ) -> Result<Option<User>, UserRepositoryError> {
        let by = by.author();
        self.parts.users.change(id, change, Some(&by)).await
    }

    /// Forgets a user; see [`crate::ports::UserRepository::erase`].
    ///
    /// # Errors
    /// [`UserRepositoryError`].
    pub async fn erase_user(
        &self,
        id: &UserId,
        alias: &UserId,
    ) -> Result<Option<u64>, UserRepositoryError> {
        let note_erased = || {
            if let Some(state) = &self.parts.state {
                state.note_erased(id);
            }
        };
        note_erased();
        let erased = self.parts.users.erase(id, alias).await;
        // It may have taken long, and somebody may have read a ticket meanwhile.
        note_erased();
        erased
    }

    /// A user.
    ///
    /// # Errors
    /// [`UserRepositoryError`].
    pub async fn read_user(&self, id: &UserId) -> Result<Option<User>, UserRepositoryError> {
        self.parts.users.find(id).await
    }

    /// Who created a user, and who changed it last.
    ///
    /// # Errors
    /// [`UserRepositoryError`].
    pub async fn authors_of(&self, id: &UserId) -> Result<UserAuthors, UserRepositoryError> {
        self.parts.users.authors_of(id).await
    }

    /// Up to `limit` users after `after`, by id.
    ///
    /// # Errors
    /// [`UserRepositoryError`].
    pub async fn list_users(
        &self,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<User>, UserRepositoryError> {
        self.parts.users.list(after, limit).await
    }
}
