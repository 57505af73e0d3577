//! Ids that were made of others, over TCP. The limit of wrong ones is in `limits.rs`.

use api::application::Role;
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::helpers::{Answer, SHOW, TestService, USER};

/// Each bit of an id, and its neighbours: with `auth.mode = off` an id is all that it takes.
#[tokio::test]
async fn no_id_can_be_made_of_others() {
    let unlimited = ("APP__LIMITS__WRONG_IDS_PER_ADDRESS", "");
    let service = TestService::with(Role::All, &[unlimited]).await;
    let order = json!({"show_id": SHOW, "user_id": USER});
    let mut ids = Vec::new();
    for _ in 0..2 {
        let id = service.placed(order.clone()).await;
        service.decided(&id).await;
        ids.push(id.parse::<Uuid>().unwrap().as_u128());
    }
    let [first, second] = ids[..] else {
        panic!("two");
    };
    let flipped = (0..128).map(|bit| first ^ (1 << bit));
    let neighbours = (1..=50).flat_map(|step| [first - step, first + step, second + step]);
    // The time of one and the rest of the other.
    let halves = [64, 80, 96].map(|bits| {
        let low = (1_u128 << bits) - 1;
        (first & !low) | (second & low)
    });
    let forged = flipped.chain(neighbours).chain(halves);
    // Two of the same millisecond have the same first half.
    for id in forged.filter(|id| !ids.contains(id)) {
        let id = Uuid::from_u128(id);
        for (method, rest) in [
            (Method::GET, ""),
            (Method::GET, "/events"),
            (Method::POST, "/cancel"),
        ] {
            let request = service.request(method, &format!("/tickets/{id}{rest}"));
            let status = Answer::to(request).await.status;
            assert!([400, 404].contains(&status), "{id}{rest}: {status}");
        }
    }
    for id in ids.into_iter().map(Uuid::from_u128) {
        let ticket = service.get(&format!("/tickets/{id}")).await;
        assert_eq!(ticket.text("status"), "confirmed");
    }
}
