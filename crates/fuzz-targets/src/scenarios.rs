//! Scenarios of `onsale`: read twice they are the same sale, or have the same faults.

use onsale::Scenario;

/// Tries the input.
pub fn run(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else {
        return;
    };
    match (Scenario::parse(text), Scenario::parse(text)) {
        (Ok(first), Ok(second)) => assert_eq!(first, second),
        (Err(first), Err(second)) => assert_eq!(first.to_string(), second.to_string()),
        differing => panic!("{differing:?}"),
    }
}
