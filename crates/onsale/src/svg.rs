//! Plots as SVG, as parts of a page or as a picture of their own, with colours
//! that are readable in light and dark. Without scripts: on a page, the values of
//! an interval show as the title of a strip above it. A page has every plot twice,
//! for wide and for narrow screens, because text that shrinks with its picture
//! cannot be read on a phone.

use std::fmt::Write;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 64.0;
/// Half of the last name of an axis.
const RIGHT: f64 = 20.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 28.0;
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
/// Colours of curves in [`STYLE`]; the next ones are told apart by dashes.
const COLOURS: usize = 10;
/// Colours and what is drawn with them.
pub(crate) const STYLE: &str = include_str!("plot.css");

/// Values over time.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// What they are.
    pub(crate) label: String,
    /// At the start, where that is known: curves start there.
    pub(crate) before: Option<f64>,
    /// One per interval.
    pub(crate) values: Vec<f64>,
}

/// How lines are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
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
    /// Whether lines are areas.
    is_filled: bool,
    drawn: String,
    /// What shows under the pointer, where there is one.
    strips: String,
    /// The same for a narrow screen.
    narrow: String,
}

/// Something that happened, in seconds.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    /// When it began.
    pub(crate) from: f64,
    /// When it was over.
    pub(crate) until: f64,
    /// What it was.
    pub(crate) label: String,
}

/// How large a plot is.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Size {
    width: f64,
    height: f64,
    left: f64,
    /// How much of it names of the x axis may take: more makes for fewer.
    spread: f64,
}

const WIDE: Size = Size {
    width: WIDTH,
    height: 260.0,
    left: LEFT,
    spread: 0.6,
};
const NARROW: Size = Size {
    width: 360.0,
    height: 230.0,
    left: 56.0,
    spread: 1.0,
};

/// Where values are in the picture.
struct Frame {
    size: Size,
    most_x: f64,
    most_y: f64,
}

impl Frame {
    fn x(&self, value: f64) -> f64 {
        let Size { left, .. } = self.size;
        left + value / self.most_x * (self.right() - left)
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom() - value / self.most_y * self.inner_height()
    }

    fn right(&self) -> f64 {
        self.size.width - RIGHT
    }

    fn bottom(&self) -> f64 {
        self.size.height - BOTTOM
    }

    fn inner_height(&self) -> f64 {
        self.bottom() - TOP
    }
}

/// A plot of lines over seconds; `instants` are the ends of the intervals.
pub(crate) fn over_time(
    title: &str,
    instants: &[f64],
    lines: &[Line],
    style: Style,
    marks: &[Mark],
) -> Plot {
    let curves = Curves::of(instants, lines, style);
    let step = step(curves.most());
    let frame = |size: Size| Frame {
        size,
        most_x: instants
            .last()
            .copied()
            .unwrap_or(1.0)
            .max(f64::MIN_POSITIVE),
        most_y: (curves.most() / step).ceil().max(1.0) * step,
    };
    let drawn = |size: Size| {
        let frame = frame(size);
        let mut svg = String::new();
        y_axis(&mut svg, &frame, step);
        x_axis(&mut svg, &frame);
        match style {
            // Areas would hide them.
            Style::Stacked => {
                curves.areas(&mut svg, &frame);
                bands(&mut svg, &frame, marks);
            }
            Style::Lines => {
                bands(&mut svg, &frame, marks);
                curves.lines(&mut svg, &frame);
            }
        }
        svg
    };
    Plot {
        title: title.to_owned(),
        height: WIDE.height,
        labels: lines.iter().map(|line| line.label.clone()).collect(),
        is_filled: style == Style::Stacked,
        drawn: drawn(WIDE),
        strips: strips(&frame(WIDE), instants, lines) + &flags(&frame(WIDE), marks),
        narrow: drawn(NARROW) + &flags(&frame(NARROW), marks),
    }
}

/// Lines as they are drawn.
struct Curves {
    instants: Vec<f64>,
    /// The upper edge of each line.
    tops: Vec<Vec<f64>>,
}

