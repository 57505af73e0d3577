//! What must be true after every fault.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt};
use port_contracts::measured;
use reqwest::Client;
use serde_json::Value;

use crate::buyers::Told;
use crate::deployment::{Deployment, eventually, ticket};

const READERS: usize = 16;

/// What was proven, in numbers.
#[derive(Debug)]
pub(crate) struct Proof {
    /// Orders that were accepted, each with one verdict.
    pub(crate) accepted: u64,
    /// Orders whose buyers were told `outcome_unknown` in the end.
    pub(crate) unknown: u64,
}

/// Waits until every accepted order is decided, then compares what buyers were
/// told with tickets and audit. Reads through the api process at `url`.
#[expect(clippy::print_stderr, reason = "shown with a failed test")]
pub(crate) async fn prove(deployment: &Deployment, url: &str, told: Told) -> Proof {
    let client = Client::new();
    let mut open: Vec<String> = told.accepted.keys().cloned().collect();
    let mut tickets = BTreeMap::new();
    let decided = eventually("all accepted orders are decided", async || {
        let read = read(&client, url, std::mem::take(&mut open)).await;
        for (id, ticket) in read {
            if ticket["status"] == "processing" {
                open.push(id);
            } else {
                tickets.insert(id, ticket);
            }
        }
        open.is_empty()
    })
    .await;
    measured("all accepted orders decided", decided);
    for (id, status) in &told.changed {
        assert_eq!(tickets[id]["status"], *status, "{:?}", tickets[id]);
    }

    let unknown = told.unknown.iter().cloned().collect::<Vec<_>>();
    let unknown_count = unknown.len() as u64;
    let audit = deployment.run(&["audit", "--json"]);
    let report = String::from_utf8_lossy(&audit.stdout);
    assert!(audit.status.success(), "{report} {audit:?}");
    let report: Value = serde_json::from_str(&report).unwrap();
    let mut decided = 0;
    for show in report["shows"].as_array().unwrap() {
        assert_eq!(show["inversions"], 0, "{show}");
        assert_eq!(show["violations"], 0, "{show}");
        decided += decisions(&show["verdicts"]);
    }
    let unknown_decided = read(&client, url, unknown)
        .await
        .iter()
        .filter(|(_, ticket)| ticket["status"] != "processing")
        .count() as u64;
    let accepted = told.accepted.len() as u64;
    // Who got no answer and no id may have been served all the same. The audit
    // ran before the unknown were read, so it may know of fewer of them.
    let most = accepted + unknown_decided + told.unanswered;
    assert!(
        (accepted..=most).contains(&decided),
        "{accepted} accepted, {decided} decided, {unknown_decided} of {unknown_count} unknown \
         decided, {} unanswered",
        told.unanswered
    );
    let letters = deployment.run(&["dead-letters", "list"]);
    assert!(letters.status.success(), "{letters:?}");
    assert_eq!(String::from_utf8_lossy(&letters.stdout), "");
    eprintln!(
        "proven: {accepted} accepted, each with one verdict; {} refused; {unknown_decided} of \
         {unknown_count} unknown decided; {} unanswered; {decided} decided in all",
        told.refused, told.unanswered
    );
    Proof {
        accepted,
        unknown: unknown_count,
    }
}

fn decisions(verdicts: &Value) -> u64 {
    match verdicts {
        Value::Number(count) => count.as_u64().unwrap(),
        Value::Object(fields) => fields.values().map(decisions).sum(),
        other => panic!("{other}"),
    }
}

async fn read(client: &Client, url: &str, ids: Vec<String>) -> Vec<(String, Value)> {
    stream::iter(ids)
        .map(|id| async move {
            let ticket = ticket(client, url, &id).await;
            (id, ticket)
        })
        .buffer_unordered(READERS)
        .collect()
        .await
}
