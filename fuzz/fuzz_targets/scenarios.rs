//! Scenarios of `onsale`: read twice they are the same sale, or have the same faults.

#![no_main]

use libfuzzer_sys::fuzz_target;
use onsale::Scenario;

fuzz_target!(|text: &str| {
    match (Scenario::parse(text), Scenario::parse(text)) {
        (Ok(first), Ok(second)) => assert_eq!(first, second),
        (Err(first), Err(second)) => assert_eq!(first.to_string(), second.to_string()),
        differing => panic!("{differing:?}"),
    }
});
