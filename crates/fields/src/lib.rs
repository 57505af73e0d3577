//! Reads a document of named fields into a struct, and finds every fault of it, not only the
//! first: what is missing, wrong, unknown or given twice, each with its place.
//!
//! A document is a JSON text, a query, a TOML file or a tree of settings. Knows no other crate of
//! the project.

mod faults;
mod readers;
mod value;

use std::fmt::Display;

use smallvec::SmallVec;

pub use self::faults::{Fault, Faults, Place, dotted, pointer};
pub use self::readers::{flag, number, owned, positive, text, whole, word};
pub use self::value::{Table, Value};

/// Builds a struct of fields that may be wrong. Unlike a struct literal with a `?` behind each
/// field, it reads all of them before the first wrong one makes it `None`.
#[macro_export]
macro_rules! all {
    ($($name:ident)::+ { $($field:ident: $read:expr),* $(,)? }) => {
        match ($($read,)*) {
            ($(Some($field),)*) => Some($($name)::+ { $($field),* }),
            _ => None,
        }
    };
}

/// Reads a document. `read` returns `None` only where it has noted a fault.
///
/// # Errors
/// What `faults` has already, and every fault of the document.
pub fn read<T>(
    document: Value<'_>,
    mut faults: Faults,
    read: impl FnOnce(&mut Fields<'_, '_>) -> Option<T>,
) -> Result<T, Faults> {
    let document = Given {
        value: document,
        place: Place::Document,
        faults: &mut faults,
    };
    match document.fields(read) {
        Some(read) if faults.is_empty() => Ok(read),
        _ => Err(faults),
    }
}

/// A value at its place.
#[derive(Debug)]
pub struct Given<'v, 'f> {
    value: Value<'v>,
    place: Place<'f>,
    faults: &'f mut Faults,
}

impl<'v> Given<'v, '_> {
    /// The value itself.
    #[must_use]
    pub const fn value(&self) -> &Value<'v> {
        &self.value
    }

    /// Notes what is wrong with it.
    pub fn fault(&mut self, what: impl Display) {
        self.faults.note(self.place, what);
    }

    /// What `read` makes of it; `None` if it is wrong.
    pub fn read<T, E: Display>(
        mut self,
        read: impl FnOnce(&Value<'v>) -> Result<T, E>,
    ) -> Option<T> {
        read(&self.value).map_err(|what| self.fault(what)).ok()
    }

    /// What `read` makes of its fields. Those that were not asked for are unknown.
    pub fn fields<T>(self, read: impl FnOnce(&mut Fields<'v, '_>) -> Option<T>) -> Option<T> {
        let Value::Table(left) = self.value else {
            self.faults.note(self.place, "must be a table");
            return None;
        };
        let mut fields = Fields {
            left,
            known: SmallVec::new(),
            place: self.place,
            faults: self.faults,
        };
        let read = read(&mut fields);
        fields.finish();
        read
    }

    /// What `read` makes of its items; `None` if one of them is wrong.
    pub fn items<T>(self, mut read: impl FnMut(Given<'v, '_>) -> Option<T>) -> Option<Vec<T>> {
        let Value::List(items) = self.value else {
            self.faults.note(self.place, "must be an array");
            return None;
        };
        let numbered = items.into_iter().enumerate();
        let read = numbered.map(|(index, value)| {
            read(Given {
                value,
                place: Place::Item(&self.place, index),
                faults: &mut *self.faults,
            })
        });
        all_of(read)
    }
}

/// The fields of a document or of a table in it, to be taken one by one.
#[derive(Debug)]
pub struct Fields<'v, 'f> {
    left: Table<'v>,
    /// Most documents have few: then nothing is allocated for them.
    known: SmallVec<[&'static str; 8]>,
    place: Place<'f>,
    faults: &'f mut Faults,
}

impl<'v> Fields<'v, '_> {
    /// What `read` makes of a field that must be there; `None` if it is missing or wrong.
    pub fn required<T, E: Display>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Value<'v>) -> Result<T, E>,
    ) -> Option<T> {
        let read = self.optional(name, read)?;
        if read.is_none() {
            self.fault(name, "is missing");
        }
        read
    }

    /// What `read` makes of a field that may be missing; `None` if it is wrong.
    pub fn optional<T, E: Display>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Value<'v>) -> Result<T, E>,
    ) -> Option<Option<T>> {
        match self.take(name)? {
            Some(value) => self.at(name, value).read(read).map(Some),
            None => Some(None),
        }
    }

    /// What `read` makes of a field, or what it is where it is missing; `None` if it is wrong.
    pub fn or<T, E: Display>(
        &mut self,
        name: &'static str,
        missing: T,
        read: impl FnOnce(&Value<'v>) -> Result<T, E>,
    ) -> Option<T> {
        Some(self.optional(name, read)?.unwrap_or(missing))
    }

    /// What `read` makes of the fields of a table, which is empty where it is missing.
    pub fn section<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Fields<'v, '_>) -> Option<T>,
    ) -> Option<T> {
        let table = self.take(name)?.unwrap_or(Value::Table(Table::new()));
        self.at(name, table).fields(read)
    }

    /// What `read` makes of the items of an array, which is empty where it is missing.
    pub fn items<T>(
        &mut self,
        name: &'static str,
        read: impl FnMut(Given<'v, '_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let items = self.take(name)?.unwrap_or(Value::List(Vec::new()));
        self.at(name, items).items(read)
    }

    /// What `read` makes of every field that was not asked for, by its name.
    pub fn each<T>(
        &mut self,
        mut read: impl FnMut(&str, Given<'v, '_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let left = std::mem::take(&mut self.left);
        let left = left.into_iter();
        all_of(left.map(|(name, value)| read(&name, self.at(&name, value))))
    }

    /// Whether a field of this name is left.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.left.iter().any(|(left, _)| left == name)
    }

    /// Whether no field is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// All names that were asked for.
    #[must_use]
    pub fn known(&self) -> &[&'static str] {
        &self.known
    }

    /// Notes what is wrong with a field.
    pub fn fault(&mut self, name: &str, what: impl Display) {
        self.faults.note(Place::Field(&self.place, name), what);
    }

    /// Notes what is wrong with the fields as a whole.
    pub fn fault_of_all(&mut self, what: impl Display) {
        self.faults.note(self.place, what);
    }

    /// `None` if it is there more than once.
    #[inline]
    fn take(&mut self, name: &'static str) -> Option<Option<Value<'v>>> {
        self.known.push(name);
        let Some(index) = self.left.iter().position(|(left, _)| left == name) else {
            return Some(None);
        };
        let (_, value) = self.left.remove(index);
        let after = self.left.get(index..).unwrap_or_default();
        if after.iter().any(|(left, _)| left == name) {
            self.left.retain(|(left, _)| left != name);
            self.fault(name, "is given more than once");
            return None;
        }
        Some(Some(value))
    }

    #[inline]
    fn at<'s>(&'s mut self, name: &'s str, value: Value<'v>) -> Given<'v, 's> {
        Given {
            value,
            place: Place::Field(&self.place, name),
            faults: &mut *self.faults,
        }
    }

    #[inline]
    fn finish(mut self) {
        if self.left.is_empty() {
            return;
        }
        let what = format!("is unknown; known are {}", self.known.join(", "));
        for (name, _) in std::mem::take(&mut self.left) {
            self.fault(&name, &what);
        }
    }
}

/// Reads all of them before the first wrong one makes it `None`.
fn all_of<T>(read: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let read: Vec<_> = read.collect();
    read.into_iter().collect()
}

#[cfg(test)]
mod tests;
