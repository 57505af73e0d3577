//! Instants: UTC, in whole microseconds, written as RFC 3339.

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;

/// An instant between 1970-01-01 and 9998-12-31 UTC, in whole microseconds,
/// so that it survives every store and wire format unchanged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Why a value is not a [`Timestamp`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// Outside of the years that [`Timestamp`] has.
    #[error("must lie between 1970-01-01T00:00:00Z and 9998-12-31T23:59:59.999999Z")]
    OutOfRange,
    /// Not an RFC 3339 instant.
    #[error(
        "must be an RFC 3339 instant such as 2026-05-01T18:00:00Z or 2026-05-01T20:00:00+02:00"
    )]
    Malformed,
}

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const MIN: Self = Self(0);
    /// 9998-12-31T23:59:59.999999Z: a whole year before RFC 3339 ends, so that no
    /// offset and no library's limit gets in the way.
    pub const MAX: Self = Self(253_370_764_799_999_999);

    /// Takes microseconds since 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// [`TimestampError::OutOfRange`] before [`Self::MIN`] or after [`Self::MAX`].
    pub const fn from_micros(micros: i64) -> Result<Self, TimestampError> {
        if micros < Self::MIN.0 || micros > Self::MAX.0 {
            return Err(TimestampError::OutOfRange);
        }
        Ok(Self(micros))
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since 1970-01-01T00:00:00Z, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0.unsigned_abs() / 1_000
    }

    /// Later by `micros`, at most [`Self::MAX`].
    #[must_use]
    pub const fn plus_micros(self, micros: u32) -> Self {
        let later = self.0.saturating_add(micros as i64);
        if later > Self::MAX.0 {
            Self::MAX
        } else {
            Self(later)
        }
    }

    /// Earlier by `micros`, at least [`Self::MIN`].
    #[must_use]
    pub const fn minus_micros(self, micros: u32) -> Self {
        let earlier = self.0.saturating_sub(micros as i64);
        if earlier < Self::MIN.0 {
            Self::MIN
        } else {
            Self(earlier)
        }
    }

    /// Microseconds from `earlier` until this; 0 if it is not earlier.
    #[must_use]
    pub const fn micros_since(self, earlier: Self) -> u64 {
        if self.0 > earlier.0 {
            self.0.abs_diff(earlier.0)
        } else {
            0
        }
    }

    /// Later by `seconds`, at most [`Self::MAX`].
    #[must_use]
    pub const fn plus_seconds(self, seconds: u32) -> Self {
        let later = self.0.saturating_add(seconds as i64 * 1_000_000);
        if later > Self::MAX.0 {
            Self::MAX
        } else {
            Self(later)
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = jiff::Timestamp::from_microsecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{instant:.6}")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads RFC 3339 (section 5.6) with any offset, and nothing but that: no zone in brackets, which
/// might contradict the offset. What is finer than a microsecond is cut off; a leap second is
/// the second before it.
impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let micros = unix_micros(text.as_bytes()).ok_or(TimestampError::Malformed)?;
        // No year of four digits is out of reach of an `i64`.
        Self::from_micros(i64::try_from(micros).map_err(|_| TimestampError::OutOfRange)?)
    }
}

/// `None` for what is not an instant of RFC 3339.
fn unix_micros(text: &[u8]) -> Option<i128> {
    const DATE_AND_TIME: &[u8; 19] = b"0000-00-00T00:00:00";
    const OFFSET: &[u8; 5] = b"00:00";

    let (head, rest) = text.split_first_chunk::<19>()?;
    let [year, month, day, hour, minute, second] = numbers(head, DATE_AND_TIME)?;
    let (nanos, rest) = match rest.strip_prefix(b".") {
        Some(rest) => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (fraction, rest) = rest.split_at(digits);
            let digits = fraction.iter().map(|digit| i32::from(digit - b'0'));
            let nanos = digits
                .chain([0; 9])
                .take(9)
                .fold(0, |all, digit| all * 10 + digit);
            (!fraction.is_empty()).then_some((nanos, rest))?
        }
        None => (0, rest),
    };
    let (sign, offset) = rest.split_first()?;
    let ahead_seconds = match (sign, offset) {
        (b'Z' | b'z', []) => 0,
        (b'+' | b'-', offset) => {
            let [hours, minutes] = numbers(offset, OFFSET)?;
            let seconds = (hours * 60 + minutes) * 60;
            let is_offset = hours < 24 && minutes < 60;
            is_offset.then_some(if *sign == b'-' { -seconds } else { seconds })?
        }
        _ => return None,
    };
    let second = if second == 60 { 59 } else { second };
    let small = |number: i32| i8::try_from(number).ok();
    let local = DateTime::new(
        i16::try_from(year).ok()?,
        small(month)?,
        small(day)?,
        small(hour)?,
        small(minute)?,
        small(second)?,
        nanos,
    );
    let epoch = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
    let since = local.ok()?.duration_since(epoch).as_micros();
    Some(since - i128::from(ahead_seconds) * 1_000_000)
}

