//! What is asked of a deployment's administration, over HTTP.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout;

use crate::http::{Connection, Response};
use crate::load::{Requests, drive};
use crate::names::{Names, is_high};
use crate::proof::audit::AuditReport;
use crate::target::Target;

const SETUP_CONNECTIONS: usize = 32;
const SHOWS_PER_PAGE: usize = 500;
/// A second per million changes of all shows that there are.
const AUDIT_DEADLINE: Duration = Duration::from_secs(600);
const DEADLINE: Duration = Duration::from_secs(30);

/// The terms of sale of a show that is to be created.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Seats to sell.
    pub seats: u32,
    /// Seats that a user may have.
    pub max_per_user: u32,
    /// Time to confirm in seconds; 0: sold at once.
    pub hold_seconds: u32,
}

impl Terms {
    /// Sold at once, to anybody who asks.
    #[must_use]
    pub const fn of(seats: u32) -> Self {
        Self {
            seats,
            max_per_user: seats,
            hold_seconds: 0,
        }
    }
}

/// Seats of all shows of a run, as they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seats {
    /// Seats that are still on sale.
    pub available: u64,
    /// Seats of reserved tickets.
    pub held: u64,
    /// Seats of confirmed tickets.
    pub sold: u64,
}

impl Target {
    /// Puts so many shows on sale.
    pub async fn put_on_sale(
        &self,
        names: &Names,
        number: u32,
        terms: Terms,
    ) -> anyhow::Result<()> {
        let body = |number| {
            json!({"id": names.show(number), "title": format!("On sale {number}"),
                "capacity": terms.seats, "max_per_user": terms.max_per_user,
                "hold_seconds": terms.hold_seconds})
            .to_string()
        };
        self.create("/shows", number, body).await
    }

    /// Creates so many users, one request each, of whom a share is of the class `high`.
    pub async fn create_users(&self, names: &Names, number: u32, high: f64) -> anyhow::Result<()> {
        let body = |number| {
            let is_high = is_high(number, high);
            let priority = if is_high { "high" } else { "standard" };
            let user = names.user(number);
            format!(r#"{{"id":"{user}","name":"User {number}","priority":"{priority}"}}"#)
        };
        self.create("/users", number, body).await
    }

    async fn create(
        &self,
        path: &str,
        number: u32,
        body: impl Fn(u32) -> String,
    ) -> anyhow::Result<()> {
        let mut creations = Creations {
            target: self,
            path,
            numbers: 0..number,
            body,
            refused: None,
        };
        let created = drive(
            self.endpoint.clone(),
            SETUP_CONNECTIONS,
            None,
            &mut creations,
        )
        .await?;
        let refused = creations.refused.unwrap_or_default();
        ensure!(
            created.count(201) == created.answers(),
            "POST {path}: {:?}, such as {refused}; administration's token is read from \
             APP__ADMIN__TOKEN",
            created.by_status
        );
        Ok(())
    }

    /// Asks once, as administration.
    ///
    /// # Errors
    /// When there is no answer or another one than `200`.
    pub async fn get(&self, path: &str, deadline: Duration) -> anyhow::Result<Vec<u8>> {
        let mut request = Vec::new();
        self.admin_head("GET", path).write(&mut request, "");
        let asking = async {
            let mut connection = Connection::open(self.endpoint.clone()).await?;
            let Response { status, body } = connection.exchange(&request).await?;
            if status != 200 {
                bail!("{status} {}", String::from_utf8_lossy(body));
            }
            anyhow::Ok(body.to_vec())
        };
        let answered = timeout(deadline, asking).await;
        answered
            .with_context(|| format!("GET {path} takes more than {deadline:?}"))?
            .with_context(|| format!("GET {path}"))
    }

    /// How the shows of a run stand.
    pub async fn seats(&self, names: &Names) -> anyhow::Result<Seats> {
        #[derive(Deserialize)]
        struct Page {
            shows: Vec<Show>,
            next_cursor: Option<String>,
        }
        #[derive(Deserialize)]
        struct Show {
            id: String,
            #[serde(flatten)]
            seats: Seats,
        }
        let mut all = Seats::default();
        // The list is by id: what comes before is of others.
        let mut cursor = Some(format!("{}-", names.run()));
        while let Some(after) = cursor {
            let path = format!("/shows?limit={SHOWS_PER_PAGE}&cursor={after}");
            let page: Page = serde_json::from_slice(&self.get(&path, DEADLINE).await?)?;
            cursor = page.next_cursor;
            for show in page.shows {
                if names.show_number(&show.id).is_none() {
                    return Ok(all);
                }
                all.available += show.seats.available;
                all.held += show.seats.held;
                all.sold += show.seats.sold;
            }
        }
        Ok(all)
    }

    /// The answer of `GET /admin/audit`: the service's own audit of all shows.
    pub async fn audit(&self) -> anyhow::Result<AuditReport> {
        let body = self.get("/admin/audit", AUDIT_DEADLINE).await?;
        serde_json::from_slice(&body).context("the audit is not of this version")
    }
}

struct Creations<'a, B> {
    target: &'a Target,
    path: &'a str,
    numbers: Range<u32>,
    body: B,
    /// An answer that was not 201.
    refused: Option<String>,
}

impl<B: Fn(u32) -> String> Requests for Creations<'_, B> {
    type Mark = ();

    fn next(&mut self, request: &mut Vec<u8>) -> Option<()> {
        let body = (self.body)(self.numbers.next()?);
        self.target
            .admin_head("POST", self.path)
            .write(request, &body);
        Some(())
    }

    fn answered(&mut self, (): (), response: Response<'_>) {
        if response.status != 201 {
            self.refused = Some(String::from_utf8_lossy(response.body).into_owned());
        }
    }
}
