//! A running service with something to sell, and what its administration sees.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::sleep;
use uuid::Uuid;

use crate::broker::LANES;
use crate::client::{Connection, Response, write_request};
use crate::cpu::Watched;
use crate::database::Database;
use crate::load::{Requests, drive};
use crate::process::{Process, sibling};
use crate::proof::audit::AuditReport;

/// The show that orders are placed for.
pub const SHOW: &str = "onsale";
const SETUP_CONNECTIONS: usize = 32;
/// Where a process says that it is ready.
const READY: &str = "/health/ready";
/// Orders are lost if none is decided for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program `tickets` with the configuration that all its processes of a run have.
#[derive(Debug, Clone)]
pub struct Tickets {
    program: PathBuf,
    token: String,
    variables: Vec<(String, String)>,
    /// The store, unless it is in the process's memory.
    database: Option<Database>,
}

impl Tickets {
    /// `program`, or the `tickets` beside this binary, with everything in memory.
    ///
    /// # Errors
    /// When this binary cannot be found.
    pub fn in_memory(program: Option<PathBuf>) -> anyhow::Result<Self> {
        Ok(Self {
            program: match program {
                Some(program) => program,
                None => sibling("tickets")?,
            },
            token: secret(),
            variables: Vec::new(),
            database: None,
        })
    }

    /// The same with the queue in a broker and the store in a database.
    ///
    /// # Errors
    /// When this binary cannot be found.
    pub fn on_services(
        program: Option<PathBuf>,
        rabbitmq_urls: &str,
        prefix: &str,
        database: Database,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            variables: [
                ("APP__QUEUE__ADAPTER", "rabbitmq".to_owned()),
                ("APP__QUEUE__LANES", LANES.to_string()),
                ("APP__RABBITMQ__URLS", rabbitmq_urls.to_owned()),
                ("APP__RABBITMQ__PREFIX", prefix.to_owned()),
                ("APP__STORE__ADAPTER", "mysql".to_owned()),
                ("APP__MYSQL__URL", database.url().to_owned()),
                ("APP__TICKETS__ID_SECRETS", secret()),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec(),
            database: Some(database),
            ..Self::in_memory(program)?
        })
    }

    /// The same with more settings, such as `queue.capacity`.
    #[must_use]
    pub fn with_settings(&self, settings: &BTreeMap<String, String>) -> Self {
        let mut tickets = self.clone();
        tickets
            .variables
            .extend(settings.iter().map(|(name, value)| {
                let name = name.replace('.', "__").to_uppercase();
                (format!("APP__{name}"), value.clone())
            }));
        tickets
    }

    /// Of administration.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What the program says that it is.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn version(&self) -> anyhow::Result<String> {
        let version = self.run(&["--version"]).await?;
        Ok(String::from_utf8_lossy(&version).trim().to_owned())
    }

    /// `tickets audit`, whatever it finds.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn audit_report(&self) -> anyhow::Result<AuditReport> {
        let mut command = Command::new(&self.program);
        self.configure(&mut command);
        let output = command.args(["audit", "--json"]).output().await?;
        serde_json::from_slice(&output.stdout).with_context(|| {
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            format!("tickets audit ended with {}: {error}", output.status)
        })
    }

    fn configure(&self, command: &mut Command) {
        command
            .env("APP__STORE__SEED_DEMO", "false")
            // Whoever has it set would have two lists of addresses.
            .env_remove("APP__RABBITMQ__URL")
            .env("APP__LOG__LEVEL", "error")
            .env("APP__ADMIN__TOKEN", &self.token)
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
    }

    /// Starts a process of a role (`all`, `api` or `worker`) and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn serve(&self, role: &str) -> anyhow::Result<Service> {
        let set_up = self.serving(role);
        Ok(Service {
            process: Process::start(&self.program, set_up, READY).await?,
            tickets: self.clone(),
        })
    }

    /// As [`Self::serve`], on this port.
    ///
    /// # Errors
    /// As above.
    pub async fn serve_on(&self, port: u16, role: &str) -> anyhow::Result<Service> {
        let set_up = self.serving(role);
        Ok(Service {
            process: Process::start_on(port, &self.program, set_up, READY).await?,
            tickets: self.clone(),
        })
    }

    fn serving(&self, role: &str) -> impl FnOnce(&mut Command, u16) {
        move |command, port| {
            self.configure(command);
            command
                .args(["serve", "--role", role])
                .env("APP__SERVER__PORT", port.to_string());
        }
    }

    /// Runs another command to its end and returns what it printed.
    ///
    /// # Errors
    /// When it fails.
    pub async fn run(&self, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
        let mut command = Command::new(&self.program);
        self.configure(&mut command);
        let output = command.args(arguments).output().await?;
        ensure!(
            output.status.success(),
            "tickets {} ended with {}: {}{}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(output.stdout)
    }
}

