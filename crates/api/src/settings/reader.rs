//! Takes settings out of the flat tree.

use std::collections::HashMap;
use std::fmt::Display;
use std::time::Duration;

use fields::{Fields, Value, text, whole};
use secrecy::{ExposeSecret, SecretString};

/// Longest of all configured durations: a day.
const MAX_DURATION_MS: u64 = 24 * 60 * 60 * 1_000;

/// Checks a URL, and may write it anew.
pub(super) type CheckUrl = fn(&str) -> Result<String, String>;

/// Reads an adapter's settings; what only the used one needs may be missing from the others.
pub(super) type ReadAdapter<T> = fn(&mut Fields<'_, '_>, bool) -> Option<T>;

/// A setting that must be there.
pub(super) fn setting<T, E: Display>(
    fields: &mut Fields<'_, '_>,
    key: &'static str,
    read: impl FnOnce(&Value<'_>) -> Result<T, E>,
) -> Option<T> {
    needed(fields, key, true, read)?
}

/// A setting that may be missing unless it `is_needed`; `None` if something is wrong.
pub(super) fn needed<T, E: Display>(
    fields: &mut Fields<'_, '_>,
    key: &'static str,
    is_needed: bool,
    read: impl FnOnce(&Value<'_>) -> Result<T, E>,
) -> Option<Option<T>> {
    let read = fields.optional(key, read)?;
    if read.is_none() && is_needed {
        fields.fault(key, format_args!("is missing; set {}", variable(key)));
        return None;
    }
    Some(read)
}

/// Of so many milliseconds at least.
pub(super) fn millis(min: u64) -> impl Fn(&Value<'_>) -> Result<Duration, String> {
    move |value| whole(min..=MAX_DURATION_MS)(value).map(Duration::from_millis)
}

/// Of so many seconds at least, and an hour at most.
pub(super) fn seconds(min: u64) -> impl Fn(&Value<'_>) -> Result<Duration, String> {
    move |value| whole(min..=3_600)(value).map(Duration::from_secs)
}

/// Several URLs with a comma between two of them, or one by the short form. They are needed only
/// if their adapter `is_used`, which reads them.
pub(super) fn urls(
    fields: &mut Fields<'_, '_>,
    one: &'static str,
    many: &'static str,
    is_used: bool,
    check: CheckUrl,
) -> Option<Vec<SecretString>> {
    let is_twice = fields.has(one) && fields.has(many);
    let is_needed = is_used && !fields.has(many);
    let several = fields.optional(many, text(|text| several_urls(text, check)));
    let single = needed(fields, one, is_needed, text(check));
    if is_twice {
        fields.fault(one, format_args!("is set beside {many}; set one of them"));
    }
    match several? {
        Some(urls) => Some(urls),
        None => Some(vec![SecretString::from(single??)]),
    }
}

/// The settings of the adapter that `key` names. Those of the others are read, too, so that
/// their faults are found.
pub(super) fn adapter<T, const N: usize>(
    fields: &mut Fields<'_, '_>,
    key: &'static str,
    adapters: [(&'static str, ReadAdapter<T>); N],
) -> Option<T> {
    let names = adapters.map(|(name, _)| (name, name));
    let chosen = setting(fields, key, fields::word(names));
    let mut used = None;
    for (name, read) in adapters {
        let is_used = chosen == Some(name);
        let settings = read(fields, is_used);
        if is_used {
            used = settings;
        }
    }
    used
}

/// The setting that `name` would be, were it not for its dots and underscores.
pub(super) fn like(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let letters = |name: &str| name.to_lowercase().replace(['.', '_', '-'], "");
    let name = letters(name);
    known.iter().copied().find(|key| letters(key) == name)
}

/// The variable that sets `key`.
pub(super) fn variable(key: &str) -> String {
    format!("APP__{}", key.to_uppercase().replace('.', "__"))
}

/// `check` says what is wrong with one of them.
pub(super) fn several_urls(text: &str, check: CheckUrl) -> Result<Vec<SecretString>, String> {
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
