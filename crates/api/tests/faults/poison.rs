//! What cannot be decoded or decided is put aside, alone, and can be put back.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::buyers::{Buyers, ONE_MORE, Sale, set_up, shows};
use crate::contract::send;
use crate::deployment::{Deployment, Process, eventually, ticket};
use crate::orders::names;
use crate::proof::prove;
use crate::seed::Chance;

/// The queue of the lane that [`shows`] begins with.
const LANE: &str = "standard.0";

fn letters(deployment: &Deployment) -> Vec<Value> {
    let listed = deployment.run(&["dead-letters", "list"]);
    assert!(listed.status.success(), "{listed:?}");
    let text = String::from_utf8(listed.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn order(api: &Process) -> Uuid {
    let body = json!({"show_id": names().show(shows()[0]), "user_id": names().user(ONE_MORE)});
    let request = reqwest::Client::new().post(format!("{}/tickets", api.url));
    let answer = send(request.json(&body)).await.unwrap();
    assert_eq!(answer.status(), 202);
    let ticket: Value = answer.json().await.unwrap();
    ticket["ticket_id"].as_str().unwrap().parse().unwrap()
}

async fn status(api: &Process, id: Uuid) -> String {
    let ticket = ticket(&reqwest::Client::new(), &api.url, id).await;
    ticket["status"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_in_the_middle_of_a_batch_is_put_aside_and_redriven() {
    let mut chance = Chance::new();
    let deployment = Deployment::new().await;
    let api = deployment.start_ready("api").await;
    let sale = Sale::default();
    set_up(&api.url, sale).await;
    // No worker yet, so that all of it is one batch.
    let buyers = Buyers::start(&[&api.url], sale, &mut chance);
    eventually("orders wait", async || buyers.accepted() > 200).await;
    let poisoned = order(&api).await;
    let queue = deployment.backend.queue();
    queue.publish(LANE, br#"{"version":1,"orders":oops"#).await;
    eventually("more orders wait", async || buyers.accepted() > 400).await;
    let mut orders = buyers.stop().await;
    // From now on the database refuses every row of this one ticket.
    let id = poisoned.simple();
    let database = deployment.backend.database();
    let poison = format!("ALTER TABLE tickets ADD CONSTRAINT poison CHECK (id <> UNHEX('{id}'))");
    database.execute(&poison).await;
    let _worker = deployment.start_ready("worker").await;

    eventually("both are put aside", async || {
        letters(&deployment).len() == 2
    })
    .await;
    let aside = letters(&deployment);
    let (decoded, payloads): (Vec<_>, Vec<_>) =
        aside.iter().partition(|letter| letter["order"].is_object());
    assert_eq!(decoded[0]["order"]["ticket_id"], poisoned.to_string());
    assert!(payloads[0]["payload"].as_str().unwrap().ends_with("oops"));
    for letter in &aside {
        assert_ne!(letter["reason"], "");
    }
    assert_eq!(status(&api, poisoned).await, "processing");

    let remedy = "ALTER TABLE tickets DROP CONSTRAINT poison";
    database.execute(remedy).await;
    let redriven = deployment.run(&["dead-letters", "redrive"]);
    assert!(redriven.status.success(), "{redriven:?}");
    eventually("the redriven order is decided", async || {
        status(&api, poisoned).await != "processing"
    })
    .await;
    // What nobody can read stays, until somebody takes it out.
    assert_eq!(letters(&deployment).len(), 1);
    assert!(queue.take_first("dead").await.ends_with(b"oops"));
    orders.add_accepted(ONE_MORE, shows()[0], poisoned);
    prove(&deployment, &api.url, orders).await;
}

/// A rolling upgrade must not dump what newer processes wrote.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_newer_version_pauses_its_lane_and_readiness_says_so() {
    let mut chance = Chance::new();
    let deployment = Deployment::new().await;
    let api = deployment.start_ready("api").await;
    let mut worker = deployment.start_ready("worker").await;
    let sale = Sale::default();
    set_up(&api.url, sale).await;
    let queue = deployment.backend.queue();
    let newer = br#"{"version":2,"orders":"in another shape"}"#;
    queue.publish(LANE, newer).await;
    eventually("readiness says so", async || {
        let Some((503, body)) = worker.readiness().await else {
            return false;
        };
        body.to_string().contains("version 2")
    })
    .await;
    // The other lanes are served meanwhile.
    let buyers = Buyers::start(&[&api.url], sale, &mut chance);
    eventually("orders wait", async || buyers.accepted() > 300).await;
    let orders = buyers.stop().await;
    let served = orders.accepted();
    let served = served.filter(|(show, _)| !shows()[..2].contains(show));
    let served: Vec<_> = served.map(|(_, id)| id).collect();
    assert!(served.len() > 100);
    for id in served {
        eventually("other lanes are served", async || {
            status(&api, id).await != "processing"
        })
        .await;
    }
    assert!(matches!(worker.readiness().await, Some((503, _))));
    assert!(letters(&deployment).is_empty());

    // A newer worker takes it, and this build goes on with the rest.
    worker.signal("TERM").await;
    eventually("the worker ends", async || worker.ended().is_some()).await;
    assert_eq!(queue.take_first(LANE).await, newer);
    let _worker = deployment.start_ready("worker").await;
    prove(&deployment, &api.url, orders).await;
}
