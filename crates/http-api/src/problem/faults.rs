//! What is wrong with a request, each with its place.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Fault {
    /// Where.
    #[serde(flatten)]
    place: Place,
    /// What.
    detail: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Place {
    /// RFC 6901, into the body.
    Pointer(String),
    /// Of the path or the query.
    Parameter(String),
    Header(String),
}

impl Fault {
    /// A place in the body (RFC 6901); the empty pointer is the whole of it.
    pub(crate) fn pointer(pointer: &str, detail: impl fmt::Display) -> Self {
        Self::at(Place::Pointer, pointer, detail)
    }

    pub(crate) fn parameter(name: &str, detail: impl fmt::Display) -> Self {
        Self::at(Place::Parameter, name, detail)
    }

    pub(crate) fn header(name: &str, detail: impl fmt::Display) -> Self {
        Self::at(Place::Header, name, detail)
    }

    fn at(place: fn(String) -> Place, name: &str, detail: impl fmt::Display) -> Self {
        Self {
            place: place(shortened(name.to_owned())),
            detail: shortened(detail.to_string()),
        }
    }
}

/// A name may be as long as the request that it stands in.
fn shortened(mut text: String) -> String {
    const MAX: usize = 200;

    if text.len() > MAX {
        text.truncate(text.floor_char_boundary(MAX));
        text.push('…');
    }
    text
}

/// What is wrong with a request: the first faults, and how many more there are, so that no
/// answer is much larger than its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Faults {
    told: Vec<Fault>,
    untold: usize,
}

impl Faults {
    const MAX_TOLD: usize = 32;

    /// For a document that is to be read.
    pub(crate) const fn none_yet(write: fn(&fields::Place<'_>) -> String) -> fields::Faults {
        fields::Faults::new(Self::MAX_TOLD, write)
    }

    /// What was found in a document, each `at` its place.
    pub(crate) fn of(found: fields::Faults, at: fn(&str, String) -> Fault) -> Self {
        let told = found.told.into_iter();
        Self {
            told: told.map(|fault| at(&fault.place, fault.what)).collect(),
            untold: found.untold,
        }
    }

    pub(crate) fn told(&self) -> &[Fault] {
        &self.told
    }

    /// For the end of a sentence that speaks of those that are told.
    pub(crate) fn and_more(&self) -> String {
        match self.untold {
            0 => String::new(),
            untold => format!(" {untold} more are not listed."),
        }
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self {
            told: vec![fault],
            untold: 0,
        }
    }
}