/// Long enough for the configuration's checks.
fn secret() -> String {
    Uuid::from_u128(rand::random()).simple().to_string()
}

/// A process of the service.
#[derive(Debug)]
pub struct Service {
    /// Its process.
    pub process: Process,
    tickets: Tickets,
}

impl Service {
    /// Starts `program`, or the `tickets` beside this binary, in memory, with
    /// one show of `seats` and users `0` to `users - 1`.
    ///
    /// # Errors
    /// When it does not start or refuses the show or a user.
    pub async fn start(
        program: Option<PathBuf>,
        seats: u32,
        max_per_user: u32,
        users: u64,
    ) -> anyhow::Result<Self> {
        let service = Tickets::in_memory(program)?.serve("all").await?;
        let show = NewShow {
            max_per_user,
            ..NewShow::of(seats)
        };
        service.put_on_sale([SHOW], show).await?;
        let users = (0..users)
            .map(|user| format!(r#"{{"id":"{user}","name":"User {user}"}}"#))
            .rev();
        service.create("/users", users.collect()).await?;
        Ok(service)
    }

    /// Puts shows on sale, all with the same terms.
    ///
    /// # Errors
    /// When one of them is refused.
    pub async fn put_on_sale<S: AsRef<str>>(
        &self,
        ids: impl IntoIterator<Item = S>,
        show: NewShow,
    ) -> anyhow::Result<()> {
        let shows = ids.into_iter().map(|id| show.body(id.as_ref()).to_string());
        self.create("/shows", shows.collect()).await
    }

    /// Creates what the bodies say, from the last to the first.
    async fn create(&self, path: &'static str, bodies: Vec<String>) -> anyhow::Result<()> {
        let mut creations = Creations {
            path,
            bodies,
            token: &self.tickets.token,
            refused: None,
        };
        let created = drive(self.address(), SETUP_CONNECTIONS, None, &mut creations).await?;
        ensure!(
            created.count(201) == created.answers(),
            "POST {path}: {:?}, such as {}",
            created.by_status,
            creations.refused.unwrap_or_default()
        );
        Ok(())
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.process.address
    }

    /// Its process, under the name that figures shall have.
    #[must_use]
    pub const fn watched(&self, name: &'static str) -> Watched {
        Watched {
            name,
            id: self.process.id(),
        }
    }

    async fn administrate(
        &self,
        method: &str,
        path: &str,
        body: &Value,
        expected: u16,
    ) -> anyhow::Result<Value> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let mut request = Vec::new();
        let token = Some(self.tickets.token.as_str());
        write_request(&mut request, method, path, token, &body);
        let mut connection = Connection::open(self.address()).await?;
        let answer = connection.exchange(&request).await?;
        if answer.status != expected {
            bail!(
                "{method} {path}: {} {}",
                answer.status,
                String::from_utf8_lossy(answer.body)
            );
        }
        Ok(serde_json::from_slice(answer.body)?)
    }

    /// Changes so far: those of all shows in the database, those of [`SHOW`] in memory.
    async fn changes(&self) -> anyhow::Result<u64> {
        if let Some(database) = &self.tickets.database {
            return database.changes().await;
        }
        let path = format!("/shows/{SHOW}");
        let show = self.administrate("GET", &path, &Value::Null, 200).await?;
        show["seq"].as_u64().context("a show without seq")
    }

    /// Waits until what is on sale has had `changes` changes: every order has
    /// its verdict.
    ///
    /// # Errors
    /// When there is none for a minute.
    pub async fn wait_for_changes(&self, changes: u64) -> anyhow::Result<()> {
        wait_for(changes, async || self.changes().await)
            .await
            .context("orders were lost: changes of the shows")
    }

    /// `tickets audit`, as an operator runs it.
    ///
    /// # Errors
    /// When it finds a violation or does not run.
    pub async fn audit(&self) -> anyhow::Result<AuditedShow> {
        let url = format!("http://{}", self.address());
        let mut arguments = vec!["audit", "--json"];
        if self.tickets.database.is_none() {
            arguments.extend(["--url", &url]);
        }
        let output = self.tickets.run(&arguments).await?;
        let audit: Audit = serde_json::from_slice(&output)?;
        audit.total().context("the audit knows no show")
    }
}

/// Waits until what is `counted` is at least `count`.
///
/// # Errors
/// When it does not change for a minute.
pub async fn wait_for(
    count: u64,
    counted: impl AsyncFn() -> anyhow::Result<u64>,
) -> anyhow::Result<()> {
    let mut latest = (0, Instant::now());
    loop {
        let now = counted().await?;
        if now >= count {
            return Ok(());
        }
        if now != latest.0 {
            latest = (now, Instant::now());
        }
        ensure!(
            latest.1.elapsed() < PATIENCE,
            "{now} of {count}, and no more for {PATIENCE:?}"
        );
        sleep(Duration::from_millis(10)).await;
    }
}

/// Terms of a show.
#[derive(Debug, Clone, Copy)]
pub struct NewShow {
    /// Seats to sell.
    pub seats: u32,
    /// Seats that a user may have.
    pub max_per_user: u32,
    /// Time to confirm in seconds; 0: sold at once.
    pub hold_seconds: u32,
}

impl NewShow {
    /// Sold at once, to anybody who asks.
    #[must_use]
    pub const fn of(seats: u32) -> Self {
        Self {
            seats,
            max_per_user: seats,
            hold_seconds: 0,
        }
    }

