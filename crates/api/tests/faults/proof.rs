//! What must be true after every fault.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use black_box::database::Database;
use black_box::proof::audit::AuditReport;
use black_box::proof::evidence::{Evidence, Read};
use black_box::proof::history::History;
use black_box::proof::reconcile::reconcile;
use black_box::proof::ticket::State;
use black_box::proof::told::Answer;
use black_box::store::{Asked, Store};
use black_box::target::Target;
use port_contracts::{DEADLINE, measured};
use uuid::Uuid;

use crate::buyers::{HOLD_SECONDS, shows};
use crate::deployment::{Deployment, eventually};
use crate::orders::{Orders, names};

/// What was proven, in numbers.
#[derive(Debug)]
pub(crate) struct Proof {
    /// Orders that were accepted, each with one verdict.
    pub(crate) accepted: usize,
    /// Orders whose buyers were told `outcome_unknown` in the end.
    pub(crate) unknown: usize,
}

/// Waits until every accepted order is decided, as the api process at `url` says, and
/// every hold has ended; then compares what buyers were told with store and audit.
#[expect(clippy::print_stderr, reason = "shown with a failed test")]
pub(crate) async fn prove(deployment: &Deployment, url: &str, mut orders: Orders) -> Proof {
    let names = names();
    let started = Instant::now();
    let accepted: Vec<Uuid> = orders.accepted().map(|(_, id)| id).collect();
    let asked = Asked {
        target: &Target::of(url, None, None).await.unwrap(),
        names: &names,
        accepted: &accepted,
        uncertain: &[],
        doubtful: &HashSet::new(),
        hold_seconds: HOLD_SECONDS,
        patience: DEADLINE,
    };
    let told = Store::Http.read(&asked).await.unwrap().tickets;
    measured("all accepted orders decided", started.elapsed());
    let told: HashMap<Uuid, State> = told
        .iter()
        .map(|ticket| (ticket.id, ticket.state))
        .collect();
    for order in &mut orders.told {
        let state = order.ticket.and_then(|id| told.get(&id));
        order.states.extend(state.copied());
    }
    let database = Database::at(&deployment.store).unwrap();
    eventually("all holds have ended", async || {
        database.seats().await.unwrap().held == 0
    })
    .await;

    let stored = database.stored_tickets(&names).await.unwrap();
    let history = History::replay(&stored, &database.journal(&names).await.unwrap());
    let audit = deployment.run(&["audit", "--json"]);
    let report: AuditReport =
        serde_json::from_slice(&audit.stdout).unwrap_or_else(|error| panic!("{error}: {audit:?}"));
    let audited = report.numbered(&names);
    let found = reconcile(&Evidence {
        plan: &orders.plan,
        told: &orders.told,
        contradictions: (0, &[]),
        stored: &stored,
        read: Read::All,
        history: Some(&history),
        audited: &audited,
        shows: &shows(),
        hold_seconds: HOLD_SECONDS,
        started_at: 0,
    });
    assert_eq!(found.total(), 0, "{found:#?}");
    assert!(audit.status.success(), "{audit:?}");
    let letters = deployment.run(&["dead-letters", "list"]);
    assert!(letters.status.success(), "{letters:?}");
    assert_eq!(String::from_utf8_lossy(&letters.stdout), "");
    let unknown = orders.count(Answer::OutcomeUnknown);
    eprintln!(
        "proven: {} accepted, each with one verdict; {} refused, {} by the gate; {unknown} \
         unknown; {} unanswered; {} decided in all",
        accepted.len(),
        orders.count(Answer::Refused),
        orders.count(Answer::SoldOutByGate),
        orders.count(Answer::Unanswered),
        stored.len()
    );
    Proof {
        accepted: accepted.len(),
        unknown,
    }
}
