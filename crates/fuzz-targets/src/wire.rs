//! Messages of the broker: what was read is written so that it is read as the same, and what
//! cannot be read has a short reason, which goes into a header and into the log.

use adapter_rabbitmq::wire::{
    DecodeError, decode_events, decode_orders, encode_events, encode_orders,
};

/// Tries the input.
pub fn run(payload: &[u8]) {
    match decode_orders(payload) {
        Ok(orders) => assert_eq!(decode_orders(&encode_orders(&orders)), Ok(orders)),
        Err(error) => check(payload, &error),
    }
    match decode_events(payload) {
        Ok(events) => assert_eq!(decode_events(&encode_events(&events)), Ok(events)),
        Err(error) => check(payload, &error),
    }
}

fn check(payload: &[u8], error: &DecodeError) {
    assert!(
        error.to_string().len() <= 1_000,
        "{} bytes",
        error.to_string().len()
    );
    if let DecodeError::Newer(version) = error {
        assert!(*version > 1);
        // What it does not know it does not look into.
        if let Ok(message) = serde_json::from_slice::<serde_json::Value>(payload) {
            assert_eq!(message["version"], *version);
        }
    }
}