    fn body(self, id: &str) -> Value {
        json!({"id": id, "title": "On sale", "capacity": self.seats,
            "max_per_user": self.max_per_user, "hold_seconds": self.hold_seconds})
    }
}

#[derive(Deserialize)]
struct Audit {
    shows: Vec<AuditedShow>,
}

impl Audit {
    /// All shows as if they were one, of which only one was put on sale.
    fn total(self) -> Option<AuditedShow> {
        self.shows.into_iter().reduce(|total, show| {
            let (all, more) = (total.verdicts, show.verdicts);
            AuditedShow {
                sold: total.sold + show.sold,
                changes: total.changes + show.changes - 1,
                verdicts: AuditedVerdicts {
                    reserved: all.reserved + more.reserved,
                    confirmed: all.confirmed + more.confirmed,
                    rejected: AuditedRejections {
                        sold_out: all.rejected.sold_out + more.rejected.sold_out,
                        limit_exceeded: all.rejected.limit_exceeded + more.rejected.limit_exceeded,
                    },
                },
            }
        })
    }
}

/// One show of the audit's report, or all of them together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AuditedShow {
    /// Seats sold.
    pub sold: u64,
    /// All changes, the creation included.
    pub changes: u64,
    /// Verdicts.
    pub verdicts: AuditedVerdicts,
}

/// Verdicts of the audit's report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct AuditedVerdicts {
    /// Held at first.
    pub reserved: u64,
    /// Sold at once.
    pub confirmed: u64,
    /// Rejected, by reason.
    pub rejected: AuditedRejections,
}

/// Rejections of the audit's report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct AuditedRejections {
    /// Too few seats.
    pub sold_out: u64,
    /// Too many for this user.
    pub limit_exceeded: u64,
}

struct Creations<'a> {
    path: &'static str,
    bodies: Vec<String>,
    token: &'a str,
    /// An answer that was not 201.
    refused: Option<String>,
}

impl Requests for Creations<'_> {
    fn next(&mut self, request: &mut Vec<u8>) -> Option<u64> {
        let body = self.bodies.pop()?;
        write_request(request, "POST", self.path, Some(self.token), &body);
        Some(0)
    }

    fn answered(&mut self, _: u64, response: Response<'_>) {
        if response.status != 201 {
            self.refused = Some(String::from_utf8_lossy(response.body).into_owned());
        }
    }
}

