//! What many sockets are told, in one place.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use black_box::proof::ticket::State;
use black_box::target::Target;
use black_box::websocket::{self, Notice, Subscriptions};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

/// A ticket's state as a socket was told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) ticket_id: Uuid,
    /// Whether it has its verdict.
    pub(super) decided: bool,
    /// From the decision under the show's lock to the socket, in µs.
    pub(super) after_micros: Option<u64>,
    /// When it was told.
    pub(super) at: Instant,
}

/// Opens a connection; every ticket's state that is told goes to `heard`, until the
/// connection ends, which sends an error.
pub(super) async fn listen(
    target: &Target,
    heard: mpsc::UnboundedSender<anyhow::Result<Heard>>,
) -> anyhow::Result<Subscriptions> {
    let (subscriptions, mut news) = websocket::open(target, None).await?;
    tokio::spawn(async move {
        loop {
            let (told, is_over) = match news.next().await {
                Ok(text) => (read(&text).transpose(), false),
                Err(ended) => (Some(Err(ended)), true),
            };
            // Nobody counts any more if it cannot be sent.
            if told.is_some_and(|told| heard.send(told).is_err()) || is_over {
                return;
            }
        }
    });
    Ok(subscriptions)
}

/// What a message tells of a ticket; an error message is one.
fn read(text: &str) -> anyhow::Result<Option<Heard>> {
    let notice = Notice::read(text)?;
    ensure!(!matches!(notice.kind, "error" | "closing"), "{text}");
    let Some(ticket) = notice.ticket else {
        return Ok(None);
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
    let after_micros = match ticket.decided_at() {
        Some(decided) => Some(u64::try_from(i128::try_from(now)? - i128::from(decided))?),
        None => None,
    };
    Ok(Some(Heard {
        ticket_id: ticket.ticket_id,
        decided: ticket.state() != Some(State::Processing),
        after_micros,
        at: Instant::now(),
    }))
}

/// Waits for `count` states that `counts` takes.
pub(super) async fn hear(
    heard: &mut mpsc::UnboundedReceiver<anyhow::Result<Heard>>,
    count: usize,
    patience: Duration,
    mut counts: impl FnMut(&Heard) -> bool,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + patience;
    let mut counted = 0;
    while counted < count {
        let told = timeout_at(deadline, heard.recv())
            .await
            .with_context(|| format!("{counted} of {count} verdicts arrived within {patience:?}"))?
            .context("no listener is left")??;
        counted += usize::from(counts(&told));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_and_errors_are_not_taken_for_one() {
        const ID: &str = "0199a2b4-7d3e-8001-8a5f-3c0d9e412b77";
        let ticket = |fields: &str| {
            format!(r#"{{"version":1,"type":"ticket","ticket":{{"ticket_id":"{ID}",{fields}}}}}"#)
        };
        let heard = read(&ticket(r#""status":"processing""#)).unwrap().unwrap();
        assert!(!heard.decided && heard.after_micros.is_none());
        let decided = r#""status":"rejected","decided_at":"2026-05-01T18:00:00.000001Z""#;
        let heard = read(&ticket(decided)).unwrap().unwrap();
        assert!(heard.decided && heard.after_micros.is_some());
        let line = format!(r#"{{"version":1,"type":"waiting_line","ticket_id":"{ID}"}}"#);
        assert_eq!(read(&line).unwrap(), None);
        assert!(read(r#"{"version":1,"type":"closing","code":"slow_reader"}"#).is_err());
    }
}
