//! Telling what the store says: to new listeners, and again to all of them,
//! because an announcement may have been missed.

use std::collections::HashSet;
use std::time::Duration;

use domain::ids::ShowId;
use domain::ports::{Cause, ShowRepositoryError};
use domain::receipt::TicketId;
use domain::use_cases::ReadTicketError;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::listener::{Audience, Listener};
use super::message::{Content, Failure, write};
use super::shared::Live;
use runtime::Outage;

/// Everything with listeners is read again in this time. What is missed is read
/// at the end of the next round at the latest, that is in twice this time and what
/// the reading takes; 10 s are promised.
const ROUND: Duration = Duration::from_secs(3);
/// Ids of one query.
const BATCH: usize = 500;
/// Before the store is asked again after it did not answer.
const RETRY: Duration = Duration::from_secs(1);

impl Live {
    /// Tells one listener the state of what it has just subscribed to. If the
    /// store does not answer, the next round does.
    pub(crate) async fn tell_state(
        &self,
        listener: &Listener,
        tickets: &[TicketId],
        shows: &[ShowId],
    ) {
        let told = async {
            for batch in tickets.chunks(BATCH) {
                self.tell_tickets(batch, Audience::One(listener)).await?;
            }
            for batch in shows.chunks(BATCH) {
                self.tell_shows(batch, Audience::One(listener)).await?;
            }
            Ok::<_, Cause>(())
        };
        if told.await.is_err() {
            self.missed.notify_one();
            let content = Content::Failure(&Failure::StoreUnavailable);
            listener.send(write(content, listener.dialect()));
        }
    }

    /// Reads everything with listeners again and again: at once when
    /// announcements were missed, else spread over [`ROUND`]. Never returns.
    pub(crate) async fn heal(&self) {
        let mut outage = Outage::of("notifications");
        loop {
            match self.read_again().await {
                Ok(()) => outage.record_success(),
                Err(error) => {
                    outage.record_failure(error.as_ref());
                    sleep(RETRY).await;
                    self.missed.notify_one();
                }
            }
        }
    }

    async fn read_again(&self) -> Result<(), Cause> {
        let tickets = self.tickets.unsettled();
        let shows = self.shows.watched();
        let batches = tickets.len().div_ceil(BATCH) + shows.len().div_ceil(BATCH);
        let mut pace = Pace::of_a_round(&self.missed, batches);
        if batches == 0 {
            pace.keep().await;
        }
        for batch in tickets.chunks(BATCH) {
            pace.keep().await;
            self.tell_tickets(batch, Audience::All).await?;
        }
        for batch in shows.chunks(BATCH) {
            pace.keep().await;
            self.tell_shows(batch, Audience::All).await?;
        }
        Ok(())
    }

    /// Of an id that nobody issued the store is not asked.
    async fn tell_tickets(
        &self,
        ids: &[TicketId],
        audience: Audience<'_>,
    ) -> Result<(), ReadTicketError> {
        let is_issued = |id: &TicketId| self.office.open(*id).is_some();
        let (ids, unknown): (Vec<_>, Vec<_>) = ids.iter().copied().partition(is_issued);
        for id in unknown {
            self.tickets.refuse(id, audience);
        }
        if ids.is_empty() {
            return Ok(());
        }
        let read = match self.office.read_tickets(&ids).await {
            // Each alone: one that cannot be read must not keep the others from being told.
            Err(ReadTicketError::Unreadable(_)) if ids.len() > 1 => {
                for id in &ids {
                    Box::pin(self.tell_tickets(std::slice::from_ref(id), audience)).await?;
                }
                return Ok(());
            }
            // It is sent once somebody has mended it.
            Err(ReadTicketError::Unreadable(_)) if matches!(audience, Audience::All) => {
                return Ok(());
            }
            read => read?,
        };
        for ticket in &read {
            self.tickets.tell(ticket, audience);
        }
        let decided: HashSet<_> = read.iter().map(|t| t.order.ticket_id).collect();
        for id in ids.iter().filter(|id| !decided.contains(id)) {
            self.tell_processing(*id, audience);
        }
        Ok(())
    }

    /// Tells those who may wait for the ticket that it has no verdict yet, and where it waits; and
    /// the others that there is none.
    pub(crate) fn tell_processing(&self, id: TicketId, audience: Audience<'_>) {
        if let Some(opened) = self.office.open(id) {
            let may_wait = |principal: &_| self.office.open_for(principal, id).is_some();
            let line = |hint: &_| self.line(&opened, hint);
            self.tickets
                .tell_processing(id, opened.issued_at(), audience, may_wait, line);
        }
    }

    async fn tell_shows(
        &self,
        ids: &[ShowId],
        audience: Audience<'_>,
    ) -> Result<(), ShowRepositoryError> {
        let standings = self.office.read_standings(ids).await?;
        for standing in &standings {
            self.shows.tell(&standing.announcement(), audience);
        }
        let found: HashSet<_> = standings.iter().map(|s| &s.show.id).collect();
        for id in ids.iter().filter(|id| !found.contains(id)) {
            // Among others, one that cannot be read is left out like one that is not there.
            let alone = self.office.read_standings(std::slice::from_ref(id)).await;
            if alone.is_ok_and(|alone| alone.is_empty()) {
                self.shows.refuse(id, audience);
            }
        }
        Ok(())
    }
}

/// Spreads the batches of a round, unless announcements were missed.
struct Pace<'a> {
    missed: &'a Notify,
    due: Instant,
    step: Duration,
    batches_kept: usize,
    is_hurried: bool,
}

impl<'a> Pace<'a> {
    fn of_a_round(missed: &'a Notify, batches: usize) -> Self {
        Self {
            missed,
            due: Instant::now(),
            step: ROUND / u32::try_from(batches.max(1)).unwrap_or(u32::MAX),
            batches_kept: 0,
            is_hurried: false,
        }
    }

    /// Waits for the next batch's turn.
    async fn keep(&mut self) {
        self.due += self.step;
        if !self.is_hurried {
            tokio::select! {
                () = sleep_until(self.due) => {}
                () = self.missed.notified() => {
                    self.is_hurried = true;
                    if self.batches_kept > 0 {
                        // What was read before is missed too: another round.
                        self.missed.notify_one();
                    }
                }
            }
        }
        self.batches_kept += 1;
    }
}
