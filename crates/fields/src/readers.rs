//! What many fields are: numbers in a range, words, texts.

use std::convert::Infallible;
use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::value::Value;

/// Reads a whole number within a range.
pub fn whole<T: TryFrom<u64> + PartialOrd + Display>(
    range: RangeInclusive<T>,
) -> impl Fn(&Value<'_>) -> Result<T, String> {
    move |value| {
        let number = value.as_whole().and_then(|number| number.try_into().ok());
        within(&range, number, "whole number")
    }
}

/// Reads a number within a range.
pub fn number(range: RangeInclusive<f64>) -> impl Fn(&Value<'_>) -> Result<f64, String> {
    move |value| within(&range, value.as_number(), "number")
}

/// Reads a number above 0.
pub fn positive(max: f64) -> impl Fn(&Value<'_>) -> Result<f64, String> {
    move |value| {
        let number = value.as_number();
        number
            .filter(|number| *number > 0.0 && *number <= max)
            .ok_or_else(|| format!("must be a number above 0 and at most {max}"))
    }
}

fn within<T: PartialOrd + Display>(
    range: &RangeInclusive<T>,
    number: Option<T>,
    kind: &str,
) -> Result<T, String> {
    number
        .filter(|number| range.contains(number))
        .ok_or_else(|| {
            let (min, max) = (range.start(), range.end());
            format!("must be a {kind} from {min} to {max}")
        })
}

/// A text that `new` takes.
pub fn text<T, E: Display>(
    new: impl Fn(&str) -> Result<T, E>,
) -> impl Fn(&Value<'_>) -> Result<T, String> {
    move |value| {
        let text = value.as_text().ok_or("must be a string")?;
        new(text).map_err(|error| error.to_string())
    }
}

/// Any text.
///
/// # Errors
/// What it must be.
pub fn owned(value: &Value<'_>) -> Result<String, String> {
    text(|text| Ok::<_, Infallible>(text.to_owned()))(value)
}

/// One of these words, and what it means.
pub fn word<T: Copy, const N: usize>(
    words: [(&'static str, T); N],
) -> impl Fn(&Value<'_>) -> Result<T, String> {
    move |value| {
        let given = value.as_text();
        let meant = words.iter().find(|(word, _)| Some(*word) == given);
        meant.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words = words.each_ref().map(|(word, _)| *word);
            format!("must be one of: {}", words.join(", "))
        })
    }
}

/// `true` or `false`.
///
/// # Errors
/// What it must be.
pub fn flag(value: &Value<'_>) -> Result<bool, String> {
    match value {
        Value::Flag(flag) => Some(*flag),
        Value::Bare(text) => text.parse().ok(),
        _ => None,
    }
    .ok_or_else(|| "must be true or false".to_owned())
}
