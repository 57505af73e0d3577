//! Takes settings out of the flat tree and notes what is wrong with them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

/// Longest of all configured durations: a day.
const MAX_DURATION_MS: u64 = 24 * 60 * 60 * 1_000;

pub(super) const YES_OR_NO: [(&str, bool); 2] = [("true", true), ("false", false)];

/// Checks a URL, and may write it anew.
pub(super) type CheckUrl = fn(&str) -> Result<String, String>;

/// Reads an adapter's settings; what only the used one needs may be missing from the others.
pub(super) type ReadAdapter<T> = fn(&mut Reader, bool) -> Option<Arc<T>>;

/// What is left in `values` at the end is unknown.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) values: BTreeMap<String, String>,
    /// Names of variables that are no settings.
    pub(super) strays: BTreeSet<String>,
    /// All settings that were asked for.
    known: BTreeSet<String>,
    pub(super) faults: Vec<String>,
}

impl Reader {
    pub(super) fn fault(&mut self, key: &str, what: impl fmt::Display) {
        // The value itself is not repeated: it may be a secret.
        self.faults.push(format!("{key}: {what}"));
    }

    /// The setting that `name` would be, were it not for its dots and underscores.
    pub(super) fn like(&self, name: &str) -> Option<&str> {
        let letters = |name: &str| name.to_lowercase().replace(['.', '_', '-'], "");
        let name = letters(name);
        let mut known = self.known.iter();
        known.find(|key| letters(key) == name).map(String::as_str)
    }

    pub(super) fn is_set(&mut self, key: &str) -> bool {
        self.known.insert(key.to_owned());
        self.values.contains_key(key)
    }

    pub(super) fn take<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.known.insert(key.to_owned());
        let Some(text) = self.values.remove(key) else {
            self.fault(key, format_args!("is missing; set {}", variable(key)));
            return None;
        };
        read(text.trim()).map_err(|what| self.fault(key, what)).ok()
    }

    pub(super) fn number<T: FromStr + PartialOrd + fmt::Display>(
        &mut self,
        key: &str,
        min: T,
        max: T,
    ) -> Option<T> {
        self.take(key, |text| match text.parse() {
            Ok(number) if min <= number && number <= max => Ok(number),
            _ => Err(format!("must be a whole number from {min} to {max}")),
        })
    }

    pub(super) fn duration_ms(&mut self, key: &str, min: u64) -> Option<Duration> {
        self.number(key, min, MAX_DURATION_MS)
            .map(Duration::from_millis)
    }

    pub(super) fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        self.take(key, |text| {
            choices
                .iter()
                .find(|(name, _)| *name == text)
                .map(|(_, choice)| *choice)
                .ok_or_else(|| {
                    let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
                    format!("must be one of: {}", names.join(", "))
                })
        })
    }

    /// Several URLs with a comma between two of them, or one by the short form.
    pub(super) fn urls(
        &mut self,
        one: &str,
        many: &str,
        is_used: bool,
        check: CheckUrl,
    ) -> Option<Vec<SecretString>> {
        if !self.is_set(many) {
            return self.url(one, is_used, check).map(|url| vec![url]);
        }
        if self.is_set(one) {
            self.values.remove(one);
            self.fault(one, format_args!("is set beside {many}; set one of them"));
        }
        self.take(many, |text| several_urls(text, check))
    }

    /// A URL that is needed only if its adapter is used. The adapter reads it.
    pub(super) fn url(
        &mut self,
        key: &str,
        is_used: bool,
        check: CheckUrl,
    ) -> Option<SecretString> {
        if !self.is_set(key) && !is_used {
            return None;
        }
        self.take(key, |text| check(text).map(SecretString::from))
    }

    /// The settings of the adapter that `key` names. Those of the others are read, too, so that
    /// their faults are found.
    pub(super) fn adapter<T: ?Sized>(
        &mut self,
        key: &str,
        adapters: &[(&str, ReadAdapter<T>)],
    ) -> Option<Arc<T>> {
        let names: Vec<_> = adapters.iter().map(|(name, _)| (*name, *name)).collect();
        let chosen = self.choice(key, &names);
        let mut used = None;
        for (name, read) in adapters {
            let is_used = chosen == Some(*name);
            let settings = read(self, is_used);
            if is_used {
                used = settings;
            }
        }
        used
    }
}

/// The variable that sets `key`.
pub(super) fn variable(key: &str) -> String {
    format!("APP__{}", key.to_uppercase().replace('.', "__"))
}

/// `check` says what is wrong with one of them.
pub(super) fn several_urls(
    text: &str,
    check: impl Fn(&str) -> Result<String, String>,
) -> Result<Vec<SecretString>, String> {
    let urls: Vec<_> = text.split(',').map(str::trim).collect();
    if urls.contains(&"") {
        return Err("must be URLs with one comma between two of them".to_owned());
    }
    let checked = (1..).zip(&urls).map(|(number, url)| match check(url) {
        Ok(url) => Ok(SecretString::from(url)),
        Err(what) if urls.len() == 1 => Err(what),
        Err(what) => Err(format!("URL {number} of {} {what}", urls.len())),
    });
    let checked: Vec<SecretString> = checked.collect::<Result<_, _>>()?;
    let mut first_places = HashMap::new();
    for (number, url) in (1..).zip(&checked) {
        if let Some(first) = first_places.insert(url.expose_secret(), number) {
            return Err(format!(
                "URL {number} of {} is URL {first} again; name each server once",
                checked.len()
            ));
        }
    }
    Ok(checked)
}