/// The numbers of `text`, which has digits where `shape` has zeros, and else is the same.
fn numbers<const N: usize>(text: &[u8], shape: &[u8]) -> Option<[i32; N]> {
    let mut numbers = [0; N];
    let mut number = 0;
    if text.len() != shape.len() {
        return None;
    }
    for (byte, wanted) in text.iter().zip(shape) {
        if *wanted == b'0' && byte.is_ascii_digit() {
            let so_far = numbers.get_mut(number)?;
            *so_far = *so_far * 10 + i32::from(byte - b'0');
        } else if *wanted != b'0' && byte.eq_ignore_ascii_case(wanted) {
            number += 1;
        } else {
            return None;
        }
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_reads_microseconds() {
        let text = "2026-05-01T18:00:00.000001Z";
        let instant: Timestamp = text.parse().unwrap();
        assert_eq!(instant.to_string(), text);
        assert_eq!(Timestamp::MAX.to_string(), "9998-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::MIN.to_string(), "1970-01-01T00:00:00.000000Z");
        let offset: Timestamp = "2026-05-01T20:00:00.0000019+02:00".parse().unwrap();
        assert_eq!(offset, instant);
    }

    #[test]
    fn reads_what_rfc_3339_has_and_nothing_else() {
        for (text, same) in [
            ("2026-05-01t18:00:00z", "2026-05-01T18:00:00.000000Z"),
            ("2026-05-01T18:00:00.5Z", "2026-05-01T18:00:00.500000Z"),
            ("2026-05-01T18:00:00-00:00", "2026-05-01T18:00:00.000000Z"),
            (
                "2026-05-01T18:00:00.123456789123-23:59",
                "2026-05-02T17:59:00.123456Z",
            ),
            ("2026-05-01T00:00:00+23:59", "2026-04-30T00:01:00.000000Z"),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000000Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.000000Z"),
            ("1969-12-31T23:00:00-01:00", "1970-01-01T00:00:00.000000Z"),
            (
                "9999-01-01T00:59:59.999999+01:00",
                "9998-12-31T23:59:59.999999Z",
            ),
        ] {
            let instant: Timestamp = text.parse().unwrap();
            assert_eq!(instant.to_string(), same, "{text}");
        }
        for text in [
            "",
            "2026-05-01",
            "2026-05-01T18:00:00",
            "2026-05-01T18:00Z",
            "2026-05-01 18:00:00Z",
            "2026-05-01T18:00:00+25:00",
            "2026-05-01T18:00:00+02:60",
            "2026-05-01T18:00:00+02",
            "2026-05-01T18:00:00+0200",
            "2026-05-01T18:00:00+02:00:00",
            "2026-05-01T18:00:00+01:00[America/New_York]",
            "2026-05-01T18:00:00Z[UTC]",
            "2026-05-01T18:00:00Z[u-ca=gregory]",
            "2026-05-01T18:00:00.Z",
            "2026-05-01T18:00:00,5Z",
            "2026-05-01T24:00:00Z",
            "2026-05-01T18:60:00Z",
            "2026-05-01T18:00:61Z",
            "2026-13-01T18:00:00Z",
            "2026-02-29T18:00:00Z",
            "20260501T180000Z",
            "+002026-05-01T18:00:00Z",
            "-000001-05-01T18:00:00Z",
            " 2026-05-01T18:00:00Z",
            "2026-05-01T18:00:00Z ",
            "2026-05-01T18:00:00\u{2212}01:00",
        ] {
            assert_eq!(
                text.parse::<Timestamp>(),
                Err(TimestampError::Malformed),
                "{text}"
            );
        }
        for text in [
            "0000-01-01T00:00:00+23:59",
            "0000-02-29T00:00:00Z",
            "1970-01-01T00:00:00+00:01",
            "9998-12-31T23:59:59-00:01",
            "9999-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999999-23:59",
        ] {
            assert_eq!(
                text.parse::<Timestamp>(),
                Err(TimestampError::OutOfRange),
                "{text}"
            );
        }
    }

    #[test]
    fn counts_microseconds_between_instants() {
        let late = Timestamp::MIN.plus_seconds(1);
        assert_eq!(late.micros_since(Timestamp::MIN), 1_000_000);
        assert_eq!(Timestamp::MIN.micros_since(late), 0);
        assert_eq!(late.minus_micros(1_000_000), Timestamp::MIN);
        assert_eq!(late.minus_micros(u32::MAX), Timestamp::MIN);
    }

    #[test]
    fn refuses_what_it_cannot_write_back() {
        assert_eq!("soon".parse::<Timestamp>(), Err(TimestampError::Malformed));
        assert_eq!(
            "1969-12-31T23:59:59Z".parse::<Timestamp>(),
            Err(TimestampError::OutOfRange)
        );
        assert_eq!(Timestamp::MAX.plus_seconds(1), Timestamp::MAX);
        assert_eq!(
            Timestamp::from_micros(Timestamp::MAX.as_micros() + 1),
            Err(TimestampError::OutOfRange)
        );
    }
}
