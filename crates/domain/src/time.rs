//! Instants: UTC, in whole microseconds, written as RFC 3339.

use std::fmt;
use std::str::FromStr;

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
    #[error("must be an RFC 3339 instant such as 2026-05-01T18:00:00Z")]
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

/// Reads RFC 3339 with any offset; what is finer than a microsecond is cut off.
impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let instant: jiff::Timestamp = text.parse().map_err(|_| TimestampError::Malformed)?;
        Self::from_micros(instant.as_microsecond())
    }
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
