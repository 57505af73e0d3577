//! Sweeping: holds that are over go back, whatever is the matter with some of them.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use domain::ids::ShowId;
use domain::ports::TransitionReport;
use domain::rule::{Changes, expire_holds};
use domain::time::Timestamp;
use runtime::error_chain;
use tokio::time::timeout;
use tracing::{error, warn};

use super::attempts::until_free;
use super::locked::Locked;
use crate::database::Database;
use crate::engine::Engine;
use crate::error::{Fault, SqlError};
use crate::log_once::log_once;
use crate::row::show_id;
use crate::statements::HoldStatements;

/// Shows of one sweep.
const SHOWS_MAX: u64 = 1_000;
/// How long a show is waited for that somebody else has locked. Who decides it releases its due
/// holds by himself.
const BUSY_LIMIT: Duration = Duration::from_secs(1);

/// First all shows that nobody has locked, together; then the others, one by one.
pub(super) async fn expire_due<E: Engine>(
    db: &Database<E>,
    limit: usize,
) -> Result<TransitionReport, E::Error> {
    let mut report = TransitionReport::default();
    let finding =
        async |session: &mut E::Session| shows_with_due_holds::<E>(session, db.clock.now()).await;
    let due = db.selling.run(finding).await?;
    if due.is_empty() {
        return Ok(report);
    }
    let attempt = async || -> Result<_, E::Error> {
        let shows: Vec<&ShowId> = due.iter().collect();
        let locked = Locked::free_shows(db, &shows).await?;
        let free: BTreeSet<ShowId> = locked.shows.keys().cloned().collect();
        Ok((free, expire(locked, limit).await?))
    };
    // A show that cannot be read or saved must not keep the holds of others.
    let left: Vec<&ShowId> = match until_free(attempt).await {
        Ok((free, expired)) => {
            add(&mut report, expired);
            due.iter().filter(|show| !free.contains(*show)).collect()
        }
        Err(error) if error.is_unprocessable() => due.iter().collect(),
        Err(error) => return Err(error),
    };
    for show in left {
        if report.outcomes.len() >= limit {
            break;
        }
        let left = limit - report.outcomes.len();
        let expiring = async {
            let locked = Locked::shows(db, &[show]).await?;
            if locked.shows.contains_key(show) {
                expire(locked, left).await
            } else {
                forget(locked, show, left).await?;
                Ok(TransitionReport::default())
            }
        };
        match timeout(BUSY_LIMIT, expiring).await {
            Ok(Ok(expired)) => add(&mut report, expired),
            Ok(Err(error)) => log_once(&format!("{show}: {error}"), || {
                let error = error_chain(&error);
                warn!(
                    show.id = show.as_str(),
                    error, "could not expire the show's holds; trying again"
                );
            }),
            // Somebody has it locked: the next sweep tries again.
            Err(_) => {}
        }
    }
    Ok(report)
}

fn add(report: &mut TransitionReport, more: TransitionReport) {
    report.outcomes.extend(more.outcomes);
    report.shows.extend(more.shows);
}

/// In the sequence of their ids, as they are locked. One row is read for each show that has
/// holds at all.
async fn shows_with_due_holds<E: Engine>(
    session: &mut E::Session,
    now: Timestamp,
) -> Result<Vec<ShowId>, E::Error> {
    let due = session.shows_with_due_holds(now, SHOWS_MAX).await?;
    let mut shows = Vec::with_capacity(due.len());
    let mut of_no_show = Vec::new();
    for id in due {
        match show_id("holds", &id) {
            Ok(id) => shows.push(id),
            Err(error) => of_no_show.push((id, error)),
        }
    }
    if let Some((_, error)) = of_no_show.first() {
        error!(
            shows = of_no_show.len(), first = %error,
            "removes holds whose show id is not valid"
        );
        // They would be found again and again, before all others.
        let ids: Vec<_> = of_no_show.into_iter().map(|(id, _)| id).collect();
        session.delete_holds_of_shows(&ids).await?;
    }
    shows.sort_unstable();
    Ok(shows)
}

/// Up to `limit` due holds of the locked shows.
async fn expire<E: Engine>(
    mut locked: Locked<E>,
    limit: usize,
) -> Result<TransitionReport, E::Error> {
    let shows: Vec<ShowId> = locked.shows.keys().cloned().collect();
    let due = locked.due_holds(&shows, limit).await?;
    let reserved = locked.reserved(&due.tickets).await?;
    let outcome = expire_holds(locked.ledgers()?, reserved, locked.now).map_err(Fault::from)?;
    let expired = outcome.changed.iter();
    let expired: HashSet<_> = expired.map(|change| change.after.order.ticket_id).collect();
    let idle = due.tickets.iter().filter(|id| !expired.contains(id));
    let mut idle: Vec<_> = idle.map(|id| id.to_bytes().to_vec()).collect();
    idle.extend(due.of_no_ticket);
    remove(&mut locked, &idle).await?;
    locked.commit(&outcome.changes()).await?;
    Ok(outcome.into())
}

/// Holds of a show that is not there.
async fn forget<E: Engine>(
    mut locked: Locked<E>,
    show: &ShowId,
    limit: usize,
) -> Result<(), E::Error> {
    let due = locked.due_holds(std::slice::from_ref(show), limit).await?;
    let tickets = due.tickets.iter().map(|id| id.to_bytes().to_vec());
    let idle: Vec<_> = tickets.chain(due.of_no_ticket).collect();
    remove(&mut locked, &idle).await?;
    locked.commit(&Changes::default()).await
}

/// Holds of tickets that are not there, not reserved, not of this show or not readable. They would
/// be found again and again, before all others; the tickets stay as they are.
async fn remove<E: Engine>(locked: &mut Locked<E>, idle: &[Vec<u8>]) -> Result<(), E::Error> {
    let Some(first) = idle.first() else {
        return Ok(());
    };
    error!(
        holds = idle.len(),
        first = %first.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        "removed expired holds that have no ticket"
    );
    locked.session().delete_holds(idle).await
}
