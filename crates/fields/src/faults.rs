//! What is wrong with a document, and where.

use std::fmt::{self, Display};

/// Where a value stands in its document.
#[derive(Debug, Clone, Copy)]
pub enum Place<'p> {
    /// The document itself.
    Document,
    /// A field of a table.
    Field(&'p Place<'p>, &'p str),
    /// An item of an array, from 0 on.
    Item(&'p Place<'p>, usize),
}

/// As a JSON pointer (RFC 6901): `/phases/0/rate`.
#[must_use]
pub fn pointer(place: &Place<'_>) -> String {
    match place {
        Place::Document => String::new(),
        Place::Field(table, name) => {
            let name = name.replace('~', "~0").replace('/', "~1");
            format!("{}/{name}", pointer(table))
        }
        Place::Item(list, index) => format!("{}/{index}", pointer(list)),
    }
}

/// As people write it: `phases[0].rate`.
#[must_use]
pub fn dotted(place: &Place<'_>) -> String {
    match place {
        Place::Document => String::new(),
        Place::Field(Place::Document, name) => (*name).to_owned(),
        Place::Field(table, name) => format!("{}.{name}", dotted(table)),
        Place::Item(list, index) => format!("{}[{index}]", dotted(list)),
    }
}

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The place of the field in the document.
    pub place: String,
    /// What. It does not repeat the value, which may be long or a secret.
    pub what: String,
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// Everything that is wrong with a document.
#[derive(Debug)]
pub struct Faults {
    /// The first faults, which are listed.
    pub told: Vec<Fault>,
    /// How many more there are.
    pub untold: usize,
    at_most: usize,
    write: fn(&Place<'_>) -> String,
}

impl Faults {
    /// None yet. So many of them are told, with their places as `write` has them.
    #[must_use]
    pub const fn new(at_most: usize, write: fn(&Place<'_>) -> String) -> Self {
        Self {
            told: Vec::new(),
            untold: 0,
            at_most,
            write,
        }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.told.is_empty() && self.untold == 0
    }

    /// Notes what is wrong at a place.
    pub fn note(&mut self, place: Place<'_>, what: impl Display) {
        if self.told.len() < self.at_most {
            self.told.push(Fault {
                place: (self.write)(&place),
                what: what.to_string(),
            });
        } else {
            self.untold += 1;
        }
    }
}
