//! Texts that become ids, instants and keys: what was written is read as the same.

use domain::ids::{ShowId, UserId};
use domain::receipt::{IdempotencyKey, TicketId};
use domain::time::Timestamp;

/// Tries the input.
pub fn run(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else {
        return;
    };
    if let Ok(id) = ShowId::new(text) {
        assert_eq!(id.as_str(), text);
        assert_eq!(UserId::new(text).unwrap().as_str(), text);
        assert_eq!(ShowId::stored(text), Ok(id));
        assert!(IdempotencyKey::new(text.as_bytes()).is_ok());
    }
    if let Ok(id) = text.parse::<TicketId>() {
        assert_eq!(id.to_string(), text.to_lowercase());
        assert_eq!(TicketId::from_bytes(id.to_bytes()), Ok(id));
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        assert_eq!(instant.to_string().parse(), Ok(instant));
        assert_eq!(Timestamp::from_micros(instant.as_micros()), Ok(instant));
        // It takes no more than nine digits of a fraction.
        if let Ok(second_reader) = text.parse::<jiff::Timestamp>() {
            assert_eq!(second_reader.as_microsecond(), instant.as_micros());
        }
    }
}
