//! Plots as SVG, as parts of a page or as a picture of their own, with colours
//! that are readable in light and dark. Without scripts: on a page, the values of
//! an interval show as the title of a strip above it.

use std::fmt::Write;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 34.0;
/// Lines across a plot, about.
const TICKS: f64 = 5.0;
/// Height of a bar with what is around it, and room for its name and its value.
const ROW: f64 = 26.0;
const NAMES: f64 = 330.0;
const ROOM_FOR_VALUES: f64 = 110.0;
/// In a picture: height of a plot's title, what is left below a plot, and the
/// width of a character, about.
const HEADLINE: f64 = 34.0;
const GAP: f64 = 14.0;
const CHARACTER: f64 = 6.0;
/// Colours and what is drawn with them.
pub(super) const STYLE: &str = include_str!("plot.css");

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

/// A plot that is drawn, without the picture around it.
#[derive(Debug, Clone)]
pub(crate) struct Plot {
    title: String,
    height: f64,
    /// Of its lines, by number of their colour.
    labels: Vec<String>,
    drawn: String,
    /// What shows under the pointer, where there is one.
    strips: String,
}

/// Something that happened, in seconds.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    /// When it began.
    pub(super) from: f64,
    /// When it was over.
    pub(super) until: f64,
    /// What it was.
    pub(super) label: String,
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
pub(super) fn over_time(
    title: &str,
    instants: &[f64],
    lines: &[Line],
    style: Style,
    marks: &[Mark],
) -> Plot {
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
    let mut svg = String::new();
    y_axis(&mut svg, &frame, step);
    x_axis(&mut svg, &frame);
    bands(&mut svg, &frame, marks);
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
    Plot {
        title: title.to_owned(),
        height: HEIGHT,
        labels: lines.iter().map(|line| line.label.clone()).collect(),
        drawn: svg,
        strips: strips(&frame, instants, lines) + &flags(&frame, marks),
    }
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
        push(
            &mut svg,
            format_args!(
                r#"<text class="name" text-anchor="end" x="{:.1}" y="{text:.1}">{name}</text><rect class="bar c{class}" x="{NAMES}" y="{:.1}" width="{length:.1}" height="{:.1}" rx="2"/><text class="name" x="{:.1}" y="{text:.1}">{}</text>"#,
                NAMES - 10.0,
                y + ROW * 0.15,
                ROW * 0.7,
                NAMES + length + 8.0,
                escaped(&bar.figure)
            ),
        );
    }
    Plot {
        title: title.to_owned(),
        height: bars.len() as f64 * ROW,
        labels: Vec::new(),
        drawn: svg,
        strips: String::new(),
    }
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
pub(super) fn percentiles(title: &str, lines: &[(String, [(&'static str, u64); 8])]) -> Plot {
    const LEAST: f64 = 1.0;
    let log = |micros: u64| (micros.max(10) as f64).log10() - LEAST;
    let all = lines.iter().flat_map(|(_, values)| values);
    let most = all.map(|(_, micros)| log(*micros)).fold(1.0, f64::max);
    let frame = Frame {
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
    Plot {
        title: title.to_owned(),
        height: HEIGHT,
        labels: lines.iter().map(|(label, _)| label.clone()).collect(),
        drawn: svg,
        strips: String::new(),
    }
}

impl Plot {
    /// As a part of a page, with its style.
    pub(super) fn figure(&self) -> String {
        let mut legend = String::new();
        for (number, label) in self.labels.iter().enumerate() {
            push(
                &mut legend,
                format_args!(
                    r#"<span class="key"><i class="c{}"></i>{}</span>"#,
                    number + 1,
                    escaped(label)
                ),
            );
        }
        let (title, height) = (escaped(&self.title), self.height);
        format!(
            r#"<figure><figcaption>{title}</figcaption><svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">{}{}</svg><div class="legend">{legend}</div></figure>"#,
            self.drawn, self.strips
        )
    }

    /// Title and legend on one line, the plot below.
    fn draw(&self, into: &mut String, y: f64) {
        let baseline = y + HEADLINE * 0.6;
        push(
            into,
            format_args!(
                "<text class=\"name title\" x=\"{RIGHT}\" y=\"{baseline:.1}\">{}</text>",
                escaped(&self.title)
            ),
        );
        let mut right = WIDTH - RIGHT;
        let keys = self.labels.iter().enumerate();
        for (number, label) in keys.rev() {
            let left = right - label.chars().count() as f64 * CHARACTER;
            push(
                into,
                format_args!(
                    r#"<rect class="bar c{}" x="{:.1}" y="{:.1}" width="10" height="10" rx="2"/><text class="tick" x="{left:.1}" y="{baseline:.1}">{}</text>"#,
                    number + 1,
                    left - 15.0,
                    baseline - 9.0,
                    escaped(label)
                ),
            );
            right = left - 30.0;
        }
        push(
            into,
            format_args!(
                "<g transform=\"translate(0 {})\">{}</g>\n",
                y + HEADLINE,
                self.drawn
            ),
        );
    }
}

/// Plots below each other as a picture of its own.
pub(crate) fn picture(plots: &[Plot]) -> String {
    let mut drawn = String::new();
    let mut y = TOP;
    for plot in plots {
        plot.draw(&mut drawn, y);
        y += HEADLINE + plot.height + GAP;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" \
         font-family=\"system-ui, sans-serif\" role=\"img\">\n<style>\n{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{y}\" rx=\"6\"/>\n{drawn}</svg>\n"
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
fn strips(frame: &Frame, instants: &[f64], lines: &[Line]) -> String {
    let mut svg = String::new();
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
            &mut svg,
            format_args!(
                r#"<rect class="strip" x="{x:.1}" y="{TOP}" width="{width:.1}" height="{height}"><title>until {} s{}</title></rect>"#,
                short(*until),
                escaped(&values)
            ),
        );
        from = *until;
    }
    svg
}

/// A band behind the lines for each mark, from its start to its end.
fn bands(svg: &mut String, frame: &Frame, marks: &[Mark]) {
    let height = HEIGHT - TOP - BOTTOM;
    for mark in marks {
        let (x, width) = extent(frame, mark);
        push(
            svg,
            format_args!(
                r#"<rect class="band" x="{x:.1}" y="{TOP}" width="{width:.1}" height="{height}"/>"#
            ),
        );
    }
}

/// The head of each band, above the strips, with the mark's label as title.
fn flags(frame: &Frame, marks: &[Mark]) -> String {
    let mut svg = String::new();
    for mark in marks {
        let (x, width) = extent(frame, mark);
        push(
            &mut svg,
            format_args!(
                r#"<rect class="flag" x="{x:.1}" y="0" width="{width:.1}" height="{TOP}"><title>{}</title></rect>"#,
                escaped(&mark.label)
            ),
        );
    }
    svg
}

/// Where a mark starts and how wide it is: wide enough to be seen.
fn extent(frame: &Frame, mark: &Mark) -> (f64, f64) {
    let x = frame.x(mark.from.min(frame.most_x));
    (x, (frame.x(mark.until.min(frame.most_x)) - x).max(2.0))
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
pub(crate) fn escaped(text: &str) -> String {
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
        let lines = [line(&[0.0, 10.0])];
        let svg = over_time("x & y", &[1.0, 2.0], &lines, Style::Lines, &[]).figure();
        let (bottom, top) = (HEIGHT - BOTTOM, TOP);
        assert!(
            svg.contains(&format!("{bottom:.1} {:.1},{top:.1}\"", WIDTH - RIGHT)),
            "{svg}"
        );
        assert!(svg.contains("x &amp; y") && svg.contains("orders &lt;1&gt;: 10"));
    }

    #[test]
    fn a_mark_is_where_it_happened_and_wide_enough_to_be_seen() {
        let mark = |from: f64, until: f64| Mark {
            from,
            until,
            label: "worker <1>".to_owned(),
        };
        let marks = [mark(1.0, 2.0), mark(0.5, 0.5), mark(1.5, 9.0)];
        let lines = [line(&[1.0, 1.0])];
        let svg = over_time("x", &[1.0, 2.0], &lines, Style::Lines, &marks).figure();
        let half = (WIDTH - LEFT - RIGHT) / 2.0;
        let flag = |x: f64, width: f64| {
            format!(r#"<rect class="flag" x="{x:.1}" y="0" width="{width:.1}""#)
        };
        assert!(svg.contains(&flag(LEFT + half, half)), "{svg}");
        assert!(svg.contains(&flag(LEFT + half / 2.0, 2.0)), "{svg}");
        assert!(svg.contains(&flag(LEFT + half * 1.5, half / 2.0)), "{svg}");
        assert!(svg.contains("<title>worker &lt;1&gt;</title>"));
    }

    #[test]
    fn areas_stand_upon_each_other() {
        let tops = tops(&[line(&[1.0, 2.0]), line(&[3.0, 4.0])], Style::Stacked);
        assert_eq!(tops, [[1.0, 2.0], [4.0, 6.0]]);
    }

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

    #[test]
    fn a_picture_needs_nothing_else() {
        let lines = [line(&[0.0, 10.0])];
        let svg = picture(&[over_time("x", &[1.0, 2.0], &lines, Style::Lines, &[])]);
        assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
        assert_eq!(svg.matches("http").count(), 1);
        assert!(svg.contains("prefers-color-scheme: dark") && svg.contains("orders &lt;1&gt;"));
        // Nobody can point at anything in a picture.
        assert!(!svg.contains("strip\""), "{svg}");
    }
}
