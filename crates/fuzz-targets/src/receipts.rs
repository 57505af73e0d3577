//! Ticket ids: an issued one opens and says what it was issued for, a forged one does not open.

use std::num::NonZeroU8;

use arbitrary::{Arbitrary, Unstructured};
use domain::ids::UserId;
use domain::order::Lanes;
use domain::receipt::{IdempotencyKey, ProcessId, Receipts, TicketId};
use domain::time::Timestamp;
use domain::user::PriorityClass;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    micros: i64,
    lane: u8,
    is_standard: bool,
    process: u32,
    user: u64,
    key: &'a [u8],
    forged_byte: u8,
    forgery: NonZeroU8,
    guess: [u8; 16],
}

/// Tries the input.
pub fn run(input: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(input)) else {
        return;
    };
    let secrets = ["a secret of the fuzz targets", "and the one of before"];
    let receipts = Receipts::new(secrets, ProcessId::new(input.process)).unwrap();
    let lanes = Lanes::new(64).unwrap();
    let user = UserId::from(input.user);
    let class = PriorityClass::ALL[usize::from(input.is_standard)];
    let (Ok(now), Some(lane)) = (Timestamp::from_micros(input.micros), lanes.get(input.lane))
    else {
        return;
    };
    let mut issued = [(); 4]
        .map(|()| receipts.issue(now, lane, class, &user))
        .to_vec();
    for id in &issued {
        let opened = receipts.open(*id).unwrap();
        // Bits for milliseconds last until 2248.
        if now.as_millis() < 1 << 43 {
            assert_eq!(opened.issued_at().unwrap().as_millis(), now.as_millis());
        }
        assert_eq!(opened.class(), Some(class));
        assert_eq!(opened.lane(lanes), Some(lane));
        assert!(opened.may_be_of(&user) && !id.is_keyed());
        assert_eq!(id.to_string().parse(), Ok(*id));
    }
    if let Ok(key) = IdempotencyKey::new(input.key) {
        let keyed = receipts.keyed(&user, &key);
        assert!(
            keyed
                .iter()
                .all(|id| id.is_keyed() && receipts.has_issued(*id))
        );
        issued.extend(keyed);
    }
    // One of them may pass the check by chance, once in 2^24.
    let recognised = issued.iter().filter(|id| {
        let mut bytes = id.to_bytes();
        bytes[usize::from(input.forged_byte % 16)] ^= input.forgery.get();
        TicketId::from_bytes(bytes).is_ok_and(|id| receipts.has_issued(id))
    });
    assert!(recognised.count() < 3);
    if let Ok(guess) = TicketId::from_bytes(input.guess)
        && let Some(opened) = receipts.open(guess)
    {
        let _waiting = (opened.issued_at(), opened.class(), opened.lane(lanes));
    }
}
