//! Plots as SVG that takes its colours from the page's style, so that they are
//! readable in light and dark. Without scripts: the values of an interval show
//! as the title of a strip above it.

use std::fmt::Write;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 34.0;
/// Lines across a plot, about.
const TICKS: f64 = 5.0;

/// Values over time.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// What they are.
    pub(super) label: String,
    /// One per interval.
    pub(super) values: Vec<f64>,
}

/// How lines are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Each from zero.
    Lines,
    /// As areas, one upon the other.
    Stacked,
}

/// Where values are in the picture.
struct Frame {
    most_x: f64,
    most_y: f64,
}

impl Frame {
    fn x(&self, value: f64) -> f64 {
        LEFT + value / self.most_x * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - value / self.most_y * (HEIGHT - TOP - BOTTOM)
    }
}

/// A plot of lines over seconds; `instants` are the ends of the intervals.
pub(super) fn over_time(title: &str, instants: &[f64], lines: &[Line], style: Style) -> String {
    let tops = tops(lines, style);
    let most = tops.iter().flatten().copied().fold(0.0, f64::max);
    let step = step(most);
    let frame = Frame {
        most_x: instants
            .last()
            .copied()
            .unwrap_or(1.0)
            .max(f64::MIN_POSITIVE),
        most_y: (most / step).ceil().max(1.0) * step,
    };
    let mut svg = start(title);
    y_axis(&mut svg, &frame, step);
    x_axis(&mut svg, &frame);
    for (number, top) in tops.iter().enumerate() {
        let points: Vec<_> = instants
            .iter()
            .zip(top)
            .map(|(at, value)| format!("{:.1},{:.1}", frame.x(*at), frame.y(*value)))
            .collect();
        let class = number + 1;
        match style {
            Style::Lines => {
                let points = points.join(" ");
                push(
                    &mut svg,
                    format_args!(r#"<polyline class="line c{class}" points="{points}"/>"#),
                );
            }
            Style::Stacked => {
                let below = number.checked_sub(1).and_then(|below| tops.get(below));
                let floor: Vec<_> = instants
                    .iter()
                    .enumerate()
                    .rev()
                    .map(|(place, at)| {
                        let value = below.and_then(|below| below.get(place)).copied();
                        format!("{:.1},{:.1}", frame.x(*at), frame.y(value.unwrap_or(0.0)))
                    })
                    .collect();
                let (points, floor) = (points.join(" "), floor.join(" "));
                push(
                    &mut svg,
                    format_args!(r#"<polygon class="area c{class}" points="{points} {floor}"/>"#),
                );
            }
        }
    }
    strips(&mut svg, &frame, instants, lines);
    svg.push_str("</svg>");
    figure(title, &svg, lines.iter().map(|line| line.label.as_str()))
}

/// The upper edge of each line.
fn tops(lines: &[Line], style: Style) -> Vec<Vec<f64>> {
    let mut tops: Vec<Vec<f64>> = Vec::new();
    for line in lines {
        let below = tops.last().filter(|_| style == Style::Stacked);
        let top = line.values.iter().enumerate().map(|(place, value)| {
            value
                + below
                    .and_then(|below| below.get(place))
                    .copied()
                    .unwrap_or(0.0)
        });
        let top = top.collect();
        tops.push(top);
    }
    tops
}

/// Latencies by percentile, on a logarithmic scale from 10 µs.
pub(super) fn percentiles(title: &str, lines: &[(String, [(&'static str, u64); 8])]) -> String {
    const LEAST: f64 = 1.0;
    let log = |micros: u64| (micros.max(10) as f64).log10() - LEAST;
    let all = lines.iter().flat_map(|(_, values)| values);
    let most = all.map(|(_, micros)| log(*micros)).fold(1.0, f64::max);
    let frame = Frame {
        most_x: 7.3,
        most_y: most.ceil(),
    };
    let mut svg = start(title);
    let names = [
        "10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s", "10 s", "100 s", "1000 s",
    ];
    for (power, name) in names.iter().enumerate() {
        let value = power as f64;
        if value <= frame.most_y {
            grid_line(&mut svg, frame.y(value), name);
        }
    }
    if let Some((_, values)) = lines.first() {
        for (place, (name, _)) in values.iter().enumerate() {
            let x = frame.x(place as f64);
            let y = HEIGHT - BOTTOM + 18.0;
            let percent = if *name == "max" { "" } else { " %" };
            push(
                &mut svg,
                format_args!(
                    r#"<text class="tick" text-anchor="middle" x="{x:.1}" y="{y:.1}">{name}{percent}</text>"#
                ),
            );
        }
    }
    for (number, (label, values)) in lines.iter().enumerate() {
        let class = number + 1;
        let at = |(place, (_, micros)): (usize, &(&str, u64))| {
            (frame.x(place as f64), frame.y(log(*micros)))
        };
        let points: Vec<_> = values
            .iter()
            .enumerate()
            .map(at)
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let points = points.join(" ");
        push(
            &mut svg,
            format_args!(r#"<polyline class="line c{class}" points="{points}"/>"#),
        );
        for (place, (name, micros)) in values.iter().enumerate() {
            let (x, y) = at((place, &(name, *micros)));
            let millis = super::text::millis(*micros);
            push(
                &mut svg,
                format_args!(
                    r#"<circle class="dot c{class}" cx="{x:.1}" cy="{y:.1}" r="3"><title>{}, {name}: {millis} ms</title></circle>"#,
                    escaped(label)
                ),
            );
        }
    }
    svg.push_str("</svg>");
    figure(title, &svg, lines.iter().map(|(label, _)| label.as_str()))
}

fn start(title: &str) -> String {
    format!(
        r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{}">"#,
        escaped(title)
    )
}

fn figure<'a>(title: &str, svg: &str, labels: impl Iterator<Item = &'a str>) -> String {
    let mut legend = String::new();
    for (number, label) in labels.enumerate() {
        push(
            &mut legend,
            format_args!(
                r#"<span class="key"><i class="c{}"></i>{}</span>"#,
                number + 1,
                escaped(label)
            ),
        );
    }
    format!(
        "<figure><figcaption>{}</figcaption>{svg}<div class=\"legend\">{legend}</div></figure>",
        escaped(title)
    )
}

fn y_axis(svg: &mut String, frame: &Frame, step: f64) {
    let mut value = 0.0;
    while value <= frame.most_y + step / 2.0 {
        grid_line(svg, frame.y(value), &short(value));
        value += step;
    }
}

fn grid_line(svg: &mut String, y: f64, name: &str) {
    let (from, to) = (LEFT, WIDTH - RIGHT);
    push(
        svg,
        format_args!(
            r#"<line class="grid" x1="{from}" x2="{to}" y1="{y:.1}" y2="{y:.1}"/><text class="tick" text-anchor="end" x="{:.1}" y="{:.1}">{name}</text>"#,
            LEFT - 8.0,
            y + 4.0
        ),
    );
}

fn x_axis(svg: &mut String, frame: &Frame) {
    let step = step(frame.most_x * 0.6);
    let mut value = 0.0;
    while value <= frame.most_x {
        let (x, y) = (frame.x(value), HEIGHT - BOTTOM + 18.0);
        push(
            svg,
            format_args!(
                r#"<text class="tick" text-anchor="middle" x="{x:.1}" y="{y:.1}">{} s</text>"#,
                short(value)
            ),
        );
        value += step;
    }
}

/// A strip above each interval, with its values as title.
fn strips(svg: &mut String, frame: &Frame, instants: &[f64], lines: &[Line]) {
    let mut from = 0.0;
    for (place, until) in instants.iter().enumerate() {
        let mut values = String::new();
        for line in lines {
            let value = line.values.get(place).copied().unwrap_or_default();
            push(
                &mut values,
                format_args!("\n{}: {}", line.label, short(value)),
            );
        }
        let (x, width) = (frame.x(from), frame.x(*until) - frame.x(from));
        let height = HEIGHT - TOP - BOTTOM;
        push(
            svg,
            format_args!(
                r#"<rect class="strip" x="{x:.1}" y="{TOP}" width="{width:.1}" height="{height}"><title>until {} s{}</title></rect>"#,
                short(*until),
                escaped(&values)
            ),
        );
        from = *until;
    }
}

/// 1, 2 or 5 times a power of ten, so that about [`TICKS`] of it make `most`.
fn step(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let rough = most / TICKS;
    let power = 10.0_f64.powf(rough.log10().floor());
    let by = [1.0, 2.0, 5.0].into_iter().find(|by| by * power >= rough);
    by.unwrap_or(10.0) * power
}

/// A number with the digits that matter.
pub(super) fn short(value: f64) -> String {
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

/// Text within HTML and SVG.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    // Writing into a text does not fail.
    let _written = text.write_fmt(more);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: &[f64]) -> Line {
        Line {
            label: "orders <1>".to_owned(),
            values: values.to_vec(),
        }
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 0.25, 7.0, 99.5, 1_234.0, 45_600.0, 1_500_000.0];
        let short: Vec<_> = numbers.into_iter().map(short).collect();
        assert_eq!(short, ["0", "0.25", "7", "99.5", "1234", "45.6 k", "1.5 M"]);
    }

    #[test]
    fn steps_are_round() {
        let steps: Vec<_> = [0.0, 1.0, 9.0, 40.0, 12_000.0]
            .into_iter()
            .map(step)
            .collect();
        assert_eq!(steps, [1.0, 0.2, 2.0, 10.0, 5_000.0]);
    }

    #[test]
    fn lines_start_at_the_bottom_and_end_at_the_top() {
        let svg = over_time("x & y", &[1.0, 2.0], &[line(&[0.0, 10.0])], Style::Lines);
        let (bottom, top) = (HEIGHT - BOTTOM, TOP);
        assert!(
            svg.contains(&format!("{bottom:.1} {:.1},{top:.1}\"", WIDTH - RIGHT)),
            "{svg}"
        );
        assert!(svg.contains("x &amp; y") && svg.contains("orders &lt;1&gt;: 10"));
    }

    #[test]
    fn areas_stand_upon_each_other() {
        let tops = tops(&[line(&[1.0, 2.0]), line(&[3.0, 4.0])], Style::Stacked);
        assert_eq!(tops, [[1.0, 2.0], [4.0, 6.0]]);
    }
}
