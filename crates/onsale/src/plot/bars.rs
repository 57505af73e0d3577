//! Bars below each other.

use super::frame::WIDTH;
use super::picture::Plot;
use crate::markup::escaped;

/// Height of a bar with what is around it, and room for its name and its value.
const ROW: f64 = 26.0;
const NAMES: f64 = 330.0;
const ROOM_FOR_VALUES: f64 = 110.0;

/// Something with a length.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    /// What it is.
    pub(crate) label: String,
    /// Its length.
    pub(crate) value: f64,
    /// Its length in words.
    pub(crate) figure: String,
    /// Whether it is what the others are compared with.
    pub(crate) stands_out: bool,
}

/// Bars below each other, the longest as long as there is room.
pub(crate) fn bars(title: &str, bars: &[Bar]) -> Plot {
    let most = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let room = WIDTH - NAMES - ROOM_FOR_VALUES;
    let mut svg = String::new();
    for (place, bar) in bars.iter().enumerate() {
        let y = place as f64 * ROW;
        let length = room * bar.value / most.max(f64::MIN_POSITIVE);
        let class = if bar.stands_out { 1 } else { 6 };
        let (text, name) = (y + ROW * 0.65, escaped(&bar.label));
        svg += &format!(
            r#"<text class="name" text-anchor="end" x="{:.1}" y="{text:.1}">{name}</text><rect class="bar c{class}" x="{NAMES}" y="{:.1}" width="{length:.1}" height="{:.1}" rx="2"/><text class="name" x="{:.1}" y="{text:.1}">{}</text>"#,
            NAMES - 10.0,
            y + ROW * 0.15,
            ROW * 0.7,
            NAMES + length + 8.0,
            escaped(&bar.figure)
        );
    }
    Plot {
        title: title.to_owned(),
        height: bars.len() as f64 * ROW,
        labels: Vec::new(),
        is_filled: true,
        drawn: svg,
        strips: String::new(),
        narrow: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::picture::picture;

    /// Of the rectangles of bars, not of their paper.
    fn widths(svg: &str) -> Vec<f64> {
        let bars = svg.split("<rect class=\"bar").skip(1);
        let width = |bar: &str| {
            let (_, width) = bar.split_once("width=\"")?;
            width.split_once('"')?.0.parse().ok()
        };
        bars.filter_map(width).collect()
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        let of = |value: f64| Bar {
            label: format!("way {value}"),
            value,
            figure: format!("{value} s"),
            stands_out: value > 1.0,
        };
        let svg = picture(&[bars("Ways", &[of(1.0), of(4.0)])]);
        let room = WIDTH - NAMES - ROOM_FOR_VALUES;
        let widths = widths(&svg);
        assert_eq!(widths.len(), 2, "{svg}");
        assert!((widths[0] - room / 4.0).abs() < 0.1 && (widths[1] - room).abs() < 0.1);
        assert!(svg.contains(">4 s<") && svg.contains("bar c1") && svg.contains("bar c6"));
    }
}
