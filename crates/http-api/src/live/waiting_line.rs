//! Where the line is, for those who wait.

use std::time::Duration;

use domain::receipt::Opened;
use domain::use_cases::LineHint;
use tokio::time::{Instant, sleep_until};

use super::shared::Live;
use crate::json::ticket::WaitingLineBody;

/// Tickets whose line is sent before others get their turn.
const BATCH: usize = 500;

impl Live {
    /// Tells every waiting ticket's listeners where the line is, if that has
    /// changed, once per `live.line_interval_ms`; never returns.
    pub(crate) async fn tell_lines(&self) {
        loop {
            let started = Instant::now();
            let waiting = self.tickets.waiting();
            let batches = u32::try_from(waiting.len().div_ceil(BATCH)).unwrap_or(u32::MAX);
            // Spread, so that verdicts do not wait behind a burst of estimates.
            let step = self.settings.line_interval / batches.max(1);
            let mut due = started;
            for batch in waiting.chunks(BATCH) {
                for id in batch {
                    if let Some(opened) = self.office.open(*id) {
                        self.tickets.tell_line(*id, |hint| self.line(&opened, hint));
                    }
                }
                due += step;
                sleep_until(due).await;
            }
            // Rounding may leave a little; an empty line leaves all of it.
            sleep_until(started + self.settings.line_interval.max(Duration::from_millis(1))).await;
        }
    }

    pub(super) fn line(&self, id: &Opened<'_>, hint: &LineHint) -> Option<WaitingLineBody> {
        self.office.line_place(id, hint).map(WaitingLineBody::from)
    }
}
