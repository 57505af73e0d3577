use super::*;

#[derive(Debug, PartialEq)]
struct Order {
    show: String,
    seats: u8,
    notes: Vec<String>,
    buyer: Option<Buyer>,
}

#[derive(Debug, PartialEq)]
struct Buyer {
    class: char,
}

impl Order {
    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        all!(Self {
            show: fields.required("show", owned),
            seats: fields.or("seats", 1, whole(1..=9)),
            notes: fields.items("notes", |note| note.read(owned)),
            buyer: fields.section("buyer", |fields| {
                let class = fields.optional("class", word([("high", 'h'), ("standard", 's')]))?;
                Some(class.map(|class| Buyer { class }))
            }),
        })
    }
}

fn order(text: &str, faults: Faults) -> Result<Order, Faults> {
    read(serde_json::from_str(text).unwrap(), faults, Order::read)
}

fn faults(text: &str, write: fn(&Place<'_>) -> String) -> Vec<String> {
    let found = order(text, Faults::new(99, write)).unwrap_err();
    found.told.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_right_is_read() {
    let full = r#"{"show": "a", "seats": 2, "notes": ["b\n"], "buyer": {"class": "high"}}"#;
    let expected = Order {
        show: "a".to_owned(),
        seats: 2,
        notes: vec!["b\n".to_owned()],
        buyer: Some(Buyer { class: 'h' }),
    };
    assert_eq!(order(full, Faults::new(0, dotted)).unwrap(), expected);
    let least = order(r#"{"show": "a"}"#, Faults::new(0, dotted)).unwrap();
    assert_eq!((least.seats, least.buyer), (1, None));
}

/// In the sequence in which fields are asked for, those that nobody asked for last.
#[test]
fn every_fault_is_named_with_its_place() {
    let text = r#"{"x/~": 1, "buyer": {"class": "vip", "age": 5}, "seats": 0, "notes": ["a", 1],
        "show": "a", "show": "b"}"#;
    let known = "is unknown; known are show, seats, notes, buyer";
    assert_eq!(
        faults(text, pointer),
        [
            "/show: is given more than once",
            "/seats: must be a whole number from 1 to 9",
            "/notes/1: must be a string",
            "/buyer/class: must be one of: high, standard",
            "/buyer/age: is unknown; known are class",
            &format!("/x~1~0: {known}"),
        ]
    );
    assert_eq!(
        faults(text, dotted)[2..],
        [
            "notes[1]: must be a string",
            "buyer.class: must be one of: high, standard",
            "buyer.age: is unknown; known are class",
            &format!("x/~: {known}"),
        ]
    );
    assert_eq!(
        faults(r#"{"notes": {}, "buyer": []}"#, dotted),
        [
            "show: is missing",
            "notes: must be an array",
            "buyer: must be a table"
        ]
    );
}

#[test]
fn past_the_limit_faults_are_counted() {
    let found = order(r#"{"a": 1, "b": 2, "c": 3}"#, Faults::new(2, dotted));
    let found = found.unwrap_err();
    assert_eq!((found.told.len(), found.untold), (2, 2));
    let found = order(r#"{}"#, Faults::new(0, dotted)).unwrap_err();
    assert_eq!((found.told.len(), found.untold), (0, 1));
}

#[test]
fn bare_texts_stand_for_what_is_asked_for() {
    let bare = |text: &'static str| Value::Bare(text.into());
    assert_eq!(whole(1..=9_u8)(&bare("7")), Ok(7));
    assert_eq!(number(0.0..=1.0)(&bare("0.5")), Ok(0.5));
    let rate = positive(1e6);
    assert_eq!(rate(&bare("0.5")), Ok(0.5));
    let refused = "must be a number above 0 and at most 1000000";
    for text in ["0", "-1", "1000001", "NaN", "x"] {
        assert_eq!(rate(&bare(text)).unwrap_err(), refused, "{text}");
    }
    assert_eq!(flag(&bare("true")), Ok(true));
    assert_eq!(owned(&bare("true")), Ok("true".to_owned()));
    let text = |text: &'static str| Value::Text(text.into());
    whole(1..=9_u8)(&text("7")).unwrap_err();
    flag(&text("true")).unwrap_err();
}

#[test]
fn numbers_are_whole_or_not() {
    for (text, whole) in [
        ("0", Some(0)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("-1", None),
        ("1.0", None),
        ("1e3", None),
    ] {
        let value: Value<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(value.as_whole(), whole, "{text}");
        assert!(value.as_number().is_some(), "{text}");
    }
}
