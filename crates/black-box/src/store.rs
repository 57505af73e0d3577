//! What the store says after a sale: from the database of an own deployment, or
//! over HTTP, where a ticket is read by its id.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Deserialize;
use tokio::time::sleep;
use uuid::Uuid;

use crate::administration::Seats;
use crate::body::TicketAnswer;
use crate::database::Database;
use crate::http::Response;
use crate::load::{Requests, drive};
use crate::names::Names;
use crate::proof::history::Journaled;
use crate::proof::ticket::StoredTicket;
use crate::target::Target;

const READING_CONNECTIONS: usize = 64;
/// Within which a hold ends after its time.
const GRACE: Duration = Duration::from_secs(5);
/// Between two looks at what is not decided yet.
const PAUSE: Duration = Duration::from_millis(200);

/// Where tickets are read.
pub enum Store {
    /// Past the service.
    Database(Database),
    /// By asking the service.
    Http,
}

/// Everything that was read.
#[derive(Debug, Default)]
pub struct Stored {
    /// Decided tickets of the run's shows: all of them from a database, those
    /// that clients can name over HTTP.
    pub tickets: Vec<StoredTicket>,
    /// Every change of the run's shows that is not a decision; only from a database.
    pub journal: Option<Vec<Journaled>>,
}

impl Store {
    /// Whether every change can be read afterwards.
    #[must_use]
    pub const fn is_replayed(&self) -> bool {
        matches!(self, Self::Database(_))
    }

    /// How the shows of a run stand.
    pub async fn seats(&self, target: &Target, names: &Names) -> anyhow::Result<Seats> {
        match self {
            Self::Database(database) => database.seats().await,
            Self::Http => target.seats(names).await,
        }
    }

    /// Orders that are decided; `None` where only the tickets themselves tell.
    pub async fn decided(&self) -> anyhow::Result<Option<u64>> {
        match self {
            Self::Database(database) => database.decided().await.map(Some),
            Self::Http => Ok(None),
        }
    }

    /// Waits until every one of these tickets is decided and every hold has
    /// ended, or nothing has happened for as long as the patience lasts, and reads
    /// all there is.
    pub async fn read(&self, asked: &Asked<'_>) -> anyhow::Result<Stored> {
        match self {
            Self::Database(database) => self.read_database(database, asked).await,
            Self::Http => Ok(Stored {
                tickets: self.read_by_id(asked).await?,
                journal: None,
            }),
        }
    }

    async fn read_database(
        &self,
        database: &Database,
        asked: &Asked<'_>,
    ) -> anyhow::Result<Stored> {
        let wanted = asked.accepted.len() as u64;
        let mut decided = (0, Instant::now());
        loop {
            let now = database.decided().await?;
            if now != decided.0 {
                decided = (now, Instant::now());
            }
            let is_over = decided.1.elapsed() > asked.patience;
            if now < wanted && !is_over {
                sleep(PAUSE).await;
                continue;
            }
            self.wait_until_holds_end(asked).await?;
            let tickets = database.stored_tickets(asked.names).await?;
            // Among those that are decided may be some of which no client knows.
            let ids: HashSet<Uuid> = tickets.iter().map(|ticket| ticket.id).collect();
            if is_over || asked.accepted.iter().all(|id| ids.contains(id)) {
                return Ok(Stored {
                    tickets,
                    journal: Some(database.journal(asked.names).await?),
                });
            }
            sleep(PAUSE).await;
        }
    }

    async fn wait_until_holds_end(&self, asked: &Asked<'_>) -> anyhow::Result<()> {
        let started = Instant::now();
        while asked.hold_seconds > 0
            && started.elapsed() < Duration::from_secs(u64::from(asked.hold_seconds)) + GRACE
        {
            if self.seats(asked.target, asked.names).await?.held == 0 {
                break;
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn read_by_id(&self, asked: &Asked<'_>) -> anyhow::Result<Vec<StoredTicket>> {
        let Asked { target, names, .. } = asked;
        let mut reading = Reading {
            target,
            names,
            has_holds: asked.hold_seconds > 0,
            unread: asked.accepted.to_vec(),
            undecided: Vec::new(),
            tickets: Vec::new(),
        };
        let mut latest = (asked.accepted.len(), Instant::now());
        loop {
            self.wait_until_holds_end(asked).await?;
            drive(
                target.endpoint.clone(),
                READING_CONNECTIONS,
                None,
                &mut reading,
            )
            .await?;
            let undecided = reading.undecided.len();
            if undecided < latest.0 {
                latest = (undecided, Instant::now());
            }
            if undecided == 0 || latest.1.elapsed() > asked.patience {
                break;
            }
            std::mem::swap(&mut reading.unread, &mut reading.undecided);
            sleep(PAUSE).await;
        }
        // One that was never accepted is never decided: nobody waits for it.
        reading.unread = asked.uncertain.to_vec();
        drive(
            target.endpoint.clone(),
            READING_CONNECTIONS,
            None,
            &mut reading,
        )
        .await?;
        let mut tickets = reading.tickets;
        let known: HashSet<Uuid> = tickets.iter().map(|ticket| ticket.id).collect();
        for user in asked.doubtful {
            let path = format!("/tickets?user_id={}&limit=500", names.user(*user));
            let body = target.get(&path, Duration::from_secs(30)).await?;
            let page: TicketPage<'_> = serde_json::from_slice(&body).context("a user's tickets")?;
            let more = page
                .tickets
                .iter()
                .filter_map(|ticket| ticket.stored(names, reading.has_holds));
            tickets.extend(more.filter(|ticket| !known.contains(&ticket.id)));
        }
        Ok(tickets)
    }
}

/// What is to be read.
pub struct Asked<'a> {
    /// Where the service is.
    pub target: &'a Target,
    /// What the run's shows and users are called.
    pub names: &'a Names,
    /// Tickets that were accepted.
    pub accepted: &'a [Uuid],
    /// Tickets of which clients do not know whether they were.
    pub uncertain: &'a [Uuid],
    /// Numbers of users who do not know whether they have a ticket.
    pub doubtful: &'a HashSet<u32>,
    /// Time to confirm a hold.
    pub hold_seconds: u32,
    /// How long to wait while nothing happens.
    pub patience: Duration,
}

#[derive(Deserialize)]
struct TicketPage<'a> {
    #[serde(borrow)]
    tickets: Vec<TicketAnswer<'a>>,
}

struct Reading<'a> {
    target: &'a Target,
    names: &'a Names,
    has_holds: bool,
    unread: Vec<Uuid>,
    undecided: Vec<Uuid>,
    tickets: Vec<StoredTicket>,
}

impl Requests for Reading<'_> {
    type Mark = Uuid;

    fn next(&mut self, request: &mut Vec<u8>) -> Option<Uuid> {
        let id = self.unread.pop()?;
        let path = format!("/tickets/{id}");
        // Administration sees everybody's.
        self.target.admin_head("GET", &path).write(request, "");
        Some(id)
    }

    fn answered(&mut self, id: Uuid, response: Response<'_>) {
        let ticket = TicketAnswer::read(response.body);
        let ticket = ticket.filter(|ticket| response.status == 200 && ticket.ticket_id == id);
        match ticket.and_then(|ticket| ticket.stored(self.names, self.has_holds)) {
            Some(stored) => self.tickets.push(stored),
            None => self.undecided.push(id),
        }
    }
}
