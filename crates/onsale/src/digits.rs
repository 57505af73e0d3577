//! Numbers in words, with the digits that matter.

/// µs as ms with the digits that matter.
pub(crate) fn millis(micros: u64) -> String {
    let millis = micros as f64 / 1e3;
    match micros {
        0..10_000 => format!("{millis:.2}"),
        10_000..1_000_000 => format!("{millis:.1}"),
        _ => format!("{millis:.0}"),
    }
}

/// `1,234,567`
pub(crate) fn grouped(number: u64) -> String {
    grouped_digits(&number.to_string())
}

/// A rate with the three digits that matter on a machine that does other things
/// too: `45,600`.
pub(crate) fn rate(per_second: f64) -> String {
    let digits = per_second.abs().max(1.0).log10().floor();
    let unit = 10.0_f64.powf((digits - 2.0).max(0.0));
    grouped_digits(&format!("{:.0}", (per_second / unit).round() * unit))
}

/// One figure by another, with the digits that matter.
pub(crate) fn factor(ratio: f64) -> String {
    if ratio < 10.0 {
        format!("{ratio:.2}")
    } else {
        format!("{ratio:.1}")
    }
}

/// A number with the digits that matter.
pub(crate) fn short(value: f64) -> String {
    let trimmed = |text: String| {
        let text = text.trim_end_matches('0').trim_end_matches('.');
        text.to_owned()
    };
    match value {
        _ if value >= 1e6 => format!("{} M", trimmed(format!("{:.2}", value / 1e6))),
        _ if value >= 1e4 => format!("{} k", trimmed(format!("{:.1}", value / 1e3))),
        _ if value >= 100.0 => format!("{value:.0}"),
        _ => trimmed(format!("{value:.2}")),
    }
}

fn grouped_digits(digits: &str) -> String {
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_matter() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [0.0, 7.4, 996.0, 1_234.0, 45_678.9, 999_999.0].map(rate),
            ["0", "7", "996", "1,230", "45,700", "1,000,000"]
        );
        assert_eq!([0.456, 9.99, 13.74].map(factor), ["0.46", "9.99", "13.7"]);
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 0.25, 7.0, 99.5, 1_234.0, 45_600.0, 1_500_000.0];
        let short: Vec<_> = numbers.into_iter().map(short).collect();
        assert_eq!(short, ["0", "0.25", "7", "99.5", "1234", "45.6 k", "1.5 M"]);
    }
}