/// Orders of one seat, each by the user that `users` names, for each of the
/// shows in turn.
pub struct Orders<U> {
    users: U,
    shows: Vec<String>,
    sent: usize,
    /// Ids of the accepted ones.
    pub accepted: Vec<Uuid>,
}

impl<U: Iterator<Item = u64>> Orders<U> {
    /// Orders for [`SHOW`].
    #[must_use]
    pub fn new(users: U) -> Self {
        Self::of_shows(users, vec![SHOW.to_owned()])
    }

    /// Orders for several shows.
    #[must_use]
    pub const fn of_shows(users: U, shows: Vec<String>) -> Self {
        Self {
            users,
            shows,
            sent: 0,
            accepted: Vec::new(),
        }
    }
}

impl<U: Iterator<Item = u64>> Requests for Orders<U> {
    fn next(&mut self, request: &mut Vec<u8>) -> Option<u64> {
        let user = self.users.next()?;
        let show = self.shows.get(self.sent % self.shows.len().max(1))?;
        self.sent += 1;
        let body = format!(r#"{{"show_id":"{show}","user_id":"{user}"}}"#);
        write_request(request, "POST", "/tickets", None, &body);
        Some(0)
    }

    fn answered(&mut self, _: u64, response: Response<'_>) {
        if response.status == 202 {
            // An answer without an id counts as none: reconciliation misses it then.
            self.accepted.extend(ticket_id(response.body));
        }
    }
}

/// The `ticket_id` of an order's answer, of which it is the first field.
fn ticket_id(body: &[u8]) -> Option<Uuid> {
    const PREFIX: &[u8] = br#"{"ticket_id":""#;
    Uuid::try_parse_ascii(body.strip_prefix(PREFIX)?.get(..36)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_an_answer_is_found() {
        let body = br#"{"ticket_id":"0199a2b4-7d3e-8001-8a5f-3c0d9e412b77","show_id":"x"}"#;
        assert_eq!(
            ticket_id(body).map(|id| id.to_string()).as_deref(),
            Some("0199a2b4-7d3e-8001-8a5f-3c0d9e412b77")
        );
        assert_eq!(ticket_id(b"{}"), None);
    }

    #[test]
    fn each_order_names_its_user() {
        let mut orders = Orders::new(7..9);
        let mut bodies = Vec::new();
        let mut request = Vec::new();
        while orders.next(&mut request).is_some() {
            let text = String::from_utf8(std::mem::take(&mut request)).unwrap();
            bodies.push(text.split("\r\n\r\n").nth(1).unwrap().to_owned());
        }
        assert_eq!(
            bodies,
            [
                r#"{"show_id":"onsale","user_id":"7"}"#,
                r#"{"show_id":"onsale","user_id":"8"}"#
            ]
        );
    }

    #[test]
    fn shows_take_turns() {
        let shows = ["a", "b"].map(str::to_owned).to_vec();
        let mut orders = Orders::of_shows(0..3, shows);
        let mut request = Vec::new();
        while orders.next(&mut request).is_some() {}
        let text = String::from_utf8(request).unwrap();
        let shows: Vec<_> = text
            .match_indices(r#""show_id":""#)
            .map(|(at, name)| &text[at + name.len()..][..1])
            .collect();
        assert_eq!(shows, ["a", "b", "a"]);
    }

    #[test]
    fn shows_together_are_one_that_was_put_on_sale_once() {
        let show = |changes: u64| {
            json!({"show_id": "x", "sold": 1, "changes": changes, "verdicts":
                {"reserved": 1, "confirmed": 2, "rejected": {"sold_out": 3, "limit_exceeded": 4}}})
        };
        let audit: Audit =
            serde_json::from_value(json!({"shows": [show(5), show(7)], "violations": 0})).unwrap();
        let total = audit.total().unwrap();
        assert_eq!((total.sold, total.changes), (2, 11));
        assert_eq!(total.verdicts.rejected.limit_exceeded, 8);
    }

    #[tokio::test]
    async fn waiting_ends_with_the_count() {
        let counted = std::cell::Cell::new(0);
        let count = async || {
            counted.set(counted.get() + 1);
            Ok(counted.get())
        };
        wait_for(3, count).await.unwrap();
        assert_eq!(counted.get(), 3);
    }
}
