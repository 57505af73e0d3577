//! The contract of [`domain::ports::LaneClaims`], and of the fence that
//! [`domain::ports::TicketLedger::decide`] is.

use std::sync::Arc;

use domain::claims::{Claim, Presence, Roster};
use domain::order::{Lane, LaneSet, Order};
use domain::ports::{DecideReport, LaneClaims, LedgerError};
use domain::receipt::ProcessId;

use crate::fixtures::{OrderSource, seats, show, show_id};
use crate::harness::{StoreHarness, StoreUnderTest};
use crate::set_up::LANES;
use crate::support::{concurrently, within};

contract!($ lane_claims_contract, lane_claims, [
    of_concurrent_takers_exactly_one_gets_the_lane,
    numbers_only_grow,
    a_worker_is_known_by_what_it_said_last,
    a_worker_that_is_forgotten_has_no_lane,
    a_decision_under_a_claim_that_another_followed_changes_nothing,
    a_claim_of_one_lane_says_nothing_of_another,
    of_a_decision_and_a_take_at_once_one_comes_first,
]);

fn lane(index: usize) -> Lane {
    LANES.iter().nth(index).unwrap()
}

async fn take(claims: &Arc<dyn LaneClaims>, worker: u32, lane: Lane, seen: u64) -> Option<Claim> {
    let taking = claims.take(ProcessId::new(worker), lane, seen);
    within("take", taking).await.unwrap()
}

async fn owner(claims: &Arc<dyn LaneClaims>, lane: Lane) -> (Option<u32>, u64) {
    let roster = within("roster", claims.roster()).await.unwrap();
    let claim = roster.claim(lane);
    (claim.owner.map(ProcessId::get), claim.number)
}

async fn beat(claims: &Arc<dyn LaneClaims>, worker: u32, busy: &[Lane], avoids: &[Lane]) -> Roster {
    let set = |lanes: &[Lane]| -> LaneSet { lanes.iter().copied().collect() };
    let presence = Presence {
        worker: ProcessId::new(worker),
        busy: set(busy),
        avoids: set(avoids),
    };
    within("beat", claims.beat(&presence)).await.unwrap()
}

async fn decide(
    ports: &StoreUnderTest,
    order: &Order,
    claim: Claim,
) -> Result<DecideReport, LedgerError> {
    let orders = std::slice::from_ref(order);
    within("decide", ports.ledger.decide(orders, Some(claim))).await
}

/// Sixteen callers of two processes that saw the same number.
pub async fn of_concurrent_takers_exactly_one_gets_the_lane(h: &StoreHarness) {
    let other = (h.connect)().await;
    for seen in 0..5 {
        let claims = [&h.ports.claims, &other.claims];
        let taken = concurrently(16, |number| {
            let claims = Arc::clone(claims[number % 2]);
            let worker = u32::try_from(number).unwrap();
            async move { (worker, take(&claims, worker, lane(0), seen).await) }
        })
        .await;
        let winners: Vec<_> = taken
            .into_iter()
            .filter_map(|(worker, claim)| Some((worker, claim?)))
            .collect();
        let [(worker, claim)] = <[_; 1]>::try_from(winners).unwrap();
        let expected = Claim {
            lane: lane(0),
            number: seen + 1,
        };
        assert_eq!(claim, expected);
        for claims in claims {
            assert_eq!(owner(claims, lane(0)).await, (Some(worker), seen + 1));
        }
    }
}

/// Who gives a lane back that is another's by now takes nothing from that one.
pub async fn numbers_only_grow(h: &StoreHarness) {
    let claims = &h.ports.claims;
    assert_eq!(owner(claims, lane(1)).await, (None, 0));
    let first = take(claims, 1, lane(1), 0).await.unwrap();
    assert_eq!(take(claims, 2, lane(1), 0).await, None);
    let second = take(claims, 2, lane(1), 1).await.unwrap();
    within("give back", claims.give_back(first)).await.unwrap();
    assert_eq!(owner(claims, lane(1)).await, (Some(2), 2));
    within("give back", claims.give_back(second)).await.unwrap();
    assert_eq!(owner(claims, lane(1)).await, (None, 2));
    // Again, as after an answer that was lost.
    within("give back", claims.give_back(second)).await.unwrap();
    let third = take(claims, 1, lane(1), 2).await.unwrap();
    assert_eq!(third.number, 3);
}

