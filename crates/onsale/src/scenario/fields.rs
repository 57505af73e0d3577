//! Reads a TOML table field by field and keeps every fault, so that the author
//! of a scenario corrects them all at once.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::{Table, Value};

/// Everything that is wrong with a file.
#[derive(Debug, Default)]
pub(super) struct Faults(RefCell<Vec<String>>);

impl Faults {
    pub(super) fn add(&self, path: &str, what: impl Display) {
        self.0.borrow_mut().push(format!("{path}: {what}"));
    }

    pub(super) fn into_inner(self) -> Vec<String> {
        self.0.into_inner()
    }
}

/// A table of which fields are taken; what is left over nobody knows.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    path: String,
    left: Table,
    known: Vec<&'static str>,
    faults: &'a Faults,
}

impl<'a> Fields<'a> {
    pub(super) const fn of(path: String, table: Table, faults: &'a Faults) -> Self {
        Self {
            path,
            left: table,
            known: Vec::new(),
            faults,
        }
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    pub(super) fn fault(&self, name: &str, what: impl Display) {
        self.faults.add(&self.path_of(name), what);
    }

    /// A fault of the table as a whole.
    pub(super) fn fault_of_all(&self, what: impl Display) {
        self.faults.add(&self.path, what);
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.left.remove(name)
    }

    fn taken<T>(
        &mut self,
        name: &'static str,
        expected: impl Display,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(name)?;
        let read = read(&value);
        if read.is_none() {
            self.fault(name, format_args!("{value} is not {expected}"));
        }
        read
    }

    /// A whole number; `None` where it is missing or wrong.
    pub(super) fn whole(&mut self, name: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.taken(name, expected, |value| {
            let number = u64::try_from(value.as_integer()?).ok()?;
            range.contains(&number).then_some(number)
        })
    }

    /// A number; `None` where it is missing or wrong.
    pub(super) fn number(&mut self, name: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        self.taken(name, expected, |value| {
            number(value).filter(|number| range.contains(number))
        })
    }

    /// A part of 1, 0 where it is missing.
    pub(super) fn share(&mut self, name: &'static str) -> f64 {
        self.number(name, 0.0..=1.0).unwrap_or_default()
    }

    /// `true` or `false`, which it is where it is missing.
    pub(super) fn flag(&mut self, name: &'static str) -> bool {
        self.taken(name, "true or false", Value::as_bool)
            .unwrap_or_default()
    }

    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.taken(name, "a text", |value| value.as_str().map(str::to_owned))
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&mut self, name: &'static str, words: &[(&str, T)]) -> Option<T> {
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        self.taken(name, format!("one of {}", known.join(", ")), |value| {
            let given = value.as_str()?;
            words
                .iter()
                .find(|(word, _)| *word == given)
                .map(|(_, meaning)| *meaning)
        })
    }

    /// Two whole numbers, the second not below the first.
    pub(super) fn span(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u64>,
    ) -> Option<(u64, u64)> {
        let expected = format!(
            "[from, to] in whole numbers from {} to {}",
            range.start(),
            range.end()
        );
        self.taken(name, expected, |value| {
            let [from, to] = value.as_array()?.as_slice() else {
                return None;
            };
            let read = |value: &Value| u64::try_from(value.as_integer()?).ok();
            let (from, to) = (read(from)?, read(to)?);
            (range.contains(&from) && range.contains(&to) && from <= to).then_some((from, to))
        })
    }

    /// A table below this one, empty where it is missing.
    pub(super) fn section(&mut self, name: &'static str) -> Fields<'a> {
        let table = self.taken(name, "a table", |value| value.as_table().cloned());
        Fields::of(self.path_of(name), table.unwrap_or_default(), self.faults)
    }

    /// Tables below this one.
    pub(super) fn sections(&mut self, name: &'static str) -> Vec<Fields<'a>> {
        let tables = self.taken(name, "an array of tables", |value| {
            let items = value.as_array()?.iter();
            items.map(|item| item.as_table().cloned()).collect()
        });
        let path = self.path_of(name);
        let tables: Vec<Table> = tables.unwrap_or_default();
        let numbered = tables.into_iter().enumerate();
        numbered
            .map(|(at, table)| Fields::of(format!("{path}[{at}]"), table, self.faults))
            .collect()
    }

    /// Every field that was not taken yet, whatever its name.
    pub(super) const fn rest(&self) -> &Table {
        &self.left
    }

    /// A field that must be there: `value` is what was read of it.
    pub(super) fn require<T>(&self, name: &'static str, value: Option<T>) -> Option<T> {
        // What is there and wrong has a fault already.
        let is_told = || {
            let path = format!("{}: ", self.path_of(name));
            let faults = self.faults.0.borrow();
            faults.iter().any(|fault| fault.starts_with(&path))
        };
        if value.is_none() && !is_told() {
            self.fault(name, "is missing");
        }
        value
    }

    /// Says so of every field that was not asked for.
    pub(super) fn finish(self) {
        for name in self.left.keys() {
            self.fault(
                name,
                format_args!("is unknown; known are {}", self.known.join(", ")),
            );
        }
    }
}

pub(super) fn number(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| {
        let whole = i32::try_from(value.as_integer()?).ok()?;
        Some(f64::from(whole))
    })
}
