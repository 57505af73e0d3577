//! What a proof has found wrong.

use std::collections::BTreeMap;

use strum::{IntoStaticStr, VariantArray};

/// Examples that are kept of each kind.
pub(super) const MAX_EXAMPLES: usize = 5;

/// What can be wrong, in the sequence of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    /// Accepted, and never decided.
    Lost,
    /// One order, several tickets; or one ticket, several orders.
    Duplicated,
    /// More seats given than there are.
    Oversold,
    /// Seats refused that there were.
    Undersold,
    /// A later order decided before an earlier one.
    Inversions,
    /// A reader never heard what happened to its ticket.
    NotNotified,
    /// Two answers, or an answer and the store, cannot both be true.
    Contradictions,
    /// Holds that did not end in their time.
    HoldsNotEnded,
    /// Anything else that the audit or the replay found.
    Audit,
}

impl Kind {
    /// The field's name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// What was found wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    counts: BTreeMap<Kind, u64>,
    examples: BTreeMap<Kind, Vec<String>>,
}

impl Findings {
    pub(super) fn add(&mut self, kind: Kind, example: impl FnOnce() -> String) {
        self.add_many(kind, 1, example);
    }

    pub(super) fn add_many(&mut self, kind: Kind, count: u64, example: impl FnOnce() -> String) {
        if count == 0 {
            return;
        }
        *self.counts.entry(kind).or_default() += count;
        let examples = self.examples.entry(kind).or_default();
        if examples.len() < MAX_EXAMPLES {
            examples.push(example());
        }
    }

    /// How often a kind of difference was found.
    #[must_use]
    pub fn count(&self, kind: Kind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or_default()
    }

    /// How many differences were found, of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The first of each kind, in words.
    pub fn examples(&self) -> impl Iterator<Item = (Kind, &str)> {
        self.examples
            .iter()
            .flat_map(|(kind, examples)| examples.iter().map(|example| (*kind, example.as_str())))
    }
}
