//! Changing what a show is, under the lock of its counters.

use super::box_office::BoxOffice;
use crate::event::Event;
use crate::ids::ShowId;
use crate::ports::{ChangeShowError, TicketEventsError};
use crate::show::{ShowChange, ShowStanding};

/// A show that was changed.
#[derive(Debug)]
pub struct ChangedShow {
    /// The show as it is now.
    pub standing: ShowStanding,
    /// Whether the change was announced. The change itself is committed either way.
    pub announced: Result<(), TicketEventsError>,
}

impl BoxOffice {
    /// Changes a show's title and terms.
    ///
    /// # Errors
    /// [`ChangeShowError`].
    pub async fn change_show(
        &self,
        id: &ShowId,
        change: &ShowChange,
    ) -> Result<ChangedShow, ChangeShowError> {
        let standing = self.parts.ledger.change_show(id, change).await?;
        let seats = Event::Show(standing.announcement());
        let announced = self.parts.events.announce(vec![seats]).await;
        Ok(ChangedShow {
            standing,
            announced,
        })
    }
}
