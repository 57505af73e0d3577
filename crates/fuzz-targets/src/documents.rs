//! JSON, read by `fields` and by `serde_json`: both take the same documents and read the same.

use fields::{Faults, Fields, Value, all, flag, number, owned, pointer, whole};
use serde::Deserialize;

const MAX_FAULTS: usize = 32;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    show: String,
    #[serde(default = "one")]
    seats: u8,
    #[serde(default)]
    paid: bool,
    #[serde(default)]
    prices: Vec<f64>,
    #[serde(default)]
    hall: Hall,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hall {
    #[serde(default)]
    row: u64,
}

fn one() -> u8 {
    1
}

fn order(fields: &mut Fields<'_, '_>) -> Option<Order> {
    all!(Order {
        show: fields.required("show", owned),
        seats: fields.or("seats", 1, whole(0..=u8::MAX)),
        paid: fields.or("paid", false, flag),
        prices: fields.items("prices", |price| price.read(number(f64::MIN..=f64::MAX))),
        hall: fields.section("hall", |hall| {
            all!(Hall {
                row: hall.or("row", 0, whole(0..=u64::MAX)),
            })
        }),
    })
}

/// Of a name that is given more than once, `theirs` has the last value.
fn is_same(ours: &Value<'_>, theirs: &serde_json::Value) -> bool {
    use serde_json::Value as Theirs;
    match (ours, theirs) {
        (Value::Null, Theirs::Null) => true,
        (Value::Flag(ours), Theirs::Bool(theirs)) => ours == theirs,
        (Value::Whole(ours), Theirs::Number(theirs)) => theirs.as_u64() == Some(*ours),
        (Value::Number(ours), Theirs::Number(theirs)) => {
            theirs.as_u64().is_none() && theirs.as_f64() == Some(*ours)
        }
        (Value::Text(ours), Theirs::String(theirs)) => ours == theirs,
        (Value::List(ours), Theirs::Array(theirs)) => {
            let mut pairs = ours.iter().zip(theirs);
            ours.len() == theirs.len() && pairs.all(|(ours, theirs)| is_same(ours, theirs))
        }
        (Value::Table(ours), Theirs::Object(theirs)) => {
            let last = |name: &str| ours.iter().rev().find(|(ours, _)| ours == name);
            let mut all = theirs.iter();
            ours.iter().all(|(name, _)| theirs.contains_key(&**name))
                && all
                    .all(|(name, theirs)| last(name).is_some_and(|(_, ours)| is_same(ours, theirs)))
        }
        _ => false,
    }
}

/// Tries the input.
pub fn run(document: &[u8]) {
    let ours = serde_json::from_slice::<Value<'_>>(document);
    let theirs = serde_json::from_slice::<serde_json::Value>(document);
    let (ours, theirs) = match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (Err(ours), Err(theirs)) => return assert_eq!(ours.to_string(), theirs.to_string()),
        differing => panic!("{differing:?}"),
    };
    assert!(is_same(&ours, &theirs), "{ours:?} {theirs:?}");
    let read = fields::read(ours, Faults::new(MAX_FAULTS, pointer), order);
    // A struct may be an array for it.
    if theirs.is_object() && !theirs["hall"].is_array() {
        let second_reader = serde_json::from_slice(document).ok();
        assert_eq!(read.as_ref().ok(), second_reader.as_ref());
    }
    if let Err(faults) = read {
        assert!(!faults.is_empty() && faults.told.len() <= MAX_FAULTS);
        for fault in faults.told {
            let (table, _) = fault.place.rsplit_once('/').unwrap_or_default();
            // The section `hall` may be missing as a whole, but then nothing in it is wrong.
            assert!(theirs.pointer(table).is_some(), "{}", fault.place);
            assert!(fault.place.len() <= 2 * document.len() + 16 && fault.what.len() <= 800);
        }
    }
}