impl Curves {
    fn of(instants: &[f64], lines: &[Line], style: Style) -> Self {
        let starts: Option<Vec<f64>> = lines.iter().map(|line| line.before).collect();
        let values = lines.iter().enumerate().map(|(number, line)| {
            let start = starts.as_ref().and_then(|starts| starts.get(number));
            start.into_iter().chain(&line.values).copied().collect()
        });
        let start = starts.is_some().then_some(0.0);
        Self {
            instants: start.iter().chain(instants).copied().collect(),
            tops: tops(values, style),
        }
    }

    fn most(&self) -> f64 {
        self.tops.iter().flatten().copied().fold(0.0, f64::max)
    }

    fn lines(&self, svg: &mut String, frame: &Frame) {
        for (number, top) in self.tops.iter().enumerate() {
            let at = self.instants.iter().zip(top);
            let points: Vec<_> = at.map(|(at, value)| point(frame, *at, *value)).collect();
            let (points, colour) = (points.join(" "), colour(number));
            push(
                svg,
                format_args!(r#"<polyline class="line {colour}" points="{points}"/>"#),
            );
        }
    }

    fn areas(&self, svg: &mut String, frame: &Frame) {
        for (number, top) in self.tops.iter().enumerate() {
            let below = number.checked_sub(1).and_then(|below| self.tops.get(below));
            let at = self.instants.iter().enumerate();
            let upper = at.clone().zip(top);
            let upper = upper.map(|((_, at), value)| point(frame, *at, *value));
            let floor = at.rev().map(|(place, at)| {
                let value = below.and_then(|below| below.get(place)).copied();
                point(frame, *at, value.unwrap_or(0.0))
            });
            let points: Vec<_> = upper.chain(floor).collect();
            let (points, colour) = (points.join(" "), colour(number));
            push(
                svg,
                format_args!(r#"<polygon class="area {colour}" points="{points}"/>"#),
            );
        }
    }
}

fn point(frame: &Frame, at: f64, value: f64) -> String {
    format!("{:.1},{:.1}", frame.x(at), frame.y(value))
}

/// The class of the curve of a number.
fn colour(number: usize) -> String {
    let again = if number < COLOURS { "" } else { " again" };
    format!("c{}{again}", number % COLOURS + 1)
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
        is_filled: true,
        drawn: svg,
        strips: String::new(),
        narrow: String::new(),
    }
}

/// The upper edge of each line.
fn tops(lines: impl Iterator<Item = Vec<f64>>, style: Style) -> Vec<Vec<f64>> {
    let mut tops: Vec<Vec<f64>> = Vec::new();
    for mut top in lines {
        let below = tops.last().filter(|_| style == Style::Stacked);
        for (value, below) in top.iter_mut().zip(below.into_iter().flatten()) {
            *value += below;
        }
        tops.push(top);
    }
    tops
}

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
            // There is no room for the sign between narrow ones.
            let percent = if *name == "max" || size == NARROW {
                ""
            } else {
                " %"
            };
            x_name(&mut svg, &frame, place as f64, &format!("{name}{percent}"));
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
        push(
            &mut svg,
            format_args!(r#"<polyline class="line {colour}" points="{points}"/>"#),
        );
        for (place, (name, micros)) in values.iter().enumerate() {
            let (x, y) = (frame.x(place as f64), frame.y(log(*micros)));
            let millis = crate::digits::millis(*micros);
            push(
                &mut svg,
                format_args!(
                    r#"<circle class="dot {colour}" cx="{x:.1}" cy="{y:.1}" r="3"><title>{}, {name}: {millis} ms</title></circle>"#,
                    escaped(label)
                ),
            );
        }
    }
    svg
}

