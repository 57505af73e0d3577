//! Latencies by percentile.

use super::frame::{Frame, NARROW, Size, WIDE, grid_line, point, x_name};
use super::picture::{Plot, colour};
use crate::digits::millis;
use crate::markup::escaped;

/// Latencies by percentile, on a logarithmic scale from 10 µs.
pub(crate) fn percentiles(title: &str, lines: &[(String, [(&'static str, u64); 8])]) -> Plot {
    Plot {
        title: title.to_owned(),
        height: WIDE.height,
        labels: lines.iter().map(|(label, _)| label.clone()).collect(),
        is_filled: false,
        drawn: percentiles_of(WIDE, lines),
        strips: String::new(),
        narrow: percentiles_of(NARROW, lines),
    }
}

fn percentiles_of(size: Size, lines: &[(String, [(&'static str, u64); 8])]) -> String {
    const LEAST: f64 = 1.0;
    let log = |micros: u64| (micros.max(10) as f64).log10() - LEAST;
    let all = lines.iter().flat_map(|(_, values)| values);
    let most = all.map(|(_, micros)| log(*micros)).fold(1.0, f64::max);
    let frame = Frame {
        size,
        most_x: 7.3,
        most_y: most.ceil(),
    };
    let mut svg = String::new();
    let names = [
        "10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s", "10 s", "100 s", "1000 s",
    ];
    for (power, name) in names.iter().enumerate() {
        let value = power as f64;
        if value <= frame.most_y {
            grid_line(&mut svg, &frame, value, name);
        }
    }
    if let Some((_, values)) = lines.first() {
        for (place, (name, _)) in values.iter().enumerate() {
            x_name(&mut svg, &frame, place as f64, name);
        }
    }
    for (number, (label, values)) in lines.iter().enumerate() {
        let colour = colour(number);
        let points: Vec<_> = values
            .iter()
            .enumerate()
            .map(|(place, (_, micros))| point(&frame, place as f64, log(*micros)))
            .collect();
        let points = points.join(" ");
        svg += &format!(r#"<polyline class="line {colour}" points="{points}"/>"#);
        for (place, (name, micros)) in values.iter().enumerate() {
            let (x, y) = (frame.x(place as f64), frame.y(log(*micros)));
            let millis = millis(*micros);
            svg += &format!(
                r#"<circle class="dot {colour}" cx="{x:.1}" cy="{y:.1}" r="3"><title>{}, {name}: {millis} ms</title></circle>"#,
                escaped(label)
            );
        }
    }
    svg
}
