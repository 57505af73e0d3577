//! A running service with something to sell, and what its administration sees.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::sleep;
use uuid::Uuid;

use crate::client::{Connection, Response, write_request};
use crate::load::{Requests, drive};
use crate::process::{Process, sibling};

/// The show that orders are placed for.
pub const SHOW: &str = "onsale";
const SETUP_CONNECTIONS: usize = 32;
const DRAIN_DEADLINE: Duration = Duration::from_secs(120);

/// The service, in a process of its own.
#[derive(Debug)]
pub struct Service {
    /// Its process.
    pub process: Process,
    program: PathBuf,
    token: String,
}

impl Service {
    /// Starts `program`, or the `tickets` beside this binary, with one show of
    /// `seats` and users `0` to `users - 1`.
    ///
    /// # Errors
    /// When it does not start or refuses the show or a user.
    pub async fn start(
        program: Option<PathBuf>,
        seats: u32,
        max_per_user: u32,
        users: u64,
    ) -> anyhow::Result<Self> {
        let program = match program {
            Some(program) => program,
            None => sibling("tickets")?,
        };
        let token = Uuid::from_u128(rand::random()).simple().to_string();
        let set_up = |command: &mut Command, port: u16| {
            command
                .arg("serve")
                .env("APP__SERVER__PORT", port.to_string())
                .env("APP__STORE__SEED_DEMO", "false")
                .env("APP__LOG__LEVEL", "error")
                .env("APP__ADMIN__TOKEN", &token);
        };
        let service = Self {
            process: Process::start(&program, set_up, "/health/ready").await?,
            program,
            token,
        };
        let show = json!({"id": SHOW, "title": "On sale", "capacity": seats,
            "max_per_user": max_per_user});
        service.administrate("POST", "/shows", &show, 201).await?;
        let mut users = NewUsers {
            next: 0,
            count: users,
            token: &service.token,
        };
        let created = drive(service.address(), SETUP_CONNECTIONS, None, &mut users).await?;
        ensure!(
            created.count(201) == created.answers(),
            "users were not created: {:?}",
            created.by_status
        );
        Ok(service)
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.process.address
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
        write_request(&mut request, method, path, Some(&self.token), &body);
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

    /// Waits until the show has had `changes` changes: every order has its verdict.
    ///
    /// # Errors
    /// When they do not come within two minutes.
    pub async fn wait_for_changes(&self, changes: u64) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let path = format!("/shows/{SHOW}");
            let show = self.administrate("GET", &path, &Value::Null, 200).await?;
            let seq = show["seq"].as_u64().context("a show without seq")?;
            if seq >= changes {
                return Ok(());
            }
            ensure!(
                started.elapsed() < DRAIN_DEADLINE,
                "{seq} of {changes} changes after {DRAIN_DEADLINE:?}: orders were lost"
            );
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// `tickets audit`, as an operator runs it.
    ///
    /// # Errors
    /// When it finds a violation or does not run.
    pub async fn audit(&self) -> anyhow::Result<AuditedShow> {
        let output = Command::new(&self.program)
            .args(["audit", "--json", "--url"])
            .arg(format!("http://{}", self.address()))
            .env("APP__ADMIN__TOKEN", &self.token)
            .env("APP__LOG__LEVEL", "error")
            .output()
            .await?;
        ensure!(
            output.status.success(),
            "the audit ended with {}: {}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let audit: Audit = serde_json::from_slice(&output.stdout)?;
        audit
            .shows
            .into_iter()
            .find(|show| show.show_id == SHOW)
            .with_context(|| format!("the audit knows no show {SHOW}"))
    }
}

#[derive(Deserialize)]
struct Audit {
    shows: Vec<AuditedShow>,
}

/// One show of the audit's report.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AuditedShow {
    show_id: String,
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

struct NewUsers<'a> {
    next: u64,
    count: u64,
    token: &'a str,
}

impl Requests for NewUsers<'_> {
    fn next(&mut self, request: &mut Vec<u8>) -> Option<u64> {
        let user = self.next;
        if user == self.count {
            return None;
        }
        self.next += 1;
        let body = format!(r#"{{"id":"{user}","name":"User {user}"}}"#);
        write_request(request, "POST", "/users", Some(self.token), &body);
        Some(user)
    }

    fn answered(&mut self, _: u64, _: Response<'_>) {}
}

/// Orders of one seat, each by the user that `users` names.
pub struct Orders<U> {
    users: U,
    sent: u64,
    /// Ids of the accepted ones.
    pub accepted: Vec<Uuid>,
}

impl<U: Iterator<Item = u64>> Orders<U> {
    /// Nothing sent yet.
    #[must_use]
    pub const fn new(users: U) -> Self {
        Self {
            users,
            sent: 0,
            accepted: Vec::new(),
        }
    }
}

impl<U: Iterator<Item = u64>> Requests for Orders<U> {
    fn next(&mut self, request: &mut Vec<u8>) -> Option<u64> {
        let user = self.users.next()?;
        self.sent += 1;
        let body = format!(r#"{{"show_id":"{SHOW}","user_id":"{user}"}}"#);
        write_request(request, "POST", "/tickets", None, &body);
        Some(self.sent)
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
}