impl Plot {
    /// As a part of a page, with its style.
    pub(crate) fn figure(&self) -> String {
        let mut legend = String::new();
        let filled = if self.is_filled { " filled" } else { "" };
        for (number, label) in self.labels.iter().enumerate() {
            push(
                &mut legend,
                format_args!(
                    r#"<span class="key"><i class="{}{filled}"></i>{}</span>"#,
                    colour(number),
                    escaped(label)
                ),
            );
        }
        let title = escaped(&self.title);
        let svg = |class: &str, width: f64, height: f64, drawn: &str| {
            format!(
                r#"<svg class="{class}" viewBox="0 0 {width} {height}" role="img" aria-label="{title}">{drawn}</svg>"#
            )
        };
        let wide = self.drawn.clone() + &self.strips;
        let wide = svg("for-wide", WIDTH, self.height, &wide);
        let narrow = svg("for-narrow", NARROW.width, NARROW.height, &self.narrow);
        format!(
            r#"<figure><figcaption>{title}</figcaption>{wide}{narrow}<div class="legend">{legend}</div></figure>"#
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
                    r#"<rect class="bar {}" x="{:.1}" y="{:.1}" width="10" height="10" rx="2"/><text class="tick" x="{left:.1}" y="{baseline:.1}">{}</text>"#,
                    colour(number),
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
        grid_line(svg, frame, value, &short(value));
        value += step;
    }
}

fn grid_line(svg: &mut String, frame: &Frame, value: f64, name: &str) {
    let (from, to, y) = (frame.size.left, frame.right(), frame.y(value));
    push(
        svg,
        format_args!(
            r#"<line class="grid" x1="{from}" x2="{to}" y1="{y:.1}" y2="{y:.1}"/><text class="tick" text-anchor="end" x="{:.1}" y="{:.1}">{name}</text>"#,
            from - 8.0,
            y + 4.0
        ),
    );
}

fn x_axis(svg: &mut String, frame: &Frame) {
    let step = step(frame.most_x * frame.size.spread);
    let mut value = 0.0;
    while value <= frame.most_x {
        x_name(svg, frame, value, &format!("{} s", short(value)));
        value += step;
    }
}

fn x_name(svg: &mut String, frame: &Frame, value: f64, name: &str) {
    let (x, y) = (frame.x(value), frame.bottom() + 18.0);
    push(
        svg,
        format_args!(
            r#"<text class="tick" text-anchor="middle" x="{x:.1}" y="{y:.1}">{name}</text>"#
        ),
    );
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
        let height = frame.inner_height();
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
    let height = frame.inner_height();
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
            before: None,
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
        let (bottom, top) = (WIDE.height - BOTTOM, TOP);
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
        let values = [vec![1.0, 2.0], vec![3.0, 4.0]];
        let tops = tops(values.into_iter(), Style::Stacked);
        assert_eq!(tops, [[1.0, 2.0], [4.0, 6.0]]);
    }

    #[test]
    fn a_curve_starts_where_it_was_before_the_first_interval() {
        let mut sold = line(&[4.0]);
        sold.before = Some(2.0);
        for (style, class) in [(Style::Lines, "line"), (Style::Stacked, "area")] {
            let svg = over_time("x", &[1.0], &[sold.clone()], style, &[]).drawn;
            let (y, middle) = (TOP, TOP + (WIDE.height - BOTTOM - TOP) / 2.0);
            let points = format!(
                "class=\"{class} c1\" points=\"{LEFT:.1},{middle:.1} {:.1},{y:.1}",
                WIDTH - RIGHT
            );
            assert!(svg.contains(&points), "{svg}");
        }
        // One alone would be no line.
        let both = Curves::of(&[1.0], &[sold, line(&[1.0])], Style::Lines);
        assert_eq!(both.instants, [1.0]);
    }

    #[test]
    fn more_curves_than_colours_are_told_apart() {
        let classes: std::collections::BTreeSet<_> = (0..2 * COLOURS).map(colour).collect();
        assert_eq!(classes.len(), 2 * COLOURS);
        for class in 1..=COLOURS {
            assert!(STYLE.contains(&format!(".c{class} {{")), "{class}");
        }
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
