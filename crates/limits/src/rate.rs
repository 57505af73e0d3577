//! `100/m`.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// So many requests in a period, and as many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: NonZeroU32,
    period: Period,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Period {
    Second,
    Minute,
    Hour,
}

/// A text that is no [`Rate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a number from 1 to {max} per s, m or h, such as 5/s, 100/m or 1000/h", max = Rate::MAX)]
pub struct RateError;

impl Rate {
    /// The most requests of a period: a token takes a microsecond or more.
    const MAX: u32 = 1_000_000;

    /// So much that there is always a token, however many processes look for one.
    pub(crate) const PROBE: Self = Self {
        count: NonZeroU32::new(1_000).unwrap(),
        period: Period::Second,
    };

    /// Until a token has come back.
    pub(crate) fn per_token(self) -> Duration {
        self.period() / self.count.get()
    }

    /// How many.
    #[must_use]
    pub const fn count(self) -> NonZeroU32 {
        self.count
    }

    /// In how long.
    #[must_use]
    pub const fn period(self) -> Duration {
        Duration::from_secs(match self.period {
            Period::Second => 1,
            Period::Minute => 60,
            Period::Hour => 3_600,
        })
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (count, period) = text.split_once('/').ok_or(RateError)?;
        let count: NonZeroU32 = count.trim().parse().map_err(|_| RateError)?;
        let period = match period.trim() {
            "s" => Period::Second,
            "m" => Period::Minute,
            "h" => Period::Hour,
            _ => return Err(RateError),
        };
        if count.get() > Self::MAX {
            return Err(RateError);
        }
        Ok(Self { count, period })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let period = match self.period {
            Period::Second => "s",
            Period::Minute => "m",
            Period::Hour => "h",
        };
        write!(f, "{}/{period}", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_they_are_written() {
        for (text, count, seconds) in [
            ("5/s", 5, 1),
            ("100/m", 100, 60),
            ("1000/h", 1_000, 3_600),
            ("1000000/s", 1_000_000, 1),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate.count().get(), count);
            assert_eq!(rate.period(), Duration::from_secs(seconds));
            assert_eq!(rate.to_string(), text);
        }
        assert_eq!(" 5 / s".parse::<Rate>(), "5/s".parse());
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in [
            "",
            "5",
            "/s",
            "5/",
            "0/s",
            "-1/s",
            "1.5/s",
            "5/d",
            "5/sec",
            "5/s/m",
            "1000001/s",
        ] {
            assert_eq!(text.parse::<Rate>(), Err(RateError), "{text}");
        }
    }
}