/// By every process, with a beat that grows.
pub async fn a_worker_is_known_by_what_it_said_last(h: &StoreHarness) {
    let other = (h.connect)().await;
    let mut latest = None;
    for (busy, avoids) in [(vec![0, 2], vec![]), (vec![], vec![3]), (vec![], vec![])] {
        let lanes = |indexes: Vec<usize>| indexes.into_iter().map(lane).collect::<Vec<_>>();
        let (busy, avoids) = (lanes(busy), lanes(avoids));
        let told = beat(&h.ports.claims, 7, &busy, &avoids).await;
        let read = within("roster", other.claims.roster()).await.unwrap();
        assert_eq!(told, read);
        let [member] = <[_; 1]>::try_from(read.members).unwrap();
        assert_eq!(member.presence.worker, ProcessId::new(7));
        for lane in LANES.iter() {
            assert_eq!(member.presence.busy.contains(lane), busy.contains(&lane));
            let is_avoided = member.presence.avoids.contains(lane);
            assert_eq!(is_avoided, avoids.contains(&lane));
        }
        assert!(latest.is_none_or(|latest| member.beat > latest));
        latest = Some(member.beat);
    }
    let both = beat(&other.claims, 8, &[], &[]).await;
    assert_eq!(both.members.len(), 2);
}

/// Numbers stay, so that its decisions are refused if it was only frozen.
pub async fn a_worker_that_is_forgotten_has_no_lane(h: &StoreHarness) {
    let claims = &h.ports.claims;
    beat(claims, 1, &[], &[]).await;
    beat(claims, 2, &[], &[]).await;
    take(claims, 1, lane(0), 0).await.unwrap();
    take(claims, 2, lane(1), 0).await.unwrap();
    within("forget", claims.forget(ProcessId::new(1)))
        .await
        .unwrap();
    assert_eq!(owner(claims, lane(0)).await, (None, 1));
    assert_eq!(owner(claims, lane(1)).await, (Some(2), 1));
    let roster = within("roster", claims.roster()).await.unwrap();
    let [member] = <[_; 1]>::try_from(roster.members).unwrap();
    assert_eq!(member.presence.worker, ProcessId::new(2));
    // It comes back, and starts where everybody does.
    assert_eq!(beat(claims, 1, &[], &[]).await.members.len(), 2);
}

/// The worker was frozen, another one took its lane, and it thaws.
pub async fn a_decision_under_a_claim_that_another_followed_changes_nothing(h: &StoreHarness) {
    h.given(&[show("a", 5)], &["1"]).await;
    let source = OrderSource::new(1);
    let lane = LANES.of(&show_id("a"));
    let frozen = take(&h.ports.claims, 1, lane, 0).await.unwrap();
    let before = source.order("a", "1");
    decide(&h.ports, &before, frozen).await.unwrap();

    let other = (h.connect)().await;
    let current = take(&other.claims, 2, lane, frozen.number).await.unwrap();
    let after = source.order("a", "1");
    let refused = decide(&h.ports, &after, frozen).await;
    assert!(
        matches!(refused, Err(LedgerError::ClaimLost)),
        "{refused:?}"
    );
    // What was decided before may be told again.
    let _told = decide(&h.ports, &before, frozen).await;
    assert_eq!(h.ticket(after.ticket_id).await, None);
    assert_eq!(h.seats("a").await, seats(4, 0, 1));
    decide(&other, &after, current).await.unwrap();
    assert_eq!(h.seats("a").await, seats(3, 0, 2));
}

/// Also of the same number.
pub async fn a_claim_of_one_lane_says_nothing_of_another(h: &StoreHarness) {
    h.given(&[show("a", 5)], &["1"]).await;
    let source = OrderSource::new(1);
    let own = take(&h.ports.claims, 1, lane(0), 0).await.unwrap();
    let others = take(&h.ports.claims, 2, lane(1), 0).await.unwrap();
    take(&h.ports.claims, 3, lane(1), others.number)
        .await
        .unwrap();
    let order = source.order("a", "1");
    let refused = decide(&h.ports, &order, others).await;
    assert!(
        matches!(refused, Err(LedgerError::ClaimLost)),
        "{refused:?}"
    );
    decide(&h.ports, &order, own).await.unwrap();
    assert!(h.ticket(order.ticket_id).await.is_some());
}

/// Either the decision is there when the lane is taken, or it is refused.
pub async fn of_a_decision_and_a_take_at_once_one_comes_first(h: &StoreHarness) {
    h.given(&[show("a", 1_000)], &["1"]).await;
    let source = OrderSource::new(1);
    let other = (h.connect)().await;
    let mut claim = take(&h.ports.claims, 1, lane(0), 0).await.unwrap();
    for _ in 0..30 {
        let orders = source.orders(5, "a", "1");
        let deciding = h.ports.ledger.decide(&orders, Some(claim));
        let taking = take(&other.claims, 2, lane(0), claim.number);
        let (decided, taken) = tokio::join!(within("decide", deciding), taking);
        let stored = h.ticket(orders[0].ticket_id).await;
        match decided {
            Ok(_) => assert!(stored.is_some()),
            Err(LedgerError::ClaimLost) => assert_eq!(stored, None),
            Err(error) => panic!("{error}"),
        }
        // A decision under the old number after the take is late.
        let late = decide(&h.ports, &source.order("a", "1"), claim).await;
        assert!(matches!(late, Err(LedgerError::ClaimLost)), "{late:?}");
        claim = taken.unwrap();
    }
}
